"""Find the files of a model by its name.

A name is that of a known model (``nano``, ``smollm2``), a folder, ``org/name`` or ``org/name@revision`` on
the Hugging Face Hub, or one of these with the folder of a LoRA adapter: ``base+adapter``. Only safetensors
are read.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from runners.chat_templates import TemplateSettings
from runners.known.models import MODELS, folder_of
from tasks.common.errors import ModelError, first_line, nearest

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model's files are: a folder or Hub id, its revision, and the folder of an adapter for it.

    ``template``: the chat template that its tokenizer gets.
    """

    path: str
    revision: str | None = None
    adapter: str | None = None
    template: TemplateSettings = field(default=TemplateSettings(), hash=False)

    def with_template(self, settings: TemplateSettings) -> Source:
        """The same files, with the chat template of these settings."""
        return replace(self, template=settings)


def resolve(name: str, weights: bool = True) -> Source:
    """The source of a model's name; with ``weights`` its folder must contain weights.

    Raises ModelError: there is no such model (the text has the nearest name), or files are missing.
    """
    base, plus, adapter = name.rpartition("+")
    if plus and not Path(name).exists():
        _expect_file(Path(adapter), "adapter_config.json", "is no LoRA adapter")
        if weights:
            _expect_file(Path(adapter), "adapter_model.safetensors", "has no weights")
        base_source = resolve(base, weights)
        if base_source.adapter:
            raise ModelError(f"{name}: only one adapter can be named: merge {base} first")
        return Source(base_source.path, base_source.revision, adapter)
    if name in MODELS:
        return Source(str(_plain_folder(folder_of(name))))
    if Path(name).is_dir():
        return Source(str(_plain_folder(Path(name), weights)))
    if HUB_ID.fullmatch(name) and not name.startswith("."):
        path, _, revision = name.partition("@")
        return Source(path, revision or None)
    raise ModelError(
        f"no model '{name}': it is no folder and no known model ({nearest(name, _similar(name))})"
    )


def _similar(name: str) -> list[str]:
    """Names that the user may have meant: known models, and model folders in the same parent folder."""
    parent = Path(name).parent
    beside = [str(path.parent) for path in parent.glob("*/config.json")] if parent.is_dir() else []
    return [*MODELS, *beside]


def _plain_folder(folder: Path, weights: bool = True) -> Path:
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        base = adapter_base(folder) or "BASE"
        raise ModelError(f"{folder} is an adapter, not a model: use the name '{base}+{folder}'")
    _expect_file(folder, "config.json", "is no model folder")
    for file in (folder / "config.json", folder / "generation_config.json"):
        if file.is_file():
            read_json(file)
    if weights and not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"{folder} has no *.safetensors: save it with save_pretrained (pickled weights are not read)"
        )
    return folder


def adapter_base(folder: Path) -> str:
    """The name of the base in an adapter's configuration; "" where it has none. Raises ModelError."""
    return str(read_json(folder / "adapter_config.json").get("base_model_name_or_path") or "")


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file of a model. Raises ModelError: the file cannot be read, or is no object."""
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: cannot be read: {cause_of(error)}") from None
    if not isinstance(value, dict):
        raise ModelError(f"{file}: expected an object, found {type(value).__name__}")
    return value


def _expect_file(folder: Path, file: str, problem: str) -> None:
    """Raise ModelError: the file is missing."""
    if not (folder / file).is_file():
        raise ModelError(f"{folder} {problem}: {file} is missing")


def cause_of(error: Exception) -> str:
    """The reason why loading failed, in one line: the library's message, or a clearer one of ours."""
    if "ignore_mismatched_sizes" in str(error):
        return "its weights have other sizes than its config.json says"
    return first_line(error)
