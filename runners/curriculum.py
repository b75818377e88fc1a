"""Which prompts a training step asks: a choice by seed and step only, so that a resumed run repeats it."""

from __future__ import annotations

import random
from collections.abc import Sequence


class Chooser:
    """Draws prompts without repetition: all of them once an epoch, or by weight where the weights differ."""

    def __init__(self, weights: Sequence[float], count: int, seed: int) -> None:
        self.weights, self.count, self.seed = weights, count, seed
        self.even = len(set(weights)) == 1

    def choose(self, step: int) -> list[int]:
        """The indices of the ``count`` prompts of a step (the first is 0)."""
        if not self.even:
            return self._by_weight(step)
        steps = len(self.weights) // self.count
        epoch, part = divmod(step, steps)
        order = list(range(len(self.weights)))
        random.Random(f"{self.seed} {epoch}").shuffle(order)
        return order[part * self.count : (part + 1) * self.count]

    def _by_weight(self, step: int) -> list[int]:
        """Weighted sampling without replacement: the largest keys u^(1/w) (Efraimidis and Spirakis 2006)."""
        draw = random.Random(f"{self.seed} {step}")
        keys = [draw.random() ** (1 / weight) if weight > 0 else 0.0 for weight in self.weights]
        return sorted(range(len(keys)), key=keys.__getitem__, reverse=True)[: self.count]
