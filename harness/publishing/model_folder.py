"""The files of a model's or an adapter's folder that may be uploaded: a list of what is allowed."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

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
RESULTS = ".eval_results"
"""The folder of the results, which the Hub reads."""
INDEX = "model.safetensors.index.json"


def is_allowed(name: str) -> bool:
    """Whether a file of this name, relative to the folder, belongs to a model."""
    return any(pattern.fullmatch(name) for pattern in (WEIGHTS, OTHERS, _TEMPLATE))


def is_replaced(name: str) -> bool:
    """Whether a push removes a file of this name that it does not have: a model's, or an older result."""
    return is_allowed(name) or re.fullmatch(re.escape(RESULTS) + r"/[^/]+\.yaml", name) is not None


def uploaded(folder: Path) -> dict[str, bytes | Path]:
    """Name -> content, for all files of a model that may be uploaded; weights stay on disk.

    Raises ModelError, as ``model_files``.
    """
    found = model_files(folder)
    return {name: path if WEIGHTS.fullmatch(name) else files.read(path) for name, path in found.items()}


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
