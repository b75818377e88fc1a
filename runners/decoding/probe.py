"""Test whether a model can share prompt prefixes: compare its logits on shared rows with plain ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from runners.compat.transformers import attention
from runners.decoding.masks import KINDS, layer_kinds
from runners.decoding.prefix_cache import SHARED, PrefixCache

ATTENTIONS = ("sdpa", "eager")
"""The implementations of attention that take an additive mask."""
WINDOW = 3
"""The size of windows and chunks in the probe: short rows then have tokens outside of them."""
PREFIX, RESTS = (3, 4, 5, 6, 7), ((8, 9, 10), (11, 12, 13))


def refusal(model: Any) -> str:
    """The reason why prompt prefixes cannot be shared with this model; "" if they can."""
    if other := sorted(set(layer_kinds(model)) - set(KINDS)):
        return f"it has layers of {', '.join(other)}"
    if attention(model) not in ATTENTIONS:
        return f"its attention is {attention(model)}, not {' or '.join(ATTENTIONS)}"
    try:
        return "" if _agrees(model) else "its attention does not follow the mask"
    except Exception as error:  # of an architecture that takes other arguments
        return f"its architecture does not take the mask ({type(error).__name__})"


@torch.inference_mode()
def _agrees(model: Any) -> bool:
    """Whether two answers after one prefix get the same logits as two separate sequences.

    The bound is the larger of rounding and a quarter of the difference that a wrong mask makes: in bfloat16
    rounding alone would hide it.
    """
    was_training = model.training
    model.eval()
    try:
        with short_windows(model):
            shared, mixed = _shared_logits(model, (1, 2)), _shared_logits(model, (SHARED, SHARED))
            ids = torch.tensor([[*PREFIX, *rest] for rest in RESTS], device=model.device)
            separate = model(input_ids=ids, use_cache=False).logits[:, len(PREFIX) :]
    finally:
        model.train(was_training)
    error, wrong = ((logits - separate).abs().max() for logits in (shared, mixed))
    rounding = 100 * torch.finfo(separate.dtype).eps * separate.abs().max()
    return bool(error <= torch.minimum(rounding, wrong / 4))


def _shared_logits(model: Any, owners: tuple[int, int]) -> Tensor:
    """The logits of both answers in one row, (answers, tokens, vocabulary), with these owners."""
    start, rest = len(PREFIX), len(RESTS[0])
    tokens = [*PREFIX, *RESTS[0], *RESTS[1]]
    position = [*range(start), *range(start, start + rest), *range(start, start + rest)]
    owner = [SHARED] * start + [owners[0]] * rest + [owners[1]] * rest
    grid = torch.tensor([tokens, position, owner], device=model.device)[:, None]
    logits = PrefixCache(model, 1).forward(grid[0], grid[1], grid[2], logits_to_keep=len(tokens))
    return logits[0, start:].view(2, rest, -1)


@contextmanager
def short_windows(model: Any) -> Iterator[None]:
    """Let the model's windows and chunks have ``WINDOW`` tokens, inside the block."""
    text = model.config.get_text_config()
    sizes = {name: getattr(text, name, None) for name in KINDS.values() if name}
    try:
        for name, size in sizes.items():
            if size:
                setattr(text, name, WINDOW)
        yield
    finally:
        for name, size in sizes.items():
            if size:
                setattr(text, name, size)
