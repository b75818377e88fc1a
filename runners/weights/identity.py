"""The identity of a model: digests of the files that determine its answers, or its name if it has no files.

Of a folder, only the files that loading reads count: weights, configuration, tokenizer, chat templates. A
model of the Hugging Face Hub is identified by the commit in the local cache, an endpoint's by name and URL.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from runners.settings import RunnerConfig
from runners.weights.source import Source, resolve
from tasks.common.digests import digest_of, file_digest, files_digest
from tasks.common.errors import ModelError

IGNORED = re.compile(
    r"\..*|.*\.(md|pt|pth|h5|msgpack|onnx|part)|LICENSE.*|NOTICE.*|harness\.json|base\.json"
    r"|trainer_state\.json|training_args\.bin|optimizer\.bin|scheduler\.bin"
)
"""Files of a model folder that affect no answer."""
ROLES = {
    "config.json": "config",
    "generation_config.json": "generation config",
    "chat_template.jinja": "chat template",
    "chat_template.json": "chat template",
}
_TOKENIZER = re.compile(
    r"tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab.*|merges\.txt|.*\.(model|tiktoken)"
)
TEMPLATES = "additional_chat_templates"
"""The only subfolder of a model's folder that is read."""


def runner_of(name: str) -> str:
    """The prefix of the runner that a name opens: ``hf``, ``vllm``, ``openai``, ... or a baseline's name."""
    from runners.open import BASELINES, PREFIXES

    prefix, colon, _ = name.partition(":")
    if name in BASELINES:
        return name
    return prefix if colon and prefix in PREFIXES and not Path(name).exists() else "hf"


def settings(name: str, config: RunnerConfig) -> Mapping[str, object]:
    """The runner's settings that can change an answer of this model, with its defaults resolved."""
    runner = runner_of(name)
    relevant = config.identity()
    sections = {
        "hf": ("hf",),
        "vllm": ("vllm", "endpoint"),
        "openai": ("endpoint",),
        "replay": ("replay",),
    }
    chosen: dict[str, object] = {section: relevant[section] for section in sections.get(runner, ())}
    if {"hf": config.hf.dtype, "vllm": config.vllm.dtype}.get(runner) == "auto":
        chosen["device"] = _device()
    if runner in ("hf", "vllm", "openai", "lm-eval"):
        chosen |= config.template_identity()
    if runner == "openai":
        chosen["url"] = config.endpoint.url
    return {"runner": runner, **chosen}


def _device() -> str:
    """``cuda`` or ``cpu``, on which the dtype "auto" depends; "" if no model runs in this process."""
    import sys

    if "torch" not in sys.modules:
        return ""
    from runners.weights.loading import device

    return device()


def content(name: str, config: RunnerConfig | None = None) -> dict[str, str]:
    """Part of the model (``weights``, ``config``, ``tokenizer``, ``adapter``, ...) -> its digest."""
    runner = runner_of(name)
    rest = name.removeprefix(f"{runner}:")
    if runner == "replay":
        file = Path(rest) / "records.parquet" if Path(rest).is_dir() else Path(rest)
        return {"answers": file_digest(file)} if file.is_file() else {"name": rest}
    if runner == "lm-eval":
        return {"arguments": digest_of([_argument(argument) for argument in rest.split(",")])}
    if runner in ("hf", "vllm"):
        try:
            return of_source(resolve(rest))
        except ModelError:
            return {"name": rest}  # a model that only the caller's own runner knows
    return {"name": rest}


def by_position(name: str, config: RunnerConfig) -> bool:
    """Whether a name is a file of answers without ids, which are matched with the rows by their order."""
    if runner_of(name) != "replay":
        return False
    file = Path(name.removeprefix("replay:"))
    if not file.is_file():
        return False
    from runners import answer_files

    return answer_files.read(file, config.replay.column).by_row is not None


def of_source(source: Source) -> dict[str, str]:
    """Part of a model, with its adapter -> its digest."""
    folder = Path(source.path)
    parts = of_folder(folder) if folder.is_dir() else {"name": source.path, "revision": _revision(source)}
    if source.adapter:
        parts["adapter"] = digest_of(of_folder(Path(source.adapter)))
    return parts


def of_folder(folder: Path) -> dict[str, str]:
    """Role of files in a model's (or adapter's) folder -> their digest."""
    roles: dict[str, list[tuple[str, Path]]] = {}
    for file in [*folder.iterdir(), *(folder / TEMPLATES).glob("*")]:
        if file.is_file() and not IGNORED.fullmatch(file.name):
            roles.setdefault(_role(file), []).append((str(file.relative_to(folder)), file))
    if shards := _shards_elsewhere(folder):
        roles.setdefault("weights", []).extend(shards)
    return {role: files_digest(files) for role, files in sorted(roles.items())}


def _shards_elsewhere(folder: Path) -> list[tuple[str, Path]]:
    """The weight files in subfolders that an index names, which loading reads."""
    named: set[str] = set()
    for index in folder.glob("*.safetensors.index.json"):
        try:
            named |= set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError, TypeError):
            continue  # loading reports what is wrong
    return [(name, folder / name) for name in sorted(named) if "/" in name and (folder / name).is_file()]


def _role(file: Path) -> str:
    if file.parent.name == TEMPLATES:
        return "chat template"
    weights = file.suffix in (".safetensors", ".bin", ".gguf") or file.name.endswith(".index.json")
    if weights or file.name in ROLES:
        return ROLES.get(file.name, "weights")
    return "tokenizer" if _TOKENIZER.fullmatch(file.name) else "other files"


def _argument(argument: str) -> Any:
    """One of lm-eval's arguments; a folder or file in it is replaced by its digest."""
    key, equals, value = argument.partition("=")
    path = Path(value) if equals else Path(argument.rpartition(":")[2])
    if not str(path) or str(path) == "." or not path.exists():
        return argument
    return [key, of_folder(path) if path.is_dir() else file_digest(path)]


def _revision(source: Source) -> str:
    """The commit of this revision in the Hub's cache; the revision's name if the cache has none."""
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return source.revision or ""
    cached = try_to_load_from_cache(source.path, "config.json", revision=source.revision)
    return Path(cached).parent.name if isinstance(cached, str) else source.revision or ""
