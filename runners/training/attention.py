"""Exact attention over a tree of tokens, without a mask of all slots by all slots.

The slots of a tree are in depth-first order, and slot i has the descendants ``i + 1 .. ends[i] - 1``: a slot
attends to its ancestors and itself. So a chain of slots attends to itself causally, and all its descendants,
which stand side by side, attend to all of it. Subtrees of at most ``BLOCK`` slots attend to themselves by a
small mask. Each of these *pieces* is a call of PyTorch's fused kernel on slices of queries and keys. The
softmax over several pieces follows from the logarithms of their sums (Milakov and Gimelshein 2018,
arXiv:1805.02867), and the kernel's own backward gives exact gradients if it is passed the output and the sums
over all pieces (as in ring attention, Liu et al. 2023, arXiv:2310.01889). Memory is linear in the slots.

Layers with windows or chunks take the same way; their chains are divided, and pieces out of sight left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from runners.compat.torch import ATTENTION, ATTENTION_BACKWARD
from runners.compat.transformers import TREE_ATTENTION, attention
from runners.decoding.attention import (
    FULL,
    KINDS,
    additive_mask,
    grouped_attention,
    layer_kinds,
    layer_masks,
    within,
)
from runners.decoding.probe import short_windows

BLOCK = 128
"""Most slots of a piece with a mask: larger ones compute more masked pairs, smaller ones are more calls."""


class Piece(NamedTuple):
    """Queries and keys that are computed in one call: all pairs, causal ones, or those of a mask."""

    queries: slice
    keys: slice
    causal: bool = False
    mask: Tensor | None = None
    """Additive, (queries, keys)."""
    blind: Tensor | None = None
    """Which queries see none of the keys, (queries,); the kernel gives them a sum of 1."""


ALL = slice(None)


def ancestors(ends: Sequence[int], device: torch.device, queries: slice = ALL, keys: slice = ALL) -> Tensor:
    """Whether each key is an ancestor of each query, or the query itself: (queries, keys)."""
    slot, end = torch.arange(len(ends), device=device), torch.tensor(ends, device=device)
    return (slot[keys] <= slot[queries][:, None]) & (slot[queries][:, None] < end[keys])


class Visibility:
    """Which slots of a tree attend to which, in layers of one kind."""

    def __init__(
        self, ends: Sequence[int], positions: Sequence[int], kind: str, size: int, block: int = BLOCK
    ) -> None:
        """``ends``: end of each slot's descendants; ``size``: of the windows or chunks of this kind."""
        self.ends, self.kind, self.size, self.block = ends, kind, size, block
        self.position = torch.tensor(positions)
        self._made: dict[torch.dtype, list[Piece]] = {}

    def pairs(self, queries: slice, keys: slice) -> Tensor:
        """Whether each query attends to each key, (queries, keys)."""
        seen = ancestors(self.ends, torch.device("cpu"), queries, keys)
        near = within(self.kind, self.size, self.position[queries][:, None], self.position[keys])
        return seen if near is None else seen & near

    def mask(self, dtype: torch.dtype, device: torch.device) -> Tensor:
        """The additive mask of all slots (1, 1, slots, slots)."""
        return additive_mask(self.pairs(ALL, ALL).to(device), dtype)[None, None]

    @cached_property
    def _spans(self) -> list[tuple[int, int, bool]]:
        """(first slot, end, whether it is a chain) of the parts in which slots attend to each other."""
        ends, spans, start = self.ends, list[tuple[int, int, bool]](), 0
        while start < len(ends):
            stop, chain = start + 1, True
            while stop < ends[start] and ends[stop] == ends[start]:
                stop += 1
            if self.kind != FULL:
                stop = min(stop, start + self.block)
            if ends[start] - start <= self.block:
                stop, chain = ends[start], stop == ends[start]
                while stop < len(ends) and ends[stop] - start <= self.block:
                    stop, chain = ends[stop], False
            spans.append((start, stop, chain))
            start = stop
        return spans

    def pieces(self, dtype: torch.dtype) -> list[Piece]:
        """The pieces that cover all pairs; the first ones are of a span and itself, and cover all slots."""
        if dtype not in self._made:
            self._made[dtype] = [*self._own_pieces(dtype), *self._further_pieces(dtype)]
        return self._made[dtype]

    def _own_pieces(self, dtype: torch.dtype) -> Iterator[Piece]:
        for start, stop, chain in self._spans:
            own = slice(start, stop)
            causal = chain and self.kind == FULL
            yield Piece(own, own, causal, None if causal else additive_mask(self.pairs(own, own), dtype))

    def _further_pieces(self, dtype: torch.dtype) -> Iterator[Piece]:
        for number, (start, stop, chain) in enumerate(self._spans):
            end = self.ends[start] if chain else stop
            if self.kind == FULL and stop < end:
                yield Piece(slice(stop, end), slice(start, stop))
            for first, last, _ in self._spans[number + 1 :] if self.kind != FULL else ():
                queries, keys = slice(first, last), slice(start, stop)
                seen = self.pairs(queries, keys) if first < end else torch.zeros(1)
                if seen.all():
                    yield Piece(queries, keys)
                elif seen.any():
                    yield Piece(queries, keys, False, additive_mask(seen, dtype), ~seen.any(1))


