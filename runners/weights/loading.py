"""Load a model and its tokenizer. Code that comes with a model is never run."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

from runners.chat_templates import TemplateSettings, set_template
from runners.decoding.tokens import context_length
from runners.weights import adapters, hub
from runners.weights.source import Source, cause_of, resolve
from runners.weights.tokens_check import warn_of_other_tokens
from tasks.common.errors import MissingExtra, ModelError


def device() -> str:
    """``cuda`` if there is a GPU, else ``cpu``."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def load_tokenizer(source: Source) -> Any:
    """The model's tokenizer, padding on the left. Raises ModelError: missing, or without a chat template."""
    from transformers import AutoTokenizer

    hub.expect_available(source.path, source.revision)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            source.path, revision=source.revision, trust_remote_code=False, padding_side="left"
        )
    except Exception as error:  # of any library: the files are the user's
        raise ModelError(f"{source.path}: no tokenizer: {cause_of(error)}") from error
    if tokenizer.get_vocab().keys() <= set(tokenizer.all_special_tokens):  # transformers made up an empty one
        raise ModelError(f"{source.path}: no tokenizer: tokenizer.json is missing")
    warn_of_other_tokens(tokenizer, source.path, source.revision)
    set_template(tokenizer, source.template, source.path)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def memory() -> int:
    """Bytes of the GPU's memory, or of the machine's if there is no GPU."""
    import torch

    if device() == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def config_of(source: Source) -> Any:
    """A model's configuration. Raises ModelError."""
    from transformers import AutoConfig

    hub.expect_available(source.path, source.revision)
    try:
        return AutoConfig.from_pretrained(source.path, revision=source.revision, trust_remote_code=False)
    except Exception as error:  # of any library: the files are the user's
        raise ModelError(f"{source.path}: no configuration: {cause_of(error)}") from error


def context(source: Source) -> int:
    """The most tokens that a model takes, from its configuration. Raises ModelError."""
    return context_length(config_of(source))


def load_model(
    source: Source,
    dtype: str = "auto",
    four_bit: bool = False,
    attention: str | None = None,
    place: str | None = None,
) -> Any:
    """Load a model in eval mode onto ``place``, by default ``device()``; an adapter is not merged.

    ``dtype`` "auto" is bfloat16 on a GPU and float32 on a CPU; "stored" keeps the file's. ``four_bit`` loads
    linear layers in 4 bits and computes in ``dtype``. ``attention`` None lets transformers choose (SDPA where
    the model supports it). Raises ModelError, MissingExtra.
    """
    from runners.compat.bitsandbytes import keep_weight_format
    from runners.compat.transformers import keep_end_tokens
    from runners.decoding.attention import fold_groups

    hub.expect_available(source.path, source.revision)
    if dtype == "auto":
        dtype = "bfloat16" if device() == "cuda" else "float32"
    model = _read_weights(source, dtype, four_bit, attention)
    keep_end_tokens(model)
    keep_weight_format(model)
    if source.adapter:
        from runners.compat.peft import bare_model

        model = bare_model(adapted(model, source))
    model = model.eval() if four_bit else model.to(place or device()).eval()
    fold_groups(model)
    return model


def _read_weights(source: Source, dtype: str, four_bit: bool, attention: str | None) -> Any:
    """The model of a folder or Hub id, without its adapter. Raises ModelError."""
    import torch
    from transformers.utils.logging import disable_progress_bar

    from runners.compat.transformers import auto_class

    disable_progress_bar()  # type: ignore[no-untyped-call]
    torch_dtype = "auto" if dtype == "stored" else getattr(torch, dtype)
    quantized = {"quantization_config": _four_bits(torch_dtype), "device_map": device()} if four_bit else {}
    loaded: Any
    try:
        loaded = auto_class(config_of(source)).from_pretrained(
            source.path,
            revision=source.revision,
            dtype=torch_dtype,
            use_safetensors=True,
            trust_remote_code=False,
            attn_implementation=attention,
            output_loading_info=True,
            **quantized,
        )
    except Exception as error:  # of any library: the files are the user's
        raise ModelError(f"{source.path}: cannot be loaded: {cause_of(error)}") from error
    model, report = loaded
    if four_bit and device() == "cpu":
        # what is not in 4 bits is a view of the file, all of which would stay in memory
        for weights in model.parameters():
            weights.data = weights.data.clone() if weights.is_floating_point() else weights.data
    if missing := sorted(report["missing_keys"]):  # transformers initialises them at random
        raise ModelError(f"{source.path}: {len(missing)} weights are missing, such as {missing[0]}")
    return model


def _four_bits(dtype: Any) -> Any:
    """The settings of 4-bit weights that compute in ``dtype``. Raises MissingExtra.

    NF4 with double quantization (Dettmers et al. 2023, arXiv:2305.14314), by bitsandbytes.
    """
    if find_spec("bitsandbytes") is None:
        raise MissingExtra("bitsandbytes", "quant")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def load(
    name: str, dtype: str = "auto", four_bit: bool = False, template: TemplateSettings | None = None
) -> tuple[Any, Any]:
    """Load the model and the tokenizer of a name; see ``load_model``."""
    source = resolve(name).with_template(template or TemplateSettings())
    tokenizer = load_tokenizer(source)  # first, because it fails fast
    return load_model(source, dtype, four_bit), tokenizer


def adapted(model: Any, source: Source) -> Any:
    """The model in PEFT's wrapper, with the adapter's layers.

    Raises ModelError: the adapter was trained on another base.
    """
    from peft import PeftModel

    assert source.adapter
    adapters.check_base(source)
    try:
        return PeftModel.from_pretrained(model, source.adapter, torch_device=model.device.type)
    except Exception as error:  # of any library: the files are the user's
        base = adapters.base_name(source.adapter)
        raise ModelError(
            f"{source.adapter} does not fit {source.path}, it was trained on '{base}': {cause_of(error)}"
        ) from error
