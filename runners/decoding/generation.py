"""The decoding loop over a forest of prompts (``prefix``): greedy or sampled, each answer reproducible."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from runners.decoding.prefix_cache import HIDDEN, Tokens, Tree, plant, prefill
from runners.types import Finish

BATCH_TOKENS = {"cpu": 100_000, "cuda": 400_000}
"""Tokens of prompts and answers at work together where the caller does not say, by device."""

REFILL = {"cpu": 1.0, "cuda": 0.25}
"""Share of that room which must be free before more rows join. A step on a GPU costs about the same for few
rows as for many. On a CPU it does not, and joining copies the cache: all must have ended."""

NOBODY = (0, 0, HIDDEN, -1)
"""Token, place, owner and branch where a row has no living branch."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How tokens are drawn. ``ended`` looks for stop strings in an answer's tokens."""

    temperature: float
    top_p: float
    max_new_tokens: int
    end_tokens: tuple[int, ...]
    ended: Callable[[list[int]], bool] | None = None
    refill: float | None = None
    """Share of the room that is free when rows join those at work; None: the device's."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One answer: its tokens, with the end token where one was drawn.

    ``seconds`` is its share of the wall-clock time since the answers before it ended.
    """

    tokens: list[int]
    logprob: float | None
    finish: Finish
    seconds: float = 0.0


