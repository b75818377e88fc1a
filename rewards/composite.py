"""Composites: one number from all that an attempt showed. It is what a trainer is paid.

All hold two rules. *Correct strictly dominates*: no wrong answer's value reaches a right one's. *An empty
gold proves little*: a right answer to a gold that returns no rows is not paid (None: its group is dropped),
since every query that returns nothing would be. Evaluation still counts it: its metric is another score.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rewards.scorers import SCORERS, is_correct, proves_nothing, scored
from rewards.types import Attempt, Reason, Score
from tasks.common.errors import SpecError, nearest
from tasks.types import Mode


def paid(attempt: Attempt, metric: Mode, value: float, parts: Mapping[str, float]) -> Score:
    """A composite's score; None where nobody can be paid or punished."""
    payable = None if proves_nothing(attempt, metric) else value
    score = scored(attempt, payable)
    return Score(score.value, score.reason, score.sql, score.detail, parts)


@dataclass(frozen=True, slots=True)
class Binary:
    """1 for a right answer, else 0."""

    metric: Mode = Mode.STRICT

    def __call__(self, attempt: Attempt) -> Score:
        return paid(attempt, self.metric, float(is_correct(attempt, self.metric)), {})


@dataclass(frozen=True, slots=True)
class Gated:
    """1 for a right answer; a wrong one earns credit in [0, 0.3] for how near it came.

    Credit is 0.3 x tables x (0.1 parses + 0.2 runs + 0.2 columns + 0.3 structure + 0.2 row overlap), with
    tables, columns and structure as F1 against the gold's: nothing for a query that ignores its tables.
    """

    metric: Mode = Mode.STRICT
    most: float = 0.3

    def __call__(self, attempt: Attempt) -> Score:
        if is_correct(attempt, self.metric):
            return paid(attempt, self.metric, 1.0, {"correct": 1.0})
        clauses = attempt.clauses
        share = self.most * clauses.get("tables", 0.0)
        parts = {
            "parses": share * 0.1 * attempt.parses,
            "executes": share * 0.2 * attempt.executes,
            "columns": share * 0.2 * clauses.get("columns", 0.0),
            "structure": share * 0.3 * clauses.get("overall", 0.0),
            "rows": share * 0.2 * attempt.row_overlap,
        }
        return paid(attempt, self.metric, sum(parts.values()), parts)


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
"""What an answer that did not run is worth."""


@dataclass(frozen=True, slots=True)
class Classic:
    """0.2 syntax + 0.6 execution + 0.2 structure on the scale -1 to 1, with named outcomes for wrong answers.

    The weighted sum is what a *right* answer earns: 0.8 plus 0.2 x structure F1; so a perfect one (right,
    and built like the gold) is worth exactly 1. A wrong answer is worth its outcome, whatever its parts: it
    runs 0.3, execution error and timeout -0.8, syntax error -0.5. A query that runs without touching any of
    the gold's tables has not attempted the question: -0.5, as no SQL.
    """

    metric: Mode = Mode.STRICT
    runs: float = 0.3
    evades: float = -0.5

    def __call__(self, attempt: Attempt) -> Score:
        if is_correct(attempt, self.metric):
            parts = {"syntax": 0.2, "execution": 0.6, "structure": 0.2 * attempt.clauses.get("overall", 1.0)}
            return paid(attempt, self.metric, sum(parts.values()), parts)
        value = CLASSIC_OUTCOMES.get(attempt.reason, self.runs)
        if attempt.reason not in CLASSIC_OUTCOMES and attempt.clauses.get("tables") == 0.0:
            value = self.evades
        return paid(attempt, self.metric, value, {})


@dataclass(frozen=True, slots=True)
class Weighted:
    """The weighted mean of named scorers, in [0, 1].

    Raises SpecError: unknown scorer, a negative weight, or weights under which a wrong answer could reach a
    right one (``execution`` must outweigh ``structure``).
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
        right = is_correct(attempt, self.metric)
        values = {name: SCORERS[name](self.metric)(attempt).value or 0.0 for name in self.weights}
        values["execution"] = float(right)
        if right and "syntax" in values:
            values["syntax"] = 1.0
        total = sum(self.weights.values())
        parts = {name: weight * values[name] / total for name, weight in self.weights.items()}
        return paid(attempt, self.metric, sum(parts.values()), parts)
