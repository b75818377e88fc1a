"""The files of a model's or an adapter's folder that may be uploaded: a list of what is allowed."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.publishing.evaluation import hub_id
from harness.publishing.private_paths import shown
from runners.known.models import MODELS
from runners.weights.identity import TEMPLATES
from tasks.common import files
from tasks.common.errors import ModelError

WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors|adapter_model\.safetensors")
OTHERS = re.compile(
    r"model\.safetensors\.index\.json|config\.json|generation_config\.json|adapter_config\.json"
    r"|(pre)?processor_config\.json|tokenizer(_config)?\.json|special_tokens_map\.json|added_tokens\.json"
    r"|vocab\.(json|txt)|merges\.txt|(tokenizer|spiece|sentencepiece\.bpe)\.model"
    r"|chat_template\.(jinja|json)|(LICENSE|NOTICE)(\.(txt|md))?"
)
_TEMPLATE = re.compile(re.escape(TEMPLATES) + r"/[\w-]+\.jinja")
ADAPTER = "adapter_config.json"
_SETTINGS = re.compile(
    r"(config|generation_config|(pre)?processor_config|tokenizer_config|special_tokens_map)\.json"
)
_PATH_KEY = re.compile(r".*(path|file|dir|folder)s?")
_CACHED = re.compile(r".*/models--([\w.-]+?)--([\w.-]+)/snapshots/[^/]+/?")
"""The folder of a model in the cache of the Hub's client."""
RESULTS = ".eval_results"
"""The folder of the results, which the Hub reads."""
INDEX = "model.safetensors.index.json"


def is_allowed(name: str) -> bool:
    """Whether a file of this name, relative to the folder, belongs to a model."""
    return any(pattern.fullmatch(name) for pattern in (WEIGHTS, OTHERS, _TEMPLATE))


def is_replaced(name: str) -> bool:
    """Whether a push removes a file of this name that it does not have: a model's, or an older result."""
    return is_allowed(name) or re.fullmatch(re.escape(RESULTS) + r"/[^/]+\.yaml", name) is not None


def uploaded(folder: Path, base: str, parts: Mapping[str, str] | None = None) -> dict[str, bytes | Path]:
    """Name -> content, for all files of a model that may be uploaded; weights stay on disk.

    Folders of this machine are replaced. ``base``: the name of the base before an adapter, "" for none, and
    ``parts`` of the identity of both, from when they were evaluated.
    Raises ModelError: as ``model_files``, or the base of an adapter is not on the Hub.
    """
    found: dict[str, bytes | Path] = {}
    for name, path in model_files(folder).items():
        found[name] = path if WEIGHTS.fullmatch(name) else files.read(path)
        if name == ADAPTER or _SETTINGS.fullmatch(name):
            found[name] = _public_settings(path, base if name == ADAPTER else "", parts)
    return found


def _public_settings(file: Path, base: str, parts: Mapping[str, str] | None) -> bytes:
    """A file of settings without folders of this machine; as it is where it names none."""
    try:
        content = files.read(file)
        settings = json.loads(content)
    except (OSError, ValueError) as error:
        raise ModelError(f"{file}: cannot be read: {error}") from None
    cleaned = _without_folders(settings)
    if file.name == ADAPTER and isinstance(cleaned, dict):
        stated = str(settings.get("base_model_name_or_path") or "")
        cleaned["base_model_name_or_path"] = _public_base(file, base, stated, parts)
    return content if cleaned == settings else files.as_json(cleaned)


def _without_folders(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: shown(inner)
            if isinstance(inner, str) and _PATH_KEY.fullmatch(name)
            else _without_folders(inner)
            for name, inner in value.items()
        }
    return [_without_folders(inner) for inner in value] if isinstance(value, list) else value


def _public_base(file: Path, base: str, stated: str, parts: Mapping[str, str] | None) -> str:
    """The id on the Hub of an adapter's base, which has these names here. Raises ModelError: it has none."""
    for name in filter(None, (base, stated)):
        here = Path(name).resolve()
        known = "".join(model.hub_id for model in MODELS.values() if model.folder.resolve() == here)
        if cached := _CACHED.fullmatch(name):
            return f"{cached[1]}/{cached[2]}"
        if found := hub_id(name, parts if name == base else None) or known:
            return found
    raise ModelError(
        f"{file}: the adapter's base {shown(stated)} is not on the Hub: push the merged model instead,"
        " or push the base first and name its id there in base_model_name_or_path"
    )


def model_files(folder: Path) -> dict[str, Path]:
    """Name -> file, for all files of a model that may be uploaded.

    Raises ModelError: no weights, a weight file is missing, or a file is a link that leaves the folder.
    """
    real = folder.resolve()
    found: dict[str, Path] = {}
    for path in sorted([*folder.iterdir(), *(folder / TEMPLATES).glob("*")]):
        name = path.relative_to(folder).as_posix()
        if not is_allowed(name):
            continue
        target = path.resolve()
        if not target.is_relative_to(real) or not is_allowed(target.relative_to(real).as_posix()):
            raise ModelError(f"{path} is a link out of the model's files: put the file itself there")
        if not stat.S_ISREG(path.stat().st_mode):
            raise ModelError(f"{path} is not a regular file: remove it")
        found[name] = path
    weights = [name for name in found if WEIGHTS.fullmatch(name)]
    missing = sorted(_shards(found.get(INDEX)) - found.keys())
    if missing:
        raise ModelError(f"{folder}: {INDEX} names {missing[0]}, which is no weight file in this folder")
    if not weights:
        raise ModelError(f"{folder} holds no model.safetensors or adapter_model.safetensors to push")
    return found


def _shards(index: Path | None) -> set[str]:
    """The weight files that an index names. Raises ModelError: it cannot be read."""
    if index is None:
        return set()
    try:
        return {str(name) for name in json.loads(files.read(index))["weight_map"].values()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{index}: cannot be read: {error}") from None
