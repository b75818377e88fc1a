"""Composites: one number from all evidence of an attempt. A composite's value is the training reward.

All keep two rules. *Correct strictly dominates*: no wrong answer's value reaches a correct one's. *An empty
gold proves little*: a correct answer to a gold that returns no rows is unscored (None, so its group is
dropped), because every query without rows would be correct. Evaluation still counts it, since its metric is
another score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

from rewards.penalties import TIERS, Measure, cost_ratio, r_ves_tier
from rewards.scorers import SCORERS, is_correct, matches_empty_gold, score_of
from rewards.types import Attempt, Reason, Score
from tasks.common.errors import SpecError, nearest
from tasks.types import Mode


def composite_score(attempt: Attempt, metric: Mode, value: float, parts: Mapping[str, float]) -> Score:
    """A composite's score; its value is None where the attempt is unscored or only matches an empty gold."""
    score = score_of(attempt, None if matches_empty_gold(attempt, metric) else value)
    return Score(score.value, score.reason, score.sql, score.detail, parts)


@dataclass(frozen=True, slots=True)
class Binary:
    """1 for a correct answer, else 0."""

    metric: Mode = Mode.STRICT

    def __call__(self, attempt: Attempt) -> Score:
        return composite_score(attempt, self.metric, float(is_correct(attempt, self.metric)), {})


@dataclass(frozen=True, slots=True)
class Gated:
    """1 for a correct answer; partial credit in [0, 0.3] for a wrong one.

    The credit is 0.3 x tables x (0.1 parses + 0.2 executes + 0.2 columns + 0.3 structure + 0.2 row overlap).
    Tables, columns and structure are F1 against the gold's, so a query that uses none of the gold's tables
    gets no credit.
    """

    metric: Mode = Mode.STRICT
    most: float = 0.3

    def __call__(self, attempt: Attempt) -> Score:
        if is_correct(attempt, self.metric):
            return composite_score(attempt, self.metric, 1.0, {"correct": 1.0})
        clauses = attempt.clauses
        share = self.most * clauses.get("tables", 0.0)
        parts = {
            "parses": share * 0.1 * attempt.parses,
            "executes": share * 0.2 * attempt.executes,
            "columns": share * 0.2 * clauses.get("columns", 0.0),
            "structure": share * 0.3 * clauses.get("overall", 0.0),
            "rows": share * 0.2 * attempt.row_overlap,
        }
        return composite_score(attempt, self.metric, sum(parts.values()), parts)


CLASSIC_OUTCOMES: Mapping[Reason, float] = {
    Reason.EXECUTION_ERROR: -0.8,
    Reason.TIMEOUT: -0.8,
    Reason.MEMORY: -0.8,
    Reason.TOO_MANY_ROWS: -0.8,
    Reason.FORBIDDEN_STATEMENT: -0.8,
    Reason.SYNTAX_ERROR: -0.5,
    Reason.MANY_STATEMENTS: -0.5,
    Reason.NO_SQL: -0.5,
}
"""``Classic``'s value of an answer that returned no result."""


@dataclass(frozen=True, slots=True)
class Classic:
    """0.2 syntax + 0.6 execution + 0.2 structure on the scale -1 to 1, with fixed values for wrong answers.

    The weighted sum is the value of a *correct* answer: 0.8 plus 0.2 x structure F1, so exactly 1 for one
    with the structure of the gold. The value of a wrong answer depends on its outcome alone: 0.3 where it
    runs, -0.8 for an execution error or timeout, -0.5 for a syntax error or no SQL. A query that runs without
    using any of the gold's tables also gets -0.5.
    """

    metric: Mode = Mode.STRICT
    runs: float = 0.3
    evades: float = -0.5

    def __call__(self, attempt: Attempt) -> Score:
        if is_correct(attempt, self.metric):
            parts = {"syntax": 0.2, "execution": 0.6, "structure": 0.2 * attempt.clauses.get("overall", 1.0)}
            return composite_score(attempt, self.metric, sum(parts.values()), parts)
        value = CLASSIC_OUTCOMES.get(attempt.reason, self.runs)
        if attempt.reason not in CLASSIC_OUTCOMES and attempt.clauses.get("tables") == 0.0:
            value = self.evades
        return composite_score(attempt, self.metric, value, {})


@dataclass(frozen=True, slots=True)
class RVes:
    """BIRD's R-VES: sqrt(tier / 1.25) for a correct answer, so at most 1, else 0 (``r_ves_tier``)."""

    metric: Mode = Mode.STRICT
    by: Measure = "steps"

    def __call__(self, attempt: Attempt) -> Score:
        if not is_correct(attempt, self.metric):
            return composite_score(attempt, self.metric, 0.0, {})
        tier = r_ves_tier(cost_ratio(attempt, self.by))
        return composite_score(attempt, self.metric, sqrt(tier / TIERS[0][1]), {})


@dataclass(frozen=True, slots=True)
class Weighted:
    """The weighted mean of named scorers, in [0, 1].

    Raises SpecError: unknown scorer, a negative weight, or weights under which a wrong answer could reach a
    correct one (``execution`` must weigh more than ``structure``).
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    metric: Mode = Mode.STRICT

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            if name not in SCORERS:
                raise SpecError(f"scoring.weights: no scorer '{name}': {nearest(name, SCORERS)}")
            if weight < 0:
                raise SpecError(f"scoring.weights.{name}: {weight} is negative")
        if self.weights.get("execution", 0.0) <= self.weights.get("structure", 0.0):
            raise SpecError(
                "scoring.weights: execution must weigh more than structure, or wrong answers could win"
            )

    def __call__(self, attempt: Attempt) -> Score:
        correct = is_correct(attempt, self.metric)
        values = {name: SCORERS[name](self.metric)(attempt).value or 0.0 for name in self.weights}
        values["execution"] = float(correct)
        if correct and "syntax" in values:
            values["syntax"] = 1.0
        total = sum(self.weights.values())
        parts = {name: weight * values[name] / total for name, weight in self.weights.items()}
        return composite_score(attempt, self.metric, sum(parts.values()), parts)
