"""What a right query costs to run, against the gold: VM steps where the engine counts them, else seconds."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Literal

from rewards.composite import paid
from rewards.scorers import is_correct
from rewards.types import Attempt, Score
from tasks.types import Mode

STEPS = 1000
"""Steps below which SQLite does not tell queries apart: two short queries cost the same."""
SECONDS = 0.001
"""Seconds that the clock cannot tell apart."""
TIERS = ((2.0, 1.25), (1.0, 1.0), (0.5, 0.75), (0.25, 0.5), (0.0, 0.25))
"""BIRD's R-VES: (the gold costs at least this many times the query, what that is worth), the best first."""

Measure = Literal["steps", "seconds"]


def gain(attempt: Attempt, by: Measure = "steps") -> float:
    """How many times the query the gold costs: over 1 where the query is cheaper.

    Steps do not depend on the machine's load; where an engine counts none it is seconds in any case.
    """
    if by == "steps" and attempt.gold_steps is not None and attempt.steps is not None:
        return (attempt.gold_steps + STEPS) / (attempt.steps + STEPS)
    return (attempt.gold_seconds + SECONDS) / (attempt.seconds + SECONDS)


def tier(ratio: float) -> float:
    """What BIRD's R-VES gives for a gain (github.com/bird-bench/mini_dev, ``evaluation_ves.py``)."""
    return next(worth for least, worth in TIERS if ratio >= least)


@dataclass(frozen=True, slots=True)
class RVes:
    """sqrt(tier / 1.25) for a right answer, which is BIRD's R-VES scaled to at most 1; else 0."""

    metric: Mode = Mode.STRICT
    by: Measure = "steps"

    def __call__(self, attempt: Attempt) -> Score:
        if not is_correct(attempt, self.metric):
            return paid(attempt, self.metric, 0.0, {})
        return paid(attempt, self.metric, sqrt(tier(gain(attempt, self.by)) / TIERS[0][1]), {})
