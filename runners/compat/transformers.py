"""Code that relies on private or undocumented parts of transformers.

``CHECKED`` is the version that was read. ``tests/test_compat.py`` fails where a later one differs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, GenerationConfig

CHECKED = "5.24.0"
GROUPED_ATTENTION = "grouped_sdpa"
"""The name of ``grouped_attention`` in ``runners/decoding/attention.py``."""
TREE_ATTENTION = "token_tree"
"""The name of ``tree_attention`` in ``runners/decoding/attention.py``."""
KEPT_SETTINGS = ("eos_token_id", "pad_token_id", "bos_token_id", "decoder_start_token_id")


def auto_class(config: Any) -> Any:
    """The Auto class that loads the language model of a configuration, alone or with images."""
    text_alone = type(config) in AutoModelForCausalLM._model_mapping
    with_images = type(config) in AutoModelForImageTextToText._model_mapping
    return AutoModelForImageTextToText if with_images and not text_alone else AutoModelForCausalLM


def keep_end_tokens(model: Any) -> None:
    """Drop all of the model's own generation settings but its special tokens.

    Penalties, ``min_p``, ``top_k``, forbidden and forced tokens would change answers although the run does
    not record them, and only in ``model.generate``. An old ``config.json`` may hold them, too.
    """
    own = model.generation_config
    kept = {name: getattr(own, name, None) for name in KEPT_SETTINGS}
    model.generation_config = GenerationConfig(**kept)  # type: ignore[no-untyped-call]
    for name in model.config._get_generation_parameters():
        setattr(model.config, name, None)


def name_or_path(model: Any) -> str:
    """The folder or Hub id that a model was loaded from."""
    return str(model.config._name_or_path)


def attention(model: Any) -> str:
    """The attention implementation that a model uses: ``sdpa``, ``eager``, ``flash_attention_2``, ...

    The attentions of our own take the masks of ``sdpa`` and give its results.
    """
    name = str(model.config._attn_implementation)
    return "sdpa" if name in (GROUPED_ATTENTION, TREE_ATTENTION) else name


def transformer_layers(model: Any) -> list[Any]:
    """The modules that transformers never splits between devices: the layers of the model."""
    return [module for module in model.modules() if type(module).__name__ in model._no_split_modules]


@cache
def cache_argument(architecture: Any) -> str:
    """The name of the argument by which a class of models takes its cache; it depends on the version."""
    return "cache" if "cache" in inspect.signature(architecture.forward).parameters else "past_key_values"


def rotary_limits(config: Any) -> dict[str, int]:
    """Type of rotary embedding -> the length in tokens above which the type depends on the text's length.

    Only types of which there is one: ``dynamic`` (a frequency for each length) and ``longrope`` (one below
    and one above the limit).
    """
    text = config.get_text_config()
    parameters = getattr(text, "rope_parameters", None) or {}
    kinds = [parameters, *(value for value in parameters.values() if isinstance(value, dict))]
    limits = {}
    for kind in kinds:
        name = kind.get("rope_type")
        if name == "dynamic":
            limits[name] = int(text.max_position_embeddings)
        elif name == "longrope":
            limits[name] = int(kind["original_max_position_embeddings"])
    return limits


def length_class(model: Any) -> Callable[[int], int] | None:
    """A function of a text's length: texts of one class have the same rotary embedding. None: all have."""
    limits = rotary_limits(model.config)
    if not limits:
        return None
    limit = min(limits.values())
    return lambda length: 0 if length <= limit else length if "dynamic" in limits else 1


def reset_rotary(model: Any) -> None:
    """Let dynamic rotary embeddings forget the lengths of earlier texts, which would change later ones."""
    for module in model.modules() if "dynamic" in rotary_limits(model.config) else ():
        if hasattr(module, "max_seq_len_cached"):
            module.max_seq_len_cached = 0
