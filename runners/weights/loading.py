"""Load a model and its tokenizer. No code that comes with a model is run."""

from __future__ import annotations

import os
from typing import Any

from runners.decoding import ends
from runners.decoding.context import context_of
from runners.weights import adapters, hub
from runners.weights.four_bit import four_bits, keep_format
from runners.weights.source import Source, cause_of, resolve
from tasks.common.errors import ModelError


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
        raise ModelError(f"{source.path}: no tokenizer: {cause_of(error)}") from error
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
        raise ModelError(f"{source.path}: no configuration: {cause_of(error)}") from error


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
        raise ModelError(f"{source.path}: cannot be loaded: {cause_of(error)}") from error
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

    assert source.adapter
    adapters.check(source)
    try:
        return PeftModel.from_pretrained(model, source.adapter)
    except Exception as error:  # as in load_model
        base = adapters.recorded(source.adapter)
        raise ModelError(
            f"{source.adapter} does not fit {source.path}, it was trained on '{base}': {cause_of(error)}"
        ) from error
