"""Attention: the masks of a model's layers, SDPA for grouped heads, and attention in pieces.

Most models have one kind of layer and take one mask. Models that alternate kinds (full attention, a sliding
window, chunks) take a dictionary with a mask for each kind, as transformers 5 builds it. The tokens of a pass
have places that are not their positions in the text.

Exact attention over a tree of tokens needs no mask of all slots by all slots. Each *piece* of it is a call of
PyTorch's fused kernel on slices of queries and keys. The softmax over several pieces follows from the
logarithms of their sums (Milakov and Gimelshein 2018, arXiv:1805.02867), and the kernel's own backward gives
exact gradients if it is passed the output and the sums over all pieces (ring attention: Liu et al. 2023,
arXiv:2310.01889). Memory is linear in the slots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from runners.compat.torch import ATTENTION, ATTENTION_BACKWARD
from runners.compat.transformers import GROUPED_ATTENTION, TREE_ATTENTION, attention

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


class Piece(NamedTuple):
    """Queries and keys that are computed in one call: all pairs, causal ones, or those of a mask."""

    queries: slice
    keys: slice
    causal: bool = False
    mask: Tensor | None = None
    """Additive, (queries, keys)."""
    blind: Tensor | None = None
    """Which queries see none of the keys, (queries,); the kernel gives them a sum of 1."""


class VisiblePairs(Protocol):
    """Which slots attend to which, in layers of one kind: attribute ``visibility`` of a mask."""

    def mask(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The additive mask of all slots (1, 1, slots, slots)."""

    def pieces(self, dtype: torch.dtype) -> Sequence[Piece]:
        """The pieces that cover all pairs; the first ones are of a span and itself, and cover all slots."""


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

    def mask(kind: str, size: int) -> Tensor:
        near = within(kind, size, position[:, None, :, None], slot_position[:, None, None, :])
        return additive_mask(visible if near is None else visible & near, model.dtype)

    return masks_by_kind(model, mask)


def masks_by_kind(model: Any, make: Callable[[str, int], Tensor]) -> Masks:
    """The masks of a model's layers, each made from the kind of layer and the size of its windows or chunks.

    Raises KeyError: a kind of layer that is not in ``KINDS``.
    """
    text = model.config.get_text_config()
    kinds = layer_kinds(model)
    masks = {kind: make(kind, getattr(text, KINDS[kind]) if KINDS[kind] else 0) for kind in kinds}
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


def tree_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """SDPA as an attention function of transformers, and in pieces where the mask has a ``visibility``.

    ``query`` (1, heads, slots, head size); ``key`` and ``value`` may have fewer heads, each for a group of
    query heads. Returns (1, slots, heads, head size). With dropout the mask is made in full.
    """
    seen: VisiblePairs | None = getattr(attention_mask, "visibility", None)
    if seen and (settings.get("dropout") or query.shape[-1] != value.shape[-1]):
        attention_mask, seen = seen.mask(query.dtype, query.device), None
    if seen is None:
        return grouped_attention(module, query, key, value, attention_mask, **settings)
    if torch.is_autocast_enabled("cpu"):
        query, key, value = (each.to(torch.get_autocast_dtype("cpu")) for each in (query, key, value))
    # a batch of key heads, each with its group of query heads: keys are then expanded without a copy
    grouped = query.view(key.shape[1], -1, *query.shape[2:])
    output: Tensor = _InPieces.apply(  # type: ignore[no-untyped-call]
        grouped, key[0], value[0], seen, settings.get("scaling")
    )
    return output.view(query.shape).transpose(1, 2), None


class _InPieces(torch.autograd.Function):
    """Attention of queries (key heads, group, slots, head size) to keys and values without the group."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, seen: VisiblePairs, scale: Any
    ) -> Tensor:
        keys, values = (each[:, None].expand(query.shape) for each in (key, value))
        output = torch.empty_like(query)
        sums = query.new_empty(query.shape[:3], dtype=torch.float32)
        for piece in seen.pieces(query.dtype):
            q, k = piece.queries, piece.keys
            args = query[:, :, q], keys[:, :, k], values[:, :, k], 0.0, piece.causal
            own, own_sums = ATTENTION(*args, attn_mask=piece.mask, scale=scale)
            if q == k:
                output[:, :, q], sums[:, :, q] = own, own_sums
                continue
            if piece.blind is not None:
                own_sums.masked_fill_(piece.blind, -torch.inf)
            share = (own_sums - sums[:, :, q]).sigmoid_()[..., None]
            output[:, :, q].lerp_(own, share.to(own.dtype))
            sums[:, :, q] = sums[:, :, q].logaddexp(own_sums)
        ctx.save_for_backward(query, key, value, output, sums)
        ctx.seen, ctx.scale = seen, scale
        return output

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, output, sums = ctx.saved_tensors
        keys, values = (each[:, None].expand(query.shape) for each in (key, value))
        gradients = [torch.zeros_like(each) for each in (query, key, value)]
        for piece in ctx.seen.pieces(query.dtype):
            q, k = piece.queries, piece.keys
            args = slopes[0][:, :, q], query[:, :, q], keys[:, :, k], values[:, :, k]
            result = output[:, :, q], sums[:, :, q], 0.0, piece.causal
            of_query, of_key, of_value = ATTENTION_BACKWARD(
                *args, *result, attn_mask=piece.mask, scale=ctx.scale
            )
            gradients[0][:, :, q] += of_query
            gradients[1][:, k] += of_key.sum(1)
            gradients[2][:, k] += of_value.sum(1)
        return *gradients, None, None


AttentionInterface.register(GROUPED_ATTENTION, grouped_attention)
AttentionMaskInterface.register(GROUPED_ATTENTION, sdpa_mask)
AttentionInterface.register(TREE_ATTENTION, tree_attention)
AttentionMaskInterface.register(TREE_ATTENTION, sdpa_mask)
