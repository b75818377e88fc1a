"""How the texts of a pass are laid out: as trees of tokens, or as padded rows.

Texts often share a prefix: questions on one database share its schema, the answers of a group their prompt,
and some answers their first words. A tree has one slot for each distinct prefix, and a token attends to the
slots of its own text only, so it predicts what it would predict in a sequence of its own. Models whose layers
take no such mask get each text in a row of its own, padded on the right: what follows a token changes nothing
before it, in any architecture. Padding on the left, as TRL has it, moves the positions of some architectures.

The slots of a tree are in depth-first order, and slot i has the descendants ``i + 1 .. ends[i] - 1``: a slot
attends to its ancestors and itself. So a chain of slots attends to itself causally, and all its descendants,
which stand side by side, attend to all of it. Subtrees of at most ``BLOCK`` slots attend to themselves by a
small mask. For layers with windows or chunks, chains are divided, and pieces out of sight left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from runners.decoding.attention import FULL, Piece, additive_mask, layer_masks, masks_by_kind, within
from runners.decoding.prefix_cache import common_prefix_length
from runners.decoding.tokens import Tokens

BLOCK = 128
"""Most slots of a piece with a mask: larger ones compute more masked pairs, smaller ones are more calls."""
ALL = slice(None)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The lengths in slots after which a new row begins."""

    tokens: int = 1024
    """For texts that share little: attention costs the square of a row's length."""
    limit: int = 4096
    """For texts that share more: the mask needs as many bytes as the square of a row's length, times the
    dtype's size. Where a text shares more than half of this, twice what it shares."""
    in_pieces: bool = False
    """Whether the model computes attention in pieces (``tree_attention``), and so takes no mask in full."""


SIZES = Sizes()
WITHOUT_MASK = Sizes(tokens=2**31, in_pieces=True)
"""For attention in pieces (``tree_attention``), whose costs do not depend on what else is in a row."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text up to its last labelled token.

    ``fed``: the tokens that go through the model. ``labelled``: (position in the text, token, position in the
    flat batch) of each labelled token.
    """

    fed: Tokens
    labelled: tuple[tuple[int, int, int], ...]


@dataclass(slots=True)
class Layout:
    """Slots, each with a token that goes through the model once, and what is predicted from them."""

    counts: list[int] = field(default_factory=list)
    """The number of texts that a slot belongs to."""
    predictions: dict[tuple[int, int], int] = field(default_factory=dict)
    """(slot, next token) -> the number of this prediction."""
    labelled: list[tuple[int, int]] = field(default_factory=list)
    """For each labelled token its prediction and its position in the flat batch."""

    def inputs(self, model: Any, device: torch.device) -> dict[str, Any]:
        """The inputs of the model or its backbone; the slots are the cells of ``input_ids``, row by row."""
        raise NotImplementedError

    def _label(self, text: Text, path: Sequence[int]) -> None:
        """Add what a text predicts, whose tokens are in the slots of ``path``."""
        for slot in path:
            self.counts[slot] += 1
        for position, token, target in text.labelled:
            number = self.predictions.setdefault((path[position - 1], token), len(self.predictions))
            self.labelled.append((number, target))


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

    def mask(kind: str, size: int) -> Tensor:
        made = torch.full((1, 1, 1, 1), torch.nan, device=model.device).as_subclass(TreeMask)
        made.visibility = Visibility(ends, positions, kind, size, block)
        return made

    return masks_by_kind(model, mask)


@dataclass(slots=True)
class TokenTree(Layout):
    """A tree of tokens in depth-first order: the descendants of slot i are the slots up to ``ends[i]``."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    in_pieces: bool = False
    """As in ``Sizes``."""

    def add(self, text: Text, path: list[int]) -> None:
        """Add a text whose first tokens are in the slots of ``path``; extends ``path`` to the whole text."""
        for position in range(len(path), len(text.fed)):
            path.append(len(self.tokens))
            self.tokens.append(text.fed[position])
            self.positions.append(position)
            self.ends.append(0)
            self.counts.append(0)
        for slot in path:
            self.ends[slot] = len(self.tokens)
        self._label(text, path)

    def inputs(self, model: Any, device: torch.device) -> dict[str, Any]:
        """One row, with positions in the texts and a mask for each kind of layer."""
        position = torch.tensor([self.positions], device=device)
        if self.in_pieces:
            masks = tree_masks(model, self.ends, self.positions)
        else:
            masks = layer_masks(model, ancestors(self.ends, device)[None, None], position, position)
        return {
            "input_ids": torch.tensor([self.tokens], device=device),
            "position_ids": position,
            "attention_mask": masks,
        }


@dataclass(slots=True)
class PaddedTexts(Layout):
    """Texts in rows of their own, padded on the right."""

    texts: list[Tokens] = field(default_factory=list)

    def fill(self, texts: Sequence[Text]) -> None:
        """Add the texts; equal ones share a row."""
        rows = {fed: row for row, fed in enumerate(dict.fromkeys(text.fed for text in texts))}
        self.texts = list(rows)
        width = max(map(len, rows))
        self.counts = [0] * (width * len(rows))
        for text in texts:
            start = rows[text.fed] * width
            self._label(text, range(start, start + len(text.fed)))

    def inputs(self, model: Any, device: torch.device) -> dict[str, Any]:
        """The rows, with a mask where they are padded."""
        width = max(map(len, self.texts))
        ids = torch.tensor([[*text, *[0] * (width - len(text))] for text in self.texts], device=device)
        lengths = torch.tensor([len(text) for text in self.texts], device=device)
        mask = (torch.arange(width, device=device) < lengths[:, None]).long()
        return {"input_ids": ids} | ({} if bool(mask.all()) else {"attention_mask": mask})


def pack(
    texts: Iterable[Text],
    sizes: Sizes = SIZES,
    shared: bool = True,
    length_class: Callable[[int], int] | None = None,
) -> list[Layout]:
    """Lay out texts, as trees if ``shared``. Texts of different ``length_class`` are kept apart."""
    parts: dict[int, list[Text]] = {}
    for text in texts:
        parts.setdefault(length_class(len(text.fed)) if length_class else 0, []).append(text)
    lay_out = _trees if shared else _padded
    return [layout for _, part in sorted(parts.items()) for layout in lay_out(part, sizes)]


def _trees(texts: Sequence[Text], sizes: Sizes) -> list[Layout]:
    rows, path, before = [TokenTree(in_pieces=sizes.in_pieces)], list[int](), Tokens()
    for text in sorted(texts, key=lambda text: text.fed):
        shared = common_prefix_length([before, text.fed])
        width, new = len(rows[-1].tokens), len(text.fed) - shared
        longest = max(sizes.limit, 2 * shared, sizes.tokens) if new < shared else sizes.tokens
        if width and width + new > longest:
            rows.append(TokenTree(in_pieces=sizes.in_pieces))
            shared = 0
        path = path[:shared]
        rows[-1].add(text, path)
        before = text.fed
    return list(rows)


def _padded(texts: Sequence[Text], sizes: Sizes) -> list[Layout]:
    """Rows of similar length together, at most ``sizes.limit`` tokens."""
    parts: list[list[Text]] = [[]]
    for text in sorted(texts, key=lambda text: (-len(text.fed), text.fed)):
        if parts[-1] and (len(parts[-1]) + 1) * len(parts[-1][0].fed) > sizes.limit:
            parts.append([])
        parts[-1].append(text)
    layouts = [PaddedTexts() for _ in parts]
    for layout, part in zip(layouts, parts, strict=True):
        layout.fill(part)
    return list(layouts)
