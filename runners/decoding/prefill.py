"""Compute the prompts of prefix groups: common beginnings once, and little padding.

Rows of similar width are computed in one pass, because a pass computes the padding of its shorter rows too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from runners.decoding.prefix_cache import (
    HIDDEN,
    SHARED,
    PrefixCache,
    PrefixGroup,
    common_prefix_length,
    group_by_prefix,
    joined,
)
from runners.decoding.tokens import Tokens

PASS = {"cpu": 2048, "cuda": 16_384}
"""Most tokens of a pass, padding included, by device; longer rows have a pass of their own. Larger passes are
no faster on that device."""
MASK = 2**24
"""Most entries of a mask: longer rows are computed in several pieces."""

Row = Sequence[tuple[int, int, Tokens]]
"""The texts of a row: owner, position of the first token, tokens."""


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
