"""Test whether a model can share prompt prefixes: compare its logits on shared rows with plain ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from runners.compat.transformers import attention
from runners.decoding.attention import KINDS, SHARED, layer_kinds
from runners.decoding.prefix_cache import PrefixCache
from runners.decoding.tokens import NO_LIMIT, context_length

ATTENTIONS = ("sdpa", "eager")
"""The implementations of attention that take an additive mask."""
WINDOW = 3
"""The size of windows and chunks in the short comparison: its texts have tokens outside of them."""
SHORT, LONG = 8, 2048
"""Tokens of the texts that are compared: with short windows, and with the model's own (at most)."""
OPERATIONS = {"cpu": 1e11, "cuda": 5e13}
"""Operations that the long comparison may cost, by device: about a second."""
SPREAD = (0, 5, 13, 30)
"""The positions of a text whose logits show the frequencies of a rotary embedding."""
FARTHEST = 2**24
"""The farthest position that is tried, where a model has no limit."""


def refusal(model: Any) -> str:
    """The reason why prompt prefixes cannot be shared with this model; "" if they can.

    Texts in a row are compared with the same texts alone: short ones with short windows, and texts as long as
    a second allows with the model's own, in a row that is longer than they are.
    """
    if other := sorted(set(layer_kinds(model)) - set(KINDS)):
        return f"it has layers of {', '.join(other)}"
    if attention(model) not in ATTENTIONS:
        return f"its attention is {attention(model)}, not {' or '.join(ATTENTIONS)}"
    if any(buffer.dtype == torch.bool and buffer.ndim == 4 for buffer in model.buffers()):
        return "its layers have masks of their own"
    try:
        with short_windows(model):
            agrees = _agrees(model, SHORT)
        return "" if agrees and _agrees(model, _long(model)) else "its attention does not follow the mask"
    except Exception as error:  # of an architecture that takes other arguments
        return f"its architecture does not take the mask ({type(error).__name__})"


def _long(model: Any) -> int:
    """The tokens of a text in the long comparison, which computes five texts."""
    weights = sum(parameter.numel() for parameter in model.parameters())
    affordable = OPERATIONS.get(model.device.type, 1e11) / (10 * weights)
    return int(max(SHORT, min(affordable, LONG, context_length(model.config))))


@torch.inference_mode()
def _agrees(model: Any, length: int) -> bool:
    """Whether a text of this many tokens has the same logits alone and as the second answer of a row.

    The bound is the smaller of rounding and a quarter of the difference that a wrong mask makes: in bfloat16
    rounding alone would hide it.
    """
    vocabulary = model.config.get_text_config().vocab_size
    prefix = length // 4
    rest = length - prefix
    tokens = [3 + 7919 * i % (vocabulary - 3) for i in range(prefix + 2 * rest)]
    position = [*range(length), *range(prefix, length)]
    was_training = model.training
    model.eval()
    try:
        shared, mixed = (
            _logits(model, tokens, position, [SHARED] * prefix + [1] * rest + [owner] * rest, rest)
            for owner in (2, 1)
        )
        text = torch.tensor([tokens[:prefix] + tokens[-rest:]], device=model.device)
        alone = model(input_ids=text, use_cache=False, logits_to_keep=rest).logits[0, -rest:]
    finally:
        model.train(was_training)
    error, wrong = ((logits - alone).abs().max() for logits in (shared, mixed))
    rounding = 100 * torch.finfo(alone.dtype).eps * alone.abs().max()
    return bool(error <= torch.minimum(rounding, wrong / 4))


def _logits(model: Any, tokens: list[int], position: list[int], owner: list[int], last: int) -> Tensor:
    """The logits of the last tokens of a row, (last, vocabulary)."""
    grid = torch.tensor([tokens, position, owner], device=model.device)[:, None]
    return PrefixCache(model, 1).forward(grid[0], grid[1], grid[2], logits_to_keep=last)[0, -last:]


@torch.inference_mode()
def longest_shared(model: Any) -> int:
    """The most tokens of texts that may share rows: in longer ones positions depend on the longest text.

    Some rotary embeddings change their frequencies with the largest position of a batch (dynamic NTK,
    LongRoPE). The logits of a short text are compared while a token of another one moves away in the same
    row; where they change, the boundary is searched, from the configuration's own value if it has one.
    """
    context = context_length(model.config)
    last = min(context, FARTHEST) - 1
    was_training = model.training
    model.eval()
    try:
        with short_windows(model, NO_LIMIT):
            if last <= SPREAD[-1] + 1 or not _changes(model, last):
                return NO_LIMIT
            low, high = SPREAD[-1] + 1, last  # unchanged, changed
            hint = getattr(model.config.get_text_config(), "original_max_position_embeddings", None) or 0
            for guess in (hint - 1, hint):
                if low < guess < high:
                    low, high = (low, guess) if _changes(model, guess) else (guess, high)
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if _changes(model, middle) else (middle, high)
    finally:
        model.train(was_training)
    return low + 1


def _changes(model: Any, farthest: int) -> bool:
    """Whether the logits of a text change with a token of another text at this position."""
    near, beside = SPREAD[-1] + 1, SPREAD[-1] + 2
    base, noise, far = (_spread_logits(model, position) for position in (near, beside, farthest))
    tolerance = 4 * (noise - base).abs().max() + torch.finfo(base.dtype).eps * base.abs().max()
    return bool((far - base).abs().max() > tolerance)


def _spread_logits(model: Any, other: int) -> Tensor:
    """The logits of a text with the positions ``SPREAD``, with a token of another text at ``other``."""
    position = [*SPREAD, other]
    owner = [SHARED] * len(SPREAD) + [1]
    return _logits(model, list(range(3, 3 + len(position))), position, owner, len(position))[:-1]


@contextmanager
def short_windows(model: Any, tokens: int = WINDOW) -> Iterator[None]:
    """Let the model's windows and chunks have this size, inside the block."""
    text = model.config.get_text_config()
    sizes = {name: getattr(text, name, None) for name in KINDS.values() if name}
    try:
        for name, size in sizes.items():
            if size:
                setattr(text, name, tokens)
        yield
    finally:
        for name, size in sizes.items():
            if size:
                setattr(text, name, size)
