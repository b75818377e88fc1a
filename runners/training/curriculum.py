"""Which prompts a training step asks: by seed and step, and by how often each was answered right so far."""

from __future__ import annotations

import random
from collections.abc import Container, Mapping, Sequence
from math import exp, lgamma
from typing import Any

from runners.training.config import GrpoConfig
from runners.types import Request

PRIOR = 0.5
"""Right and wrong answers that a prompt counts beside those that were seen (Jeffreys)."""


def mixed_probability(right: float, asked: float, group: int) -> float:
    """The chance that of ``group`` further answers some are right and some wrong.

    By the beta-binomial distribution: ``right`` of ``asked`` answers were right before.
    """

    def all_of(hits: float, misses: float) -> float:
        before, after = hits + PRIOR, hits + PRIOR + group
        every = misses + PRIOR
        return exp(lgamma(after) - lgamma(before) + lgamma(before + every) - lgamma(after + every))

    return 1 - all_of(right, asked - right) - all_of(asked - right, right)


class PromptChooser:
    """Draws the prompts of a step without repetition.

    Without ``train.curriculum`` every prompt comes once an epoch; with it, prompts are drawn by the chance
    that their group will hold right and wrong answers, which is what teaches.
    """

    def __init__(self, prompts: Sequence[Request], config: GrpoConfig) -> None:
        self.count, self.seed, self.group = config.prompts_per_step, config.seed, config.group_size
        self.curriculum = config.curriculum
        self.seen: list[tuple[float, float]] = [prompt.passes for prompt in prompts]
        """For each prompt, how many answers were right, and of how many; older ones count for less."""

    def choose(self, step: int) -> list[int]:
        """The indices of the prompts of a step (the first is 0)."""
        if self.curriculum:
            return self.choose_further(step, self.count, ())
        steps = len(self.seen) // self.count
        epoch, part = divmod(step, steps)
        order = list(range(len(self.seen)))
        random.Random(f"{self.seed} {epoch}").shuffle(order)
        return order[part * self.count : (part + 1) * self.count]

    def choose_further(self, step: int, count: int, asked: Container[int]) -> list[int]:
        """Up to ``count`` prompts that were not asked in this step.

        Weighted sampling without replacement: the largest keys u^(1/w) (Efraimidis and Spirakis 2006).
        """
        dice = random.Random(f"{self.seed} {step}")
        keys = {i: dice.random() ** (1 / self.weight(i)) for i in range(len(self.seen))}
        open_ones = [index for index in keys if index not in asked]
        return sorted(open_ones, key=keys.__getitem__, reverse=True)[:count]

    def weight(self, index: int) -> float:
        """The chance that a prompt's group teaches; 1 for all without a curriculum."""
        return mixed_probability(*self.seen[index], self.group) if self.curriculum else 1.0

    def update(self, index: int, right: float, asked: int) -> None:
        """Note how many of a prompt's answers were right in this step."""
        if self.curriculum:
            before = (self.curriculum.memory * count for count in self.seen[index])
            self.seen[index] = (next(before) + right, next(before) + asked)

    def state(self) -> Mapping[str, Any]:
        """What ``restore`` needs to go on from here."""
        return {"right": [right for right, _ in self.seen], "asked": [asked for _, asked in self.seen]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from an earlier ``state``."""
        self.seen = list(zip(state["right"], state["asked"], strict=True))
