"""What of a model's ``generation_config`` holds: the tokens that end its answers, and nothing else.

Penalties, ``min_p``, ``top_k``, forbidden and forced tokens would change answers behind the run's record, and
only where ``model.generate`` is called. So they are dropped when a model is loaded, for every way to draw.
"""

from __future__ import annotations

from typing import Any

KEPT = ("eos_token_id", "pad_token_id", "bos_token_id", "decoder_start_token_id")


def keep_ends(model: Any) -> None:
    """Drop all else of the model's generation settings, also those that an old ``config.json`` holds."""
    from transformers import GenerationConfig

    own = model.generation_config
    kept = {name: getattr(own, name, None) for name in KEPT}
    model.generation_config = GenerationConfig(**kept)  # type: ignore[no-untyped-call]
    for name in model.config._get_generation_parameters():
        setattr(model.config, name, None)


def end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """The tokens that end an answer: those that the model declares, and the tokenizer's."""
    ends = model.generation_config.eos_token_id
    declared = ends if isinstance(ends, list) else [ends]
    return tuple({token for token in [*declared, tokenizer.eos_token_id] if token is not None})
