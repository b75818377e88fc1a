"""Choose the prompts of a training step by seed and step, and with a curriculum by pass rates."""

from __future__ import annotations

import random
from collections.abc import Container, Mapping, Sequence
from math import exp, lgamma
from typing import Any

from runners.training.config import GrpoConfig
from runners.training.order import in_runs
from runners.types import Request

PassCounts = Sequence[tuple[float, float]]
"""(right answers, all answers) of each prompt; earlier answers have less weight."""

PRIOR = 0.5
"""Pseudo-counts of right and of wrong answers that each prompt starts with (Jeffreys prior)."""


def mixed_probability(right: float, answers: float, group: int) -> float:
    """The probability that ``group`` further answers are neither all right nor all wrong.

    By the beta-binomial distribution, after ``right`` of ``answers`` answers were right.
    """

    def all_of(same: float, other: float) -> float:
        before, after = same + PRIOR, same + PRIOR + group
        rest = other + PRIOR
        return exp(lgamma(after) - lgamma(before) + lgamma(before + rest) - lgamma(after + rest))

    return 1 - all_of(right, answers - right) - all_of(answers - right, right)


class PromptChooser:
    """Chooses the distinct prompts of each step.

    Without ``train.curriculum`` every prompt comes once per epoch. With it, prompts are drawn by the
    probability that their group will have right and wrong answers, because other groups have no gradient.
    """

    def __init__(self, prompts: Sequence[Request], config: GrpoConfig) -> None:
        self.count, self.seed, self.group = config.prompts_per_step, config.seed, config.group_size
        self.curriculum, self.same_prefix = config.curriculum, config.same_prefix
        self.databases: dict[str, list[int]] = {}
        for index, prompt in enumerate(prompts):
            self.databases.setdefault(prompt.sample.database, []).append(index)
        self.counts: list[tuple[float, float]] = [prompt.passes for prompt in prompts]
        """As in ``PassCounts``, after the last step that was drawn."""
        self.learned: PassCounts = tuple(self.counts)
        """The same after the last step that was learned from; later ones may be drawn already."""

    def choose(self, step: int) -> list[int]:
        """The indices of the prompts of a step; steps count from 0."""
        if self.curriculum:
            return self.choose_further(step, self.count, ())
        steps = len(self.counts) // self.count
        epoch, part = divmod(step, steps)
        order = list(range(len(self.counts)))
        generator = random.Random(f"{self.seed} {epoch}")
        generator.shuffle(order)
        if self.same_prefix:
            order = in_runs(order, self.databases.values(), self.same_prefix, generator)
        return order[part * self.count : (part + 1) * self.count]

    def choose_further(self, step: int, count: int, asked: Container[int]) -> list[int]:
        """Up to ``count`` further prompts of a step, none of those ``asked`` already.

        Weighted sampling without replacement: the largest keys u^(1/w) (Efraimidis and Spirakis 2006).
        """
        generator = random.Random(f"{self.seed} {step}")
        keys = {i: generator.random() ** (1 / self.weight(i)) for i in range(len(self.counts))}
        others = [index for index in keys if index not in asked]
        return sorted(others, key=keys.__getitem__, reverse=True)[:count]

    def weight(self, index: int) -> float:
        """The probability that a prompt's group is mixed; 1 for all prompts without a curriculum."""
        return mixed_probability(*self.counts[index], self.group) if self.curriculum else 1.0

    def update(self, index: int, right: float, answers: int) -> None:
        """Count a prompt's right answers and all its answers of this step."""
        if self.curriculum:
            before_right, before = (self.curriculum.memory * count for count in self.counts[index])
            self.counts[index] = (before_right + right, before + answers)

    def state(self) -> Mapping[str, Any]:
        """The counts after the last step that was learned from, for a checkpoint.

        The prompts of later steps depend on them and on the step only, so that a resumed run asks the prompts
        again that were drawn but not learned from.
        """
        right, asked = ([pair[i] for pair in self.learned] for i in (0, 1))
        return {"right": right, "asked": asked}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from an earlier ``state``."""
        self.counts = list(zip(state["right"], state["asked"], strict=True))
        self.learned = tuple(self.counts)
