"""The decoding loop over a forest of prompts (``prefix``): greedy or sampled, each answer reproducible."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from runners.prefix import HIDDEN, Forest, Tokens, Tree, plant, prefill
from runners.types import Finish

BATCH_TOKENS = {"cpu": 100_000, "cuda": 400_000}
"""Tokens of prompts and answers in one batch where the caller does not say, by device."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How tokens are drawn. ``ended`` looks for stop strings in an answer's tokens."""

    temperature: float
    top_p: float
    max_new_tokens: int
    end_tokens: tuple[int, ...]
    ended: Callable[[list[int]], bool] | None = None


@dataclass(frozen=True, slots=True)
class Drawn:
    """One answer: its tokens, with the end token where one was drawn.

    ``seconds`` is its share of its batch's wall-clock time.
    """

    tokens: list[int]
    logprob: float | None
    finish: Finish
    seconds: float = 0.0


def draw(
    model: Any, prompts: Sequence[Tokens], seeds: Sequence[int], n: int, how: Drawing, batch_tokens: int = 0
) -> Iterator[tuple[int, list[Drawn]]]:
    """Yield ``(prompt's index, its n answers)`` as batches of at most ``batch_tokens`` tokens are done.

    An answer depends on its prompt's seed and its number only, not on what is drawn beside it.
    """
    open_answers: dict[int, dict[int, Drawn]] = {}
    was_training = model.training
    model.eval()
    try:
        for batch in _batches(
            plant(prompts, n), how.max_new_tokens, batch_tokens or BATCH_TOKENS[model.device.type]
        ):
            began = time.perf_counter()
            found = _draw_batch(model, batch, seeds, n, how)
            seconds = (time.perf_counter() - began) / len(found)
            for answer, drawn in found:
                answers = open_answers.setdefault(answer // n, {})
                answers[answer % n] = replace(drawn, seconds=seconds)
                if len(answers) == n:
                    yield answer // n, [answers[k] for k in range(n)]
    finally:
        model.train(was_training)


def _batches(trees: Sequence[Tree], new_tokens: int, batch_tokens: int) -> Iterator[list[Tree]]:
    """Rows of like length together, longest first, so that memory runs out at once or not at all."""
    batch: list[Tree] = []
    used = 0
    for tree in sorted(trees, key=lambda tree: (len(tree.trunk), tree.trunk), reverse=True):
        size = len(tree.trunk) + sum(len(end) + new_tokens for _, end in tree.branches)
        if batch and used + size > batch_tokens:
            yield batch
            batch, used = [], 0
        batch.append(tree)
        used += size
    if batch:
        yield batch


@torch.inference_mode()
def _draw_batch(
    model: Any, trees: Sequence[Tree], seeds: Sequence[int], n: int, how: Drawing
) -> list[tuple[int, Drawn]]:
    """All answers of the rows of one batch."""
    forest = prefill(model, trees)
    work = _Work(trees, model.device)
    chance = torch.stack([_chances(seeds[a // n], a % n, how.max_new_tokens) for a in work.answers])
    chance = chance.to(model.device)
    for step in range(how.max_new_tokens):
        logits = forest.feed(work.token, work.place + step, work.owner, keep=work.token.shape[1])
        living = work.branch >= 0
        tokens, logprobs = pick(logits[living], chance[work.branch[living], step], how)
        work.write(step, living, tokens, logprobs, how)
        if not work.living.any():
            break
        work.shrink(forest)
    return work.results()


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
    """The newest token of every branch of a batch (rows, width), and what has been drawn so far."""

    def __init__(self, trees: Sequence[Tree], device: torch.device) -> None:
        self.answers = [answer for tree in trees for answer, _ in tree.branches]
        width = max(len(tree.branches) for tree in trees)
        number, rows = 0, []
        for tree in trees:
            row = []
            for answer, end in tree.branches:
                row.append((end[-1], len(tree.trunk) + len(end) - 1, answer + 1, number))
                number += 1
            rows.append(row + [(0, 0, HIDDEN, -1)] * (width - len(row)))
        self.token, self.place, self.owner, self.branch = torch.tensor(rows, device=device).unbind(-1)
        self.living = torch.ones(number, dtype=torch.bool, device=device)
        self.kept = number
        self.drawn: list[list[int]] = [[] for _ in range(number)]
        self.logprob = torch.zeros(number, device=device)
        self.finish: list[Finish] = ["length"] * number

    def write(self, step: int, fed: Tensor, tokens: Tensor, logprobs: Tensor, how: Drawing) -> None:
        """Note the tokens drawn for the living branches, and which of them end there."""
        branches = self.branch[fed]
        self.logprob[branches] += logprobs
        self.token[fed] = tokens
        ends = torch.zeros_like(tokens, dtype=torch.bool)
        for end in how.end_tokens:
            ends |= tokens == end
        for i, (branch, token) in enumerate(zip(branches.tolist(), tokens.tolist(), strict=True)):
            self.drawn[branch].append(token)
            if how.ended and how.ended(self.drawn[branch]):
                ends[i] = True
        for branch in branches[ends].tolist():
            self.finish[branch] = "stop"
        self.living[branches[ends]] = False
        dead = fed.clone()
        dead[fed] = ends
        self.branch[dead], self.owner[dead] = -1, HIDDEN

    def shrink(self, forest: Forest) -> None:
        """Forget the ended branches, once enough of them have ended to be worth the copy."""
        living = int(self.living.sum())
        if living > 0.75 * self.kept:
            return
        self.kept = living
        alive = self.branch >= 0
        rows = alive.any(1).nonzero()[:, 0]
        front = alive[rows].long().argsort(dim=1, descending=True, stable=True)[:, : int(alive.sum(1).max())]
        self._select(lambda grid: grid[rows].gather(1, front))
        forest.take(rows, self.owner)

    def _select(self, change: Callable[[Tensor], Tensor]) -> None:
        self.token, self.place = change(self.token), change(self.place)
        self.owner, self.branch = change(self.owner), change(self.branch)

    def results(self) -> list[tuple[int, Drawn]]:
        logprobs = self.logprob.tolist()
        return [
            (answer, Drawn(self.drawn[i], logprobs[i], self.finish[i]))
            for i, answer in enumerate(self.answers)
        ]