class TreeMask(Tensor):
    """Stands for the mask of a kind of layer. Its only value is NaN, lest it be taken for a mask."""

    visibility: Visibility


def tree_masks(model: Any, ends: Sequence[int], positions: Sequence[int], block: int = BLOCK) -> Any:
    """The masks of a tree of tokens, for a model with this attention, in the form that the model takes."""
    text = model.config.get_text_config()
    masks = {}
    for kind in layer_kinds(model):
        mask = torch.full((1, 1, 1, 1), torch.nan, device=model.device).as_subclass(TreeMask)
        size = getattr(text, KINDS[kind]) if KINDS[kind] else 0
        mask.visibility = Visibility(ends, positions, kind, size, block)
        masks[kind] = mask
    return masks if len(masks) > 1 else masks.popitem()[1]


def adopt(model: Any) -> bool:
    """Let a model's layers take ``tree_masks``, if its outputs are then those of full masks.

    Models on a GPU keep full masks: the kernel here is the CPU's.
    """
    if model.device.type != "cpu" or attention(model) != "sdpa" or set(layer_kinds(model)) - set(KINDS):
        return False
    before = model.config._attn_implementation
    model.set_attn_implementation(TREE_ATTENTION)
    try:
        if _agrees(model):
            return True
    except Exception:  # of an architecture that treats masks in its own way
        pass
    model.set_attn_implementation(before)
    return False


@torch.inference_mode()
def _agrees(model: Any) -> bool:
    """Whether a small tree of several pieces gives the same logits with both masks."""
    position = [*range(6), *range(6, 9), *range(6, 10), *range(4)]
    ends = [13] * 6 + [9] * 3 + [13] * 4 + [17] * 4
    place = torch.tensor([position])
    inputs = {"input_ids": place + 3, "position_ids": place, "use_cache": False}
    was_training = model.training
    model.eval()
    try:
        with short_windows(model):
            seen = ancestors(ends, place.device)[None, None]
            full, tree = (
                model(**inputs, attention_mask=mask).logits
                for mask in (
                    layer_masks(model, seen, place, place),
                    tree_masks(model, ends, position, block=4),
                )
            )
    finally:
        model.train(was_training)
    bound = 100 * torch.finfo(full.dtype).eps * full.abs().max()
    return bool((full - tree).abs().max() <= bound)


def tree_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """SDPA as an attention function of transformers, and in pieces where the mask is a ``TreeMask``.

    ``query`` (1, heads, slots, head size); ``key`` and ``value`` may have fewer heads, each for a group of
    query heads. Returns (1, slots, heads, head size). With dropout the mask is made in full.
    """
    seen: Visibility | None = getattr(attention_mask, "visibility", None)
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
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, seen: Visibility, scale: Any) -> Tensor:
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


AttentionInterface.register(TREE_ATTENTION, tree_attention)
AttentionMaskInterface.register(TREE_ATTENTION, sdpa_mask)
