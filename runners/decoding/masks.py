"""The attention masks of a model's layers, for tokens whose places are not their positions in the text.

Most models have one kind of layer and take one mask. Models that alternate kinds (full attention, a sliding
window, chunks) take a dictionary with a mask for each kind, as transformers 5 builds it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"
KINDS = {FULL: "", SLIDING: "sliding_window", CHUNKED: "attention_chunk_size"}
"""The kinds of layers that have a mask here, and the setting with the size of each."""

ALIGNED = 8
"""Entries between the beginnings of two rows of a mask are a multiple of it, as PyTorch's memory-efficient
attention wants (``preprocess_mask`` in ATen's attention.cpp)."""
Masks = Tensor | dict[str, Tensor]
"""One mask for all layers, or one for each kind of layer: additive, (rows, 1, width, slots)."""


def layer_kinds(model: Any) -> tuple[str, ...]:
    """The kinds of a model's layers, by transformers' names."""
    text = model.config.get_text_config()
    if types := getattr(text, "layer_types", None):
        return tuple(sorted(set(types)))
    return (next((kind for kind, size in KINDS.items() if size and getattr(text, size, None)), FULL),)


def layer_masks(model: Any, visible: Tensor, position: Tensor, slot_position: Tensor) -> Masks:
    """The masks by which tokens attend to slots, in the form that the model takes.

    ``visible`` (rows, 1, width, slots) says which slots belong to a token's text and are not after it;
    ``position`` (rows, width) and ``slot_position`` (rows, slots) are positions in the text, by which windows
    and chunks are limited. Raises KeyError: a kind of layer that is not in ``KINDS``.
    """
    text = model.config.get_text_config()
    masks = {}
    for kind in layer_kinds(model):
        size = getattr(text, KINDS[kind]) if KINDS[kind] else 0
        near = within(kind, size, position[:, None, :, None], slot_position[:, None, None, :])
        masks[kind] = additive_mask(visible if near is None else visible & near, model.dtype)
    return masks if len(masks) > 1 else masks.popitem()[1]


def within(kind: str, size: int, position: Tensor, slot: Tensor) -> Tensor | None:
    """Whether a slot is in the window or chunk of a position; None: always."""
    if kind == SLIDING:
        return position - slot < size
    return position // size == slot // size if kind == CHUNKED else None


def additive_mask(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """Convert a boolean mask to an additive one, once: attention would convert it again in every layer.

    A GPU's kernel would also copy it in every layer if its rows did not begin at multiples of ``ALIGNED``.
    """
    if torch.is_autocast_enabled(visible.device.type):
        dtype = torch.get_autocast_dtype(visible.device.type)
    width = visible.shape[-1]
    rows = torch.zeros((*visible.shape[:-1], width + -width % ALIGNED), dtype=dtype, device=visible.device)
    return rows[..., :width].masked_fill_(~visible, -torch.inf)
