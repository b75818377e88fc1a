"""Draw answers while every shared prompt prefix is computed once.

A batch is a *forest*. Each row has a trunk, seen by all of the row's branches, and branches that do not see
each other: a branch is one answer in the making, after its own end of the prompt. Rows whose trunks begin
alike are prefilled together (their *stem*) and then copied. So G answers to one prompt cost one prefill,
and questions on one database share its schema.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from torch import Tensor
from transformers import Cache
from transformers.cache_utils import DynamicLayer

Tokens = tuple[int, ...]

TRUNK, HIDDEN = 0, -1
"""Owners of a cache slot that are no branch: seen by the row, seen by nobody. Answer i owns as i + 1."""

BRANCHES = 16
"""Most branches in a row: each one's keys are read, masked, by the others."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One row: the trunk's tokens and, for each branch, which answer it makes and the tokens before it."""

    trunk: Tokens
    branches: tuple[tuple[int, Tokens], ...]


def common(sequences: Sequence[Tokens]) -> int:
    """Length of the prefix that all sequences share."""
    low, high = min(sequences), max(sequences)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(low, high, strict=False)))


def kin(sequences: Sequence[Tokens], most: int) -> list[list[int]]:
    """Group indices of sequences that share at least half of their tokens, ``most`` to a group."""
    groups: list[list[int]] = []
    first: Tokens = ()
    for index in sorted(range(len(sequences)), key=sequences.__getitem__):
        tokens = sequences[index]
        if groups and len(groups[-1]) < most and 2 * common([first, tokens]) >= len(tokens):
            groups[-1].append(index)
        else:
            groups.append([index])
            first = tokens
    return groups


def plant(prompts: Sequence[Tokens], n: int) -> list[Tree]:
    """Rows for ``n`` answers to each prompt; answer ``i * n + k`` is the k-th of prompt i.

    The last token of a prompt belongs to the branch: feeding it is the first step.
    """
    if n > 1:
        chunks = [range(start, min(start + BRANCHES, n)) for start in range(0, n, BRANCHES)]
        return [
            Tree(prompt[:-1], tuple((i * n + k, prompt[-1:]) for k in chunk))
            for i, prompt in enumerate(prompts)
            for chunk in chunks
        ]
    trees = _rows(prompts, BRANCHES // 2)
    ends = sum(len(end) for tree in trees for _, end in tree.branches)
    return trees if ends < sum(len(tree.trunk) for tree in trees) else _rows(prompts, BRANCHES // 4)


def _rows(prompts: Sequence[Tokens], most: int) -> list[Tree]:
    """Rows of at most ``most`` prompts that begin alike. Long ends had better be few: they mask others."""
    trees = []
    for group in kin(prompts, most):
        shared = min(common([prompts[i] for i in group]), min(len(prompts[i]) for i in group) - 1)
        trees.append(Tree(prompts[group[0]][:shared], tuple((i, prompts[i][shared:]) for i in group)))
    return trees


def visible(slot_owner: Tensor, slot_place: Tensor, owner: Tensor, place: Tensor) -> Tensor:
    """Which slots (rows, slots) the newest tokens (rows, width) see: a mask (rows, 1, width, slots).

    A token sees the trunk and its own branch up to its place; hidden padding sees the trunk. All see
    themselves, so that no row of the mask is empty, which would make NaN.
    """
    slot, mine = slot_owner[:, None, :], owner.clamp(min=TRUNK)[:, :, None]
    seen = ((slot == TRUNK) | (slot == mine)) & (slot_place[:, None, :] <= place[:, :, None])
    width = owner.shape[1]
    seen[:, :, -width:] |= torch.eye(width, dtype=torch.bool, device=owner.device)
    return seen[:, None]


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """The mask as attention adds it: made once here, a boolean one is converted in every layer."""
    if torch.is_autocast_enabled(seen.device.type):
        dtype = torch.get_autocast_dtype(seen.device.type)
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, -torch.inf)


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A cache layer with room to grow, so that a step writes its own keys and copies no others."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.length = 0
        self.room: list[Tensor] = []

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        start, self.length = self.length, self.length + key_states.shape[-2]
        if not self.room:
            self.room = [key_states[:, :, :0], value_states[:, :, :0]]
        if self.length > self.room[0].shape[-2]:
            self.room = [_grown(old, start, 2 * self.length) for old in self.room]
        for room, new in zip(self.room, (key_states, value_states), strict=True):
            room[:, :, start : self.length] = new
        keys, values = (room[:, :, : self.length] for room in self.room)
        return keys, values

    def get_seq_length(self) -> int:
        return self.length

    def take(self, rows: Tensor, slots: Tensor) -> None:
        """Make these rows the batch, with these slots (rows, slots) of each."""
        taken = []
        for room in self.room:
            heads = torch.arange(room.shape[1], device=rows.device)
            taken.append(room[rows[:, None, None], heads[None, :, None], slots[:, None, :]])
        self.room = taken
        self.length = slots.shape[1]

    def join(self, other: _Layer) -> None:
        """Add another layer's rows."""
        length = max(self.length, other.length)
        pairs = zip(self.room, other.room, strict=True)
        self.room = [
            torch.cat([_padded(a, self.length, length), _padded(b, other.length, length)]) for a, b in pairs
        ]
        self.length = length


