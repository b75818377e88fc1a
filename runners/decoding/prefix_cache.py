"""A key-value cache in which every shared prompt prefix is computed once.

A batch has a row for each *prefix group*: a prefix that several answers share, and for each of these answers
a sequence of its own after it (the rest of its prompt, then the generated tokens). The sequences of a row
attend to the prefix and themselves, not to each other. Common beginnings of rows' prefixes are prefilled once
and then copied. So n answers to one prompt cost one prefill, and questions on one database share its schema.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import Cache
from transformers.cache_utils import DynamicLayer

from runners.compat.transformers import cache_argument
from runners.decoding.attention import HIDDEN, SHARED, layer_masks, visible_slots
from runners.decoding.tokens import Tokens

PASS = {"cpu": 2048, "cuda": 16_384}
"""Most tokens of a pass, padding included, by device; longer rows have a pass of their own. Larger passes are
no faster on that device."""
MASK = 2**24
"""Most entries of a mask: longer rows are computed in several pieces."""

Row = Sequence[tuple[int, int, Tokens]]
"""The texts of a row: owner, position of the first token, tokens."""
MAX_ANSWERS = 16
"""Most answers in a row: attention reads the keys of all answers, even those that are masked."""


@dataclass(frozen=True, slots=True)
class PrefixGroup:
    """One row: the shared prefix and, for each answer, its number and the rest of its prompt."""

    prefix: Tokens
    answers: tuple[tuple[int, Tokens], ...]


def common_prefix_length(sequences: Sequence[Tokens]) -> int:
    """Length of the prefix that all sequences share."""
    low, high = min(sequences), max(sequences)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False)))


def group_by_prefix(sequences: Sequence[Tokens], max_size: int) -> list[list[int]]:
    """Group the indices of sequences that share at least half of their tokens, ``max_size`` to a group."""
    groups: list[list[int]] = []
    first: Tokens = ()
    for index in sorted(range(len(sequences)), key=sequences.__getitem__):
        tokens = sequences[index]
        full = not groups or len(groups[-1]) >= max_size
        if not full and 2 * common_prefix_length([first, tokens]) >= len(tokens):
            groups[-1].append(index)
        else:
            groups.append([index])
            first = tokens
    return groups


def prefix_groups(prompts: Sequence[Tokens], n: int) -> list[PrefixGroup]:
    """The groups for ``n`` answers to each prompt; answer ``i * n + k`` is the k-th of prompt i.

    The last token of a prompt is not part of the prefix: it is the input of the first decoding step.
    """
    if n > 1:
        chunks = [range(start, min(start + MAX_ANSWERS, n)) for start in range(0, n, MAX_ANSWERS)]
        return [
            PrefixGroup(prompt[:-1], tuple((i * n + k, prompt[-1:]) for k in chunk))
            for i, prompt in enumerate(prompts)
            for chunk in chunks
        ]
    groups = _groups_of_prompts(prompts, MAX_ANSWERS // 2)
    rest = sum(len(tokens) for group in groups for _, tokens in group.answers)
    shared = sum(len(group.prefix) for group in groups)
    return groups if rest < shared else _groups_of_prompts(prompts, MAX_ANSWERS // 4)


def _groups_of_prompts(prompts: Sequence[Tokens], max_size: int) -> list[PrefixGroup]:
    """Groups of at most ``max_size`` prompts, each with the prefix that its prompts share."""
    groups = []
    for indices in group_by_prefix(prompts, max_size):
        members = [prompts[i] for i in indices]
        shared = min(common_prefix_length(members), min(map(len, members)) - 1)
        groups.append(PrefixGroup(members[0][:shared], tuple((i, prompts[i][shared:]) for i in indices)))
    return groups


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A cache layer with spare capacity, so that a step writes only its own keys and copies no others."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = 0
        """Slots in use."""
        self.buffers: list[Tensor] = []
        """Keys and values: (rows, heads, capacity, head size) each."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append keys and values (rows, heads, new slots, head size); return all of them."""
        start, self.length = self.length, self.length + key_states.shape[-2]
        if not self.buffers:
            self.buffers = [key_states[:, :, :0], value_states[:, :, :0]]
        if self.length > self.buffers[0].shape[-2]:
            self.buffers = [_grown(buffer, start, 2 * self.length) for buffer in self.buffers]
        for buffer, new in zip(self.buffers, (key_states, value_states), strict=True):
            buffer[:, :, start : self.length] = new
        keys, values = (buffer[:, :, : self.length] for buffer in self.buffers)
        return keys, values

    def get_seq_length(self) -> int:
        """Slots in use."""
        return self.length

    def select(self, rows: Tensor, slots: Tensor) -> None:
        """Keep only these rows, in this order, and in each row these slots (rows, slots)."""
        selected = []
        for buffer in self.buffers:
            heads = torch.arange(buffer.shape[1], device=rows.device)
            selected.append(buffer[rows[:, None, None], heads[None, :, None], slots[:, None, :]])
        self.buffers = selected
        self.length = slots.shape[1]

    def take(self, layers: Sequence[GrowingLayer]) -> None:
        """Take the rows of other layers, which are left empty: both would not always fit the memory."""
        self.length = max(layer.length for layer in layers)
        padded = [layer._padded_to(self.length) for layer in layers]
        for layer in layers:
            layer.buffers = []
        self.buffers = [torch.cat(parts) for parts in zip(*padded, strict=True)]

    def _padded_to(self, length: int) -> list[Tensor]:
        """The used slots, padded with zeros, because masked values must not be NaN."""
        return [pad(buffer[:, :, : self.length], (0, 0, 0, length - self.length)) for buffer in self.buffers]