def draw(
    model: Any, prompts: Sequence[Tokens], seeds: Sequence[int], n: int, how: Drawing, batch_tokens: int = 0
) -> Iterator[tuple[int, list[Drawn]]]:
    """Yield ``(prompt's index, its n answers)`` as they end, with at most ``batch_tokens`` tokens at work.

    Rows whose answers have ended make room for the next ones (``REFILL``). An answer depends on its prompt's
    seed and its number; what is drawn beside it changes the rounding only, which in bfloat16 can change it.
    """
    open_answers: dict[int, dict[int, Drawn]] = {}
    was_training = model.training
    model.eval()
    try:
        for answer, drawn in _drawn(model, prompts, seeds, n, how, batch_tokens):
            answers = open_answers.setdefault(answer // n, {})
            answers[answer % n] = drawn
            if len(answers) == n:
                yield answer // n, [answers[k] for k in range(n)]
    finally:
        model.train(was_training)


@torch.inference_mode()
def _drawn(
    model: Any, prompts: Sequence[Tokens], seeds: Sequence[int], n: int, how: Drawing, batch_tokens: int
) -> Iterator[tuple[int, Drawn]]:
    """Answers by number, as they end; longest rows first, so that memory runs out at once or not at all."""
    room = batch_tokens or BATCH_TOKENS[model.device.type]
    enough = (REFILL[model.device.type] if how.refill is None else how.refill) * room
    trees = sorted(plant(prompts, n), key=lambda tree: (len(tree.trunk), tree.trunk))
    work: _Work | None = None
    began = time.perf_counter()
    while trees or work:
        free = room - sum(work.sizes) if work else room
        if trees and (work is None or free >= max(enough, _size(trees[-1], how.max_new_tokens))):
            more = _next(trees, free, how.max_new_tokens)
            chance = [_chances(seeds[a // n], a % n, how.max_new_tokens) for t in more for a, _ in t.branches]
            new = _Work(model, more, torch.stack(chance).to(model.device), how)
            work = work.joined(new) if work else new
        assert work is not None
        if found := work.step():
            now = time.perf_counter()
            yield from ((a, replace(one, seconds=(now - began) / len(found))) for a, one in found)
            began = now
            work = work.shrunk()


def _next(trees: list[Tree], room: int, new_tokens: int) -> list[Tree]:
    """Take the last trees that fit into ``room`` tokens, one at least."""
    taken = [trees.pop()]
    used = _size(taken[0], new_tokens)
    while trees and (used := used + _size(trees[-1], new_tokens)) <= room:
        taken.append(trees.pop())
    return taken


def _size(tree: Tree, new_tokens: int) -> int:
    """The most tokens that a row ever holds."""
    return len(tree.trunk) + sum(len(end) + new_tokens for _, end in tree.branches)


def _chances(seed: int, number: int, steps: int) -> Tensor:
    """The uniform numbers in [0, 1) by which an answer's tokens are drawn."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
    return torch.rand(steps, generator=generator)


def pick(logits: Tensor, chance: Tensor, how: Drawing) -> tuple[Tensor, Tensor]:
    """The next tokens (rows,), drawn by inverting the cumulative distribution, and their log-probabilities.

    The log-probabilities are the model's own, at temperature 1.
    """
    logprobs = logits.float().log_softmax(-1)
    if how.temperature == 0:
        tokens = logprobs.argmax(-1)
    else:
        probs = (logprobs / how.temperature).softmax(-1)
        if how.top_p < 1:
            probs = _nucleus(probs, how.top_p)
        cumulative = probs.cumsum(-1)
        target = chance[:, None] * cumulative[:, -1:]
        tokens = torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=probs.shape[-1] - 1)
    return tokens, logprobs.gather(-1, tokens[:, None])[:, 0]


def _nucleus(probs: Tensor, top_p: float) -> Tensor:
    """Keep the likeliest tokens that together reach ``top_p`` (Holtzman et al. 2020)."""
    ranked, order = probs.sort(-1, descending=True)
    ranked[ranked.cumsum(-1) - ranked >= top_p] = 0
    return torch.zeros_like(probs).scatter(-1, order, ranked)


class _Work:
    """Rows at work: the newest token of every branch (rows, width), and what has been drawn so far."""

    def __init__(self, model: Any, trees: Sequence[Tree], chance: Tensor, how: Drawing) -> None:
        self.forest, self.chance, self.how = prefill(model, trees), chance, how
        self.answers = [answer for tree in trees for answer, _ in tree.branches]
        width = max(len(tree.branches) for tree in trees)
        number, rows = 0, []
        for tree in trees:
            row = []
            for answer, end in tree.branches:
                row.append((end[-1], len(tree.trunk) + len(end) - 1, answer + 1, number))
                number += 1
            rows.append(row + [NOBODY] * (width - len(row)))
        self.grid = torch.tensor(rows, device=model.device)
        """(rows, width, 4): token, place, owner and branch."""
        self.sizes = [_size(tree, how.max_new_tokens) for tree in trees]
        self.drawn: list[list[int]] = [[] for _ in range(number)]
        self.logprob = torch.zeros(number, device=model.device)
        self.age = torch.zeros(number, dtype=torch.long, device=model.device)
        self.kept = number

    def step(self) -> list[tuple[int, Drawn]]:
        """Draw the next token of every living branch; the answers that ended with it."""
        token, place, owner, branch = self.grid.unbind(-1)
        logits = self.forest.feed(token, place, owner, keep=token.shape[1])
        living = branch >= 0
        branches = branch[living]
        tokens, logprobs = pick(logits[living], self.chance[branches, self.age[branches]], self.how)
        self.logprob[branches] += logprobs
        self.age[branches] += 1
        token[living], place[living] = tokens, place[living] + 1
        stops = torch.zeros_like(tokens, dtype=torch.bool)
        for end in self.how.end_tokens:
            stops |= tokens == end
        for i, (one, drawn) in enumerate(zip(branches.tolist(), tokens.tolist(), strict=True)):
            self.drawn[one].append(drawn)
            if self.how.ended and self.how.ended(self.drawn[one]):
                stops[i] = True
        over = stops | (self.age[branches] == self.how.max_new_tokens)
        dead = living.clone()
        dead[living] = over
        self.grid[dead] = self.grid.new_tensor(NOBODY)
        ended = branches[over]
        rows = zip(ended.tolist(), self.logprob[ended].tolist(), stops[over].tolist(), strict=True)
        return [
            (self.answers[one], Drawn(self.drawn[one], logprob, "stop" if stop else "length"))
            for one, logprob, stop in rows
        ]

    def shrunk(self) -> _Work | None:
        """Forget the ended branches where that is worth the copy or keeps the room; None: all have ended."""
        alive = self.grid[..., 3] >= 0
        living = int(alive.sum())
        if living == 0:
            return None
        if living > 0.75 * self.kept and self.forest.owner.shape[1] <= max(self.sizes):
            return self
        self.kept = living
        rows = alive.any(1).nonzero()[:, 0]
        front = alive[rows].long().argsort(dim=1, descending=True, stable=True)[:, : int(alive.sum(1).max())]
        self.grid = self.grid[rows[:, None], front]
        self.sizes = [self.sizes[row] for row in rows.tolist()]
        self.forest.take(rows, self.grid[..., 2])
        return self

    def joined(self, other: _Work) -> _Work:
        """These rows and those of another work."""
        other.grid[..., 3][other.grid[..., 3] >= 0] += len(self.answers)
        width = max(self.grid.shape[1], other.grid.shape[1])
        self.grid = torch.cat([_widened(one.grid, width) for one in (self, other)])
        self.forest.join(other.forest)
        self.answers += other.answers
        self.drawn += other.drawn
        self.sizes += other.sizes
        self.chance = torch.cat([self.chance, other.chance])
        self.logprob = torch.cat([self.logprob, other.logprob])
        self.age = torch.cat([self.age, other.age])
        self.kept = int((self.grid[..., 3] >= 0).sum())
        return self


def _widened(grid: Tensor, width: int) -> Tensor:
    missing = grid.new_tensor(NOBODY).expand(grid.shape[0], width - grid.shape[1], 4)
    return torch.cat([grid, missing], 1)
