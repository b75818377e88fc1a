"""The three scorers that read an attempt. Each is a frozen callable with a value in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rewards.types import Attempt, Reason, Score, Scorer
from tasks.types import Mode


def scored(attempt: Attempt, value: float | None) -> Score:
    """A score with the attempt's evidence; unscored where we, not the model, failed."""
    return Score(value if attempt.scored else None, attempt.reason, attempt.sql, attempt.detail)


@dataclass(frozen=True, slots=True)
class Syntax:
    """1 for one well-formed query, whether or not it runs."""

    def __call__(self, attempt: Attempt) -> Score:
        return scored(attempt, float(attempt.parses))


@dataclass(frozen=True, slots=True)
class Execution:
    """The verdict of one mode: the headline metric."""

    metric: Mode = Mode.STRICT

    def __call__(self, attempt: Attempt) -> Score:
        return scored(attempt, attempt.verdicts.get(self.metric))


@dataclass(frozen=True, slots=True)
class Structure:
    """F1 of all clauses together against the gold's. Unscored where the gold cannot be read."""

    def __call__(self, attempt: Attempt) -> Score:
        score = scored(attempt, attempt.clauses.get("overall"))
        return Score(score.value, score.reason, score.sql, score.detail, attempt.clauses)


SCORERS: dict[str, Callable[[Mode], Scorer]] = {
    "syntax": lambda metric: Syntax(),
    "execution": Execution,
    "structure": lambda metric: Structure(),
}
"""Name -> what makes the scorer for a metric."""


def is_correct(attempt: Attempt, metric: Mode) -> bool:
    """Whether an answer is right by the metric, in full."""
    return attempt.scored and attempt.verdicts.get(metric) == 1.0


def proves_nothing(attempt: Attempt, metric: Mode) -> bool:
    """Whether an answer is right only in that it returns nothing, as the gold does."""
    return is_correct(attempt, metric) and attempt.gold_rows == 0 and attempt.reason is Reason.CORRECT
