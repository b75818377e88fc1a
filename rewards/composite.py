"""Scorers of single qualities, and composites of them: one number, whose value is the training reward.

All composites keep two rules:

- Correct strictly dominates: the value of a wrong answer is always less than that of a correct one.
- A correct answer to a gold that returns no rows is unscored (None, so GRPO drops its group), because every
  query without rows would be correct. Evaluation counts it, because its metric is the score ``execution``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Literal

from rewards.types import UNSCORED, Attempt, Reason, Score, Scorer
from tasks.common.errors import SpecError, nearest
from tasks.types import Mode

STEPS = 1000
"""Added to both counts of VM steps: SQLite does not distinguish shorter queries, so their ratio is 1."""
SECONDS = 0.001
"""Added to both times in seconds: the clock does not resolve less."""
TIERS = ((2.0, 1.25), (1.0, 1.0), (0.5, 0.75), (0.25, 0.5), (0.0, 0.25))
"""BIRD's R-VES: pairs (lowest cost ratio, reward), the best first."""

Measure = Literal["steps", "seconds"]


def is_scored(attempt: Attempt) -> bool:
    """Whether the answer could be judged: neither its golds nor the sandbox failed."""
    return attempt.reason not in UNSCORED


def score_of(attempt: Attempt, value: float | None) -> Score:
    """A score with the attempt's evidence; its value is None where the attempt is unscored."""
    return Score(value if is_scored(attempt) else None, attempt.reason, attempt.sql, attempt.detail)


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


@dataclass(frozen=True, slots=True)
class Security:
    """1 for an answer without a security flag, else 0. Unscored where no flags were computed.

    An answer without SQL has no flag.
    """

    def __call__(self, attempt: Attempt) -> Score:
        score = score_of(attempt, None if attempt.flags is None else float(not attempt.flags))
        found = dict.fromkeys(attempt.flags or (), 0.0)
        return Score(score.value, score.reason, score.sql, ", ".join(found) or score.detail, found)


SCORERS: dict[str, Callable[[Mode], Scorer]] = {
    "syntax": lambda metric: Syntax(),
    "execution": Execution,
    "structure": lambda metric: Structure(),
    "security": lambda metric: Security(),
}
"""Name -> function that makes the scorer for a metric."""


def is_correct(attempt: Attempt, metric: Mode) -> bool:
    """Whether the metric's verdict is 1."""
    return is_scored(attempt) and attempt.verdicts.get(metric) == 1.0


def matches_empty_gold(attempt: Attempt, metric: Mode) -> bool:
    """Whether an answer is correct only because both it and the gold return no rows."""
    return is_correct(attempt, metric) and attempt.gold_rows == 0 and attempt.reason is Reason.CORRECT


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
    Reason.PRIVATE_DATA: -0.8,
    Reason.SYNTAX_ERROR: -0.5,
    Reason.MANY_STATEMENTS: -0.5,
    Reason.NO_SQL: -0.5,
}
"""``Classic``'s value of an answer that returned no result."""


@dataclass(frozen=True, slots=True)
class Classic:
    """0.2 syntax + 0.6 execution + 0.2 structure on the scale -1 to 1, with fixed values for wrong answers.

    The weighted sum is the value of a *correct* answer: 0.8 plus 0.2 x structure F1, so exactly 1 for one
    with the structure of the gold. The value of a wrong answer depends on its outcome alone: 0.3 if it runs,
    -0.5 if it is not one well-formed query (a syntax error, several statements, no SQL), -0.8 if the query is
    forbidden, fails or exceeds a limit. A query that runs but uses none of the gold's tables also gets -0.5.
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


def cost_ratio(attempt: Attempt, by: Measure = "steps") -> float:
    """The gold's cost divided by the query's: over 1 where the query is cheaper.

    VM steps do not depend on the load of the machine. Where an engine does not count them, seconds are used.
    """
    if by == "steps" and attempt.gold_steps is not None and attempt.steps is not None:
        return (attempt.gold_steps + STEPS) / (attempt.steps + STEPS)
    return (attempt.gold_seconds + SECONDS) / (attempt.seconds + SECONDS)


def r_ves_tier(ratio: float) -> float:
    """BIRD's reward for a cost ratio (github.com/bird-bench/mini_dev, ``evaluation_ves.py``)."""
    return next(tier for lowest, tier in TIERS if ratio >= lowest)


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
    correct one (``execution`` must weigh more than ``structure`` and ``security`` together). Only a query
    that runs earns ``security``.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    metric: Mode = Mode.STRICT

    def __post_init__(self) -> None:
        for name, weight in self.weights.items():
            if name not in SCORERS:
                raise SpecError(f"scoring.weights: no scorer '{name}': {nearest(name, SCORERS)}")
            if weight < 0:
                raise SpecError(f"scoring.weights.{name}: {weight} is negative")
        others = self.weights.get("structure", 0.0) + self.weights.get("security", 0.0)
        if self.weights.get("execution", 0.0) <= others:
            raise SpecError(
                "scoring.weights: execution must weigh more than structure and security together, or wrong"
                " answers could win"
            )

    def __call__(self, attempt: Attempt) -> Score:
        correct = is_correct(attempt, self.metric)
        values = {name: SCORERS[name](self.metric)(attempt).value or 0.0 for name in self.weights}
        values["execution"] = float(correct)
        if not attempt.executes and "security" in values:
            values["security"] = 0.0
        if correct and "syntax" in values:
            values["syntax"] = 1.0
        total = sum(self.weights.values())
        parts = {name: weight * values[name] / total for name, weight in self.weights.items()}
        return composite_score(attempt, self.metric, sum(parts.values()), parts)
