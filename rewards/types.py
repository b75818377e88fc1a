"""How an answer is judged: one ``Attempt`` (what happened) -> many ``Score``s (what it is worth)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tasks.types import Database


class Reason(StrEnum):
    """Why an answer got the score it got. A closed set: boards group by it."""

    CORRECT = "correct"
    """The rows are those of the gold."""
    WRONG_ROWS = "wrong_rows"
    """The query runs and returns other rows than the gold."""
    WRONG_COLUMNS = "wrong_columns"
    """The query returns another number of columns than the gold."""
    WRONG_ORDER = "wrong_order"
    """The rows are right, in another order than the gold's ORDER BY asks for."""
    EMPTY_RESULT = "empty_result"
    """The query returns no rows, the gold does."""
    EXECUTION_ERROR = "execution_error"
    """The engine refused or aborted the query; the detail has its message."""
    TIMEOUT = "timeout"
    """The query took more seconds or steps than the task allows."""
    MEMORY = "memory"
    """The query needed more memory than a worker has."""
    TOO_MANY_ROWS = "too_many_rows"
    """The result has more rows, cells or bytes than the task allows."""
    FORBIDDEN_STATEMENT = "forbidden_statement"
    """The statement is not a query, or reads what the sandbox does not allow."""
    MANY_STATEMENTS = "many_statements"
    """The answer has several statements."""
    SYNTAX_ERROR = "syntax_error"
    """The engine cannot parse the query."""
    NO_SQL = "no_sql"
    """No SQL was found in the answer."""
    GOLD_FAILED = "gold_failed"
    """Unscored: no gold of the question can be run within the limits."""
    INFRASTRUCTURE = "infrastructure"
    """Unscored: our own failure, such as a missing database or a lost worker."""


OURS = frozenset({Reason.GOLD_FAILED, Reason.INFRASTRUCTURE})
"""Reasons that are our failure, not the model's: the score is None, never 0."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is to be judged: a completion's text, and the golds of its question on its database."""

    database: Database
    gold: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """Everything that one execution of one completion showed. Scorers only read it.

    ``verdicts[mode]`` is 1.0 or 0.0 (``bird_f1``: a fraction), or None where we, not the model, failed.
    ``clauses[name]`` is the F1 in [0, 1] of one clause of the query against the gold's.
    """

    sql: str
    reason: Reason
    verdicts: Mapping[str, float | None] = field(default_factory=dict)
    detail: str = ""
    """The engine's message, or the first differing row."""
    parses: bool = False
    executes: bool = False
    clauses: Mapping[str, float] = field(default_factory=dict)
    constructs: tuple[str, ...] = ()
    """Those constructs of the query that the task forbids (``scoring.terms.forbidden``)."""
    columns: int = 0
    gold_columns: int = 0
    rows: int = 0
    gold_rows: int = 0
    row_overlap: float = 0.0
    """Soft agreement of the rows with the gold's in [0, 1]; 0 where only verdicts are asked for."""
    seconds: float = 0.0
    steps: int | None = None
    """None where the engine counts none; 0 is a query shorter than the unit of counting."""
    gold_steps: int | None = None
    gold_seconds: float = 0.0
    result: str = ""
    """Digest of the rows that the answer returned, where the grader was asked for it."""
    cut: bool = False
    """Whether the gold's LIMIT cuts through rows that tie, where the grader was asked for it."""
    preview: tuple[str, ...] = ()
    """Names of the columns and the first rows that the answer returned, where the scoring shows them."""
    text: str = ""
    """The completion, where the reward reads it: terms of format and length, and rewards of one's own."""

    @property
    def scored(self) -> bool:
        return self.reason not in OURS


@dataclass(frozen=True, slots=True)
class Score:
    """A number with its evidence. ``value`` None: not scored, left out of means and never paid."""

    value: float | None
    reason: Reason
    sql: str = ""
    detail: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)


class Scorer(Protocol):
    """A frozen, picklable callable; its ``repr`` is its provenance."""

    def __call__(self, attempt: Attempt) -> Score: ...


@dataclass(frozen=True, slots=True)
class Grade:
    """All that a completion earned. ``scores``: one for each scorer, and ``reward``, the composite."""

    attempt: Attempt
    scores: Mapping[str, Score]