def _grown(buffer: Tensor, used: int, capacity: int) -> Tensor:
    grown = buffer.new_empty(*buffer.shape[:2], capacity, buffer.shape[3])
    grown[:, :, :used] = buffer[:, :, :used]
    return grown


class PrefixCache:
    """The keys and values of a batch of rows, and for each slot its owner and its position in the text."""

    def __init__(self, model: Any, rows: int) -> None:
        self.model = model
        self.layers = [GrowingLayer() for _ in range(model.config.get_text_config().num_hidden_layers)]
        self.cache = Cache(layers=list(self.layers))
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        self.argument = cache_argument(base.__class__)
        self.owner = torch.empty((rows, 0), dtype=torch.long, device=model.device)
        self.position = self.owner.clone()

    def forward(
        self, tokens: Tensor, position: Tensor, owner: Tensor, logits_to_keep: int, plain: bool = False
    ) -> Tensor:
        """Run tokens (rows, width) through the model and cache them.

        ``plain``: each row is one text from its beginning, so that the model's own causal mask serves, which
        takes no memory. Returns the logits of the last tokens: (rows, ``logits_to_keep``, vocabulary).
        """
        self.owner = torch.cat([self.owner, owner], 1)
        self.position = torch.cat([self.position, position], 1)
        visible = None if plain else visible_slots(self.owner, self.position, owner, position)
        output = self.model(
            input_ids=tokens,
            position_ids=position,
            attention_mask=None
            if visible is None
            else layer_masks(self.model, visible, position, self.position),
            use_cache=True,
            logits_to_keep=logits_to_keep,
            **{self.argument: self.cache},
        )
        logits: Tensor = output.logits
        return logits

    def select(self, rows: Tensor, owners: Tensor) -> None:
        """Keep these rows, in this order, each with its prefix and the slots of ``owners`` (rows, any)."""
        owner = self.owner[rows]
        owned = (owner[:, :, None] == owners[:, None, :]).any(-1)
        kept = (owner == SHARED) | (owned & (owner != HIDDEN))
        count = int(kept.sum(1).max()) if kept.shape[1] else 0
        slots = kept.long().argsort(dim=1, descending=True, stable=True)[:, :count]
        self.owner = owner.masked_fill(~kept, HIDDEN).gather(1, slots)
        self.position = self.position[rows].gather(1, slots)
        for layer in self.layers:
            layer.select(rows, slots)

    def shared_by(self, rows: Tensor) -> PrefixCache:
        """A new cache with a row for each of ``rows`` (rows,), which holds the prefix of that row."""
        cache = PrefixCache(self.model, 0)
        cache.owner, cache.position = self.owner, self.position
        for own, new in zip(self.layers, cache.layers, strict=True):
            new.buffers, new.length = own.buffers, own.length
        cache.select(rows, self.owner.new_empty((len(rows), 0)))
        return cache


