"""Attention while answers are decoded: the masks of a model's layers, and SDPA for grouped heads.

Most models have one kind of layer and take one mask. Models that alternate kinds (full attention, a sliding
window, chunks) take a dictionary with a mask for each kind, as transformers 5 builds it. The tokens of a pass
have places that are not their positions in the text.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from runners.compat.transformers import GROUPED_ATTENTION, attention

SHARED, HIDDEN = 0, -1
"""Owners of a cache slot that belongs to all answers of its row, or to none. Answer i is owner i + 1."""
FULL, SLIDING, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"
KINDS = {FULL: "", SLIDING: "sliding_window", CHUNKED: "attention_chunk_size"}
"""The kinds of layers that have a mask here, and the setting with the size of each."""

ALIGNED = 8
"""Entries between the beginnings of two rows of a mask are a multiple of it, as PyTorch's memory-efficient
attention wants (``preprocess_mask`` in ATen's attention.cpp)."""
Masks = Tensor | dict[str, Tensor]
"""One mask for all layers, or one for each kind of layer: additive, (rows, 1, width, slots)."""
FEW = 64
"""Most queries of a row for which the heads of a group are folded: for more, copying keys costs little."""


def visible_slots(slot_owner: Tensor, slot_position: Tensor, owner: Tensor, position: Tensor) -> Tensor:
    """The slots that the newest tokens (rows, width) attend to: a mask (rows, 1, width, slots).

    A token sees the prefix and its own answer up to its position; hidden padding sees the prefix. Every token
    sees itself, because an empty row of the mask would give NaN.
    """
    slot, own = slot_owner[:, None, :], owner.clamp(min=SHARED)[:, :, None]
    visible = ((slot == SHARED) | (slot == own)) & (slot_position[:, None, :] <= position[:, :, None])
    width = owner.shape[1]
    visible[:, :, -width:] |= torch.eye(width, dtype=torch.bool, device=owner.device)
    return visible[:, None]


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


def fold_groups(model: Any) -> None:
    """Let a model on a CPU use this attention, if its architecture lets the attention be chosen."""
    replaceable = getattr(model, "_supports_attention_backend", False)
    if replaceable and model.device.type == "cpu" and attention(model) == "sdpa":
        model.set_attn_implementation(GROUPED_ATTENTION)


def grouped_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """An attention function of transformers: in a decoding step, a group's heads are further queries.

    With a mask transformers copies all keys and values once for each query head of a group, in every layer
    and step. ``query`` (rows, heads, width, head size), ``key`` and ``value`` (rows, key heads, slots, head
    size). Returns (rows, width, heads, head size).
    """
    rows, heads, width, _ = query.shape
    group = heads // key.shape[1]
    plain = not settings.get("dropout") and settings.get("position_bias") is None
    if attention_mask is None or attention_mask.shape[1] > 1 or group == 1 or width > FEW or not plain:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    output = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(rows, key.shape[1], group * width, -1),
        key,
        value,
        attn_mask=attention_mask.expand(-1, -1, width, -1).repeat(1, 1, group, 1),
        scale=settings.get("scaling"),
    )
    return output.reshape(rows, heads, width, -1).transpose(1, 2).contiguous(), None


AttentionInterface.register(GROUPED_ATTENTION, grouped_attention)
AttentionMaskInterface.register(GROUPED_ATTENTION, sdpa_mask)