def _padded(room: Tensor, used: int, length: int) -> Tensor:
    """The used slots and zeros behind them: what is masked must still be a number."""
    filled = room.new_zeros(*room.shape[:2], length, room.shape[3])
    filled[:, :, :used] = room[:, :, :used]
    return filled


def _grown(old: Tensor, used: int, room: int) -> Tensor:
    new = old.new_empty(*old.shape[:2], room, old.shape[3])
    new[:, :, :used] = old[:, :, :used]
    return new


def cache_argument(model: Any) -> str:
    """By which argument a model takes its cache: older versions of transformers have another name for it."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "cache" if "cache" in inspect.signature(base.forward).parameters else "past_key_values"


class Forest:
    """The keys and values of a batch of rows, and for each slot its owner and its position in the text."""

    def __init__(self, model: Any, rows: int) -> None:
        self.model = model
        self.layers = [_Layer() for _ in range(model.config.num_hidden_layers)]
        self.cache = Cache(layers=list(self.layers))
        self.argument = cache_argument(model)
        self.owner = torch.empty((rows, 0), dtype=torch.long, device=model.device)
        self.place = self.owner.clone()

    def feed(self, tokens: Tensor, place: Tensor, owner: Tensor, keep: int) -> Tensor:
        """Run tokens (rows, width) through the model; the logits of the last ``keep`` of them."""
        self.owner = torch.cat([self.owner, owner], 1)
        self.place = torch.cat([self.place, place], 1)
        seen = visible(self.owner, self.place, owner, place)
        output = self.model(
            input_ids=tokens,
            position_ids=place,
            attention_mask=additive(seen, self.model.dtype),
            use_cache=True,
            logits_to_keep=keep,
            **{self.argument: self.cache},
        )
        logits: Tensor = output.logits
        return logits

    def take(self, rows: Tensor, owners: Tensor) -> None:
        """Make these rows the batch, and forget what neither the trunk nor these owners (rows, any) hold."""
        owner = self.owner[rows]
        held = (owner[:, :, None] == owners[:, None, :]).any(-1)
        kept = (owner == TRUNK) | (held & (owner != HIDDEN))
        count = int(kept.sum(1).max()) if kept.shape[1] else 0
        slots = kept.long().argsort(dim=1, descending=True, stable=True)[:, :count]
        self.owner = owner.masked_fill(~kept, HIDDEN).gather(1, slots)
        self.place = self.place[rows].gather(1, slots)
        for layer in self.layers:
            layer.take(rows, slots)

    def join(self, other: Forest) -> None:
        """Add another forest's rows, hidden slots behind the shorter ones."""
        slots = max(self.owner.shape[1], other.owner.shape[1])
        self.owner = torch.cat([_behind(one.owner, slots, HIDDEN) for one in (self, other)])
        self.place = torch.cat([_behind(one.place, slots, 0) for one in (self, other)])
        for mine, theirs in zip(self.layers, other.layers, strict=True):
            mine.join(theirs)


def _behind(grid: Tensor, slots: int, nothing: int) -> Tensor:
    return torch.nn.functional.pad(grid, (0, slots - grid.shape[1]), value=nothing)


def prefill(model: Any, trees: Sequence[Tree]) -> Forest:
    """The forest of these rows, with all but the last token of each branch computed."""
    trunks = [tree.trunk for tree in trees]
    groups = kin(trunks, len(trunks))
    stems = [trunks[group[0]][: common([trunks[i] for i in group])] for group in groups]
    forest = Forest(model, len(stems))
    _feed_padded(forest, [[(TRUNK, 0, stem)] for stem in stems])
    stem_of = {i: number for number, group in enumerate(groups) for i in group}
    copies = torch.tensor([stem_of[i] for i in range(len(trees))], device=model.device)
    forest.take(copies, forest.owner.new_empty((len(trees), 0)))
    rests = []
    for i, tree in enumerate(trees):
        done = len(stems[stem_of[i]])
        own = [(answer + 1, len(tree.trunk), end[:-1]) for answer, end in tree.branches]
        rests.append([(TRUNK, done, tree.trunk[done:]), *own])
    _feed_padded(forest, rests)
    return forest


def _feed_padded(forest: Forest, rows: Sequence[Sequence[tuple[int, int, Tokens]]]) -> None:
    """Feed each row its pieces (owner, place of the first token, tokens), hidden padding behind them."""
    width = max(sum(len(tokens) for _, _, tokens in row) for row in rows)
    if not width:
        return
    slots = []
    for row in rows:
        filled = [(t, start + i, owner) for owner, start, tokens in row for i, t in enumerate(tokens)]
        slots.append(filled + [(0, 0, HIDDEN)] * (width - len(filled)))
    tokens, place, owner = torch.tensor(slots, device=forest.owner.device).unbind(-1)
    forest.feed(tokens, place, owner, keep=1)
