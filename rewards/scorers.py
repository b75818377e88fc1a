"""The scorers of single qualities: frozen callables that read an attempt and give a value in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rewards.types import Attempt, Reason, Score, Scorer
from tasks.types import Mode


def score_of(attempt: Attempt, value: float | None) -> Score:
    """A score with the attempt's evidence; its value is None where the attempt is unscored."""
    return Score(value if attempt.scored else None, attempt.reason, attempt.sql, attempt.detail)


@dataclass(frozen=True, slots=True)
class Syntax:
    """1 for one well-formed query, whether or not it runs."""

    def __call__(self, attempt: Attempt) -> Score:
        return score_of(attempt, float(attempt.parses))


@dataclass(frozen=True, slots=True)
class Execution:
    """The verdict of one mode: the headline metric."""

    metric: Mode = Mode.STRICT

    def __call__(self, attempt: Attempt) -> Score:
        return score_of(attempt, attempt.verdicts.get(self.metric))


@dataclass(frozen=True, slots=True)
class Structure:
    """F1 of the contents of all clauses against the gold's. Unscored where the gold cannot be parsed."""

    def __call__(self, attempt: Attempt) -> Score:
        score = score_of(attempt, attempt.clauses.get("overall"))
        return Score(score.value, score.reason, score.sql, score.detail, attempt.clauses)


SCORERS: dict[str, Callable[[Mode], Scorer]] = {
    "syntax": lambda metric: Syntax(),
    "execution": Execution,
    "structure": lambda metric: Structure(),
}
"""Name -> function that makes the scorer for a metric."""


def is_correct(attempt: Attempt, metric: Mode) -> bool:
    """Whether the metric's verdict is 1."""
    return attempt.scored and attempt.verdicts.get(metric) == 1.0


def matches_empty_gold(attempt: Attempt, metric: Mode) -> bool:
    """Whether an answer is correct only because both it and the gold return no rows."""
    return is_correct(attempt, metric) and attempt.gold_rows == 0 and attempt.reason is Reason.CORRECT
