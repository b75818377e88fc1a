"""A model by name: find it, load it, save it.

A name is ``nano`` (the model that ships), a folder, ``org/name`` or ``org/name@revision`` on the Hugging Face
Hub, or any of these and a LoRA adapter's folder: ``base+adapter``. Only safetensors are read, and no code
from a model is run.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners.decoding import ends
from runners.decoding.context import context_of
from runners.weights import hub
from tasks.common.errors import ModelError, nearest

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model's files are: a folder or Hub id, its revision, and the folder of an adapter on top."""

    path: str
    revision: str | None = None
    adapter: str | None = None


def resolve(name: str, weights: bool = True) -> Source:
    """The source that a model's name stands for; a folder needs its ``weights`` where they will be read.

    Raises ModelError: no such model, with the nearest one.
    """
    base, plus, adapter = name.rpartition("+")
    if plus and not Path(name).exists():
        _expect_file(Path(adapter), "adapter_config.json", "is no LoRA adapter")
        if weights:
            _expect_file(Path(adapter), "adapter_model.safetensors", "has no weights")
        below = resolve(base, weights)
        if below.adapter:
            raise ModelError(f"{name}: one adapter at a time; merge {base} first")
        return Source(below.path, below.revision, adapter)
    if name == "nano":
        from runners.nano import FOLDER

        return Source(str(_plain_folder(Path(FOLDER))))
    if Path(name).is_dir():
        return Source(str(_plain_folder(Path(name), weights)))
    if HUB_ID.fullmatch(name) and not name.startswith("."):
        path, _, revision = name.partition("@")
        return Source(path, revision or None)
    raise ModelError(
        f"no model '{name}': not a folder, and not a shipped model ({nearest(name, _known(name))})"
    )


def _known(name: str) -> list[str]:
    """Names that were perhaps meant: the shipped model, and the model folders beside the one named."""
    parent = Path(name).parent
    beside = [str(path.parent) for path in parent.glob("*/config.json")] if parent.is_dir() else []
    return ["nano", *beside]


def _plain_folder(folder: Path, weights: bool = True) -> Path:
    if (folder / "adapter_config.json").is_file() and not (folder / "config.json").is_file():
        base = adapter_base(folder) or "BASE"
        raise ModelError(f"{folder} is an adapter, not a model: name it '{base}+{folder}'")
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
    """What stands in a JSON file of a model. Raises ModelError: not to be read, or no object."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: cannot be read: {_first_line(error)}") from None
    if not isinstance(found, dict):
        raise ModelError(f"{file}: expected an object, found {type(found).__name__}")
    return found


def _expect_file(folder: Path, file: str, complaint: str) -> None:
    if not (folder / file).is_file():
        raise ModelError(f"{folder} {complaint}: {file} is missing")


def device() -> str:
    """``cuda`` where there is a GPU, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def load_tokenizer(source: Source) -> Any:
    """The model's tokenizer, padding on the left. Raises ModelError: missing, or without a chat template."""
    from transformers import AutoTokenizer

    hub.expect(source.path, source.revision)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source.path, revision=source.revision, trust_remote_code=False, padding_side="left"
        )
    except Exception as error:  # as in load_model
        raise ModelError(f"{source.path}: no tokenizer: {_first_line(error)}") from error
    if tokenizer.get_vocab().keys() <= set(tokenizer.all_special_tokens):  # made of no file at all
        raise ModelError(f"{source.path}: no tokenizer: tokenizer.json is missing")
    if tokenizer.chat_template is None:
        raise ModelError(
            f"{source.path}: its tokenizer has no chat template; use the model's instruct version"
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def memory() -> int:
    """Bytes of the GPU's memory, or of the machine's where there is none."""
    import torch

    if device() == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def config_of(source: Source) -> Any:
    """A model's configuration. Raises ModelError."""
    from transformers import AutoConfig

    hub.expect(source.path, source.revision)
    try:
        return AutoConfig.from_pretrained(source.path, revision=source.revision, trust_remote_code=False)
    except Exception as error:  # as in load_model
        raise ModelError(f"{source.path}: no configuration: {_first_line(error)}") from error


def context(source: Source) -> int:
    """The most tokens that a model takes, by its configuration. Raises ModelError."""
    return context_of(config_of(source))


def load_model(
    source: Source, dtype: str = "auto", four_bit: bool = False, attention: str | None = None
) -> Any:
    """The model in eval mode on ``device()``; an adapter's layers stand beside its own, unmerged.

    ``dtype`` "auto" is bfloat16 on a GPU and float32 on a CPU; "stored" keeps the file's. ``four_bit`` holds
    linear layers in 4 bits and computes in ``dtype``. ``attention`` None: transformers chooses (SDPA where
    the model can). Raises ModelError, MissingExtra.
    """
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    from runners.weights.four_bit import four_bits, keep_format

    disable_progress_bar()  # type: ignore[no-untyped-call]
    hub.expect(source.path, source.revision)
    if dtype == "auto":
        dtype = "bfloat16" if device() == "cuda" else "float32"
    kind = "auto" if dtype == "stored" else getattr(torch, dtype)
    placed = {"quantization_config": four_bits(kind), "device_map": device()} if four_bit else {}
    loaded: Any
    try:
        loaded = AutoModelForCausalLM.from_pretrained(
            source.path,
            revision=source.revision,
            dtype=kind,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation=attention,
            output_loading_info=True,
            **placed,
        )
    except Exception as error:  # of any of its libraries: the files are the user's
        raise ModelError(f"{source.path}: cannot be loaded: {_first_line(error)}") from error
    model = _whole(loaded, source)
    keep_format(model)
    if source.adapter:
        model = adapted(model, source).get_base_model()
    return model.eval() if four_bit else model.to(device()).eval()


def _whole(loaded: Any, source: Source) -> Any:
    """A loaded model without its sampling, unless its files lack weights: those would be random."""
    model, report = loaded
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"{source.path}: {len(missing)} weights are missing, such as {missing[0]}")
    ends.keep_ends(model)
    return model


def load(name: str, dtype: str = "auto", four_bit: bool = False) -> tuple[Any, Any]:
    """The model and tokenizer that a name stands for; see ``load_model``."""
    source = resolve(name)
    tokenizer = load_tokenizer(source)  # first: it is read at once, and weights take their time
    return load_model(source, dtype, four_bit), tokenizer


def adapted(model: Any, source: Source) -> Any:
    """The model with the adapter of its source beside its layers. Raises ModelError: not of this base."""
    from peft import PeftModel

    from runners.weights import adapters

    assert source.adapter
    adapters.check(source)
    try:
        return PeftModel.from_pretrained(model, source.adapter)
    except Exception as error:  # as in load_model
        base = adapters.recorded(source.adapter)
        raise ModelError(
            f"{source.adapter} does not fit {source.path}, it was trained on '{base}': {_first_line(error)}"
        ) from error


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    if "ignore_mismatched_sizes" in text:
        return "its weights have other sizes than its config.json says"
    first, rest = (part.strip() for part in (text + "\n").split("\n", 1))
    if first.endswith(":"):  # what it announces stands on the next line
        first += f" {rest.partition(chr(10))[0].strip()}"
    return first or type(error).__name__