def joined(caches: Sequence[PrefixCache]) -> PrefixCache:
    """A cache with the rows of all ``caches``, which are left empty; shorter rows get hidden slots."""
    if len(caches) == 1:
        return caches[0]
    cache = PrefixCache(caches[0].model, 0)
    slots = max(part.owner.shape[1] for part in caches)
    cache.owner = torch.cat([_padded(part.owner, slots, HIDDEN) for part in caches])
    cache.position = torch.cat([_padded(part.position, slots, 0) for part in caches])
    for number, layer in enumerate(cache.layers):
        layer.take([part.layers[number] for part in caches])
    return cache


def _padded(grid: Tensor, slots: int, value: int) -> Tensor:
    return pad(grid, (0, slots - grid.shape[1]), value=value)


def prefill(model: Any, groups: Sequence[PrefixGroup]) -> tuple[PrefixCache, list[PrefixGroup]]:
    """The cache of these groups, with all but the last token of each prompt, and the group of each row."""
    prefixes = [group.prefix for group in groups]
    clusters = group_by_prefix(prefixes, len(prefixes))
    starts = [prefixes[rows[0]][: common_prefix_length([prefixes[i] for i in rows])] for rows in clusters]
    start_of = {i: number for number, rows in enumerate(clusters) for i in rows}
    cache, row_of = _starts_cache(model, starts)
    rests = [_rest(group, len(starts[start_of[i]])) for i, group in enumerate(groups)]
    parts, order = [], list[int]()
    for indices in _passes([_width(rest) for rest in rests], model.device.type):
        copies = torch.tensor([row_of[start_of[i]] for i in indices], device=model.device)
        parts.append(cache.shared_by(copies))
        _forward_padded(parts[-1], [rests[i] for i in indices])
        order += indices
    return joined(parts), [groups[i] for i in order]


def _passes(widths: Sequence[int], device: str) -> list[list[int]]:
    """Divide the indices of rows into passes of rows with similar widths."""
    passes: list[list[int]] = []
    for index in sorted(range(len(widths)), key=widths.__getitem__, reverse=True):
        if passes and (len(passes[-1]) + 1) * widths[passes[-1][0]] <= PASS[device]:
            passes[-1].append(index)
        else:
            passes.append([index])
    return passes


def _starts_cache(model: Any, starts: Sequence[Tokens]) -> tuple[PrefixCache, dict[int, int]]:
    """A cache with a row for each start, and the row of each start."""
    passes = _passes([len(start) for start in starts], model.device.type)
    parts = [PrefixCache(model, len(indices)) for indices in passes]
    for part, indices in zip(parts, passes, strict=True):
        _forward_starts(part, [starts[i] for i in indices])
    rows = (i for indices in passes for i in indices)
    return joined(parts), {start: row for row, start in enumerate(rows)}


def _rest(group: PrefixGroup, done: int) -> Row:
    """The texts of a group's row after its first ``done`` tokens."""
    own = [(answer + 1, len(group.prefix), rest[:-1]) for answer, rest in group.answers]
    return [(SHARED, done, group.prefix[done:]), *own]


def _width(row: Row) -> int:
    return sum(len(tokens) for _, _, tokens in row)


def _forward_starts(cache: PrefixCache, starts: Sequence[Tokens]) -> None:
    """Run the first tokens of each row, padded with hidden tokens at its end; at least one token."""
    width = max(1, *map(len, starts))
    tokens = [start + (0,) * (width - len(start)) for start in starts]
    owner = [(SHARED,) * len(start) + (HIDDEN,) * (width - len(start)) for start in starts]
    position = [range(width)] * len(starts)
    grid = torch.tensor([tokens, position, owner], device=cache.owner.device)
    cache.forward(grid[0], grid[1], grid[2], logits_to_keep=1, plain=True)


def _forward_padded(cache: PrefixCache, rows: Sequence[Row]) -> None:
    """Run the texts of each row, padded with hidden tokens."""
    width = max(map(_width, rows))
    if not width:
        return
    slots = []
    for row in rows:
        filled = [(t, start + i, owner) for owner, start, tokens in row for i, t in enumerate(tokens)]
        slots.append(filled + [(0, 0, HIDDEN)] * (width - len(filled)))
    grid = torch.tensor(slots, device=cache.owner.device)
    piece = max(1, MASK // (len(rows) * (cache.owner.shape[1] + width)))
    for tokens, position, owner in (part.unbind(-1) for part in torch.split(grid, piece, 1)):
        cache.forward(tokens, position, owner, logits_to_keep=1)
