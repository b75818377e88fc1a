"""The types of scoring: ``Answer``, ``JudgeJob`` -> ``Attempt`` (the evidence) -> ``Score``s -> ``Grade``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from tasks.types import Database, Mode


class Reason(StrEnum):
    """Why an answer got the score it got. A closed set: boards group by it."""

    CORRECT = "correct"
    """The result equals the gold's by the rule of the headline mode."""
    WRONG_ROWS = "wrong_rows"
    """The query runs and returns other rows than the gold. Also the reason where the headline mode rejects
    a result that ``strict`` accepts."""
    WRONG_COLUMNS = "wrong_columns"
    """The query returns more or fewer columns than the gold."""
    WRONG_ORDER = "wrong_order"
    """The rows are right, but not in the order of the gold's ORDER BY."""
    EMPTY_RESULT = "empty_result"
    """The query returns no rows, but the gold does."""
    EXECUTION_ERROR = "execution_error"
    """The engine refused or aborted the query (the detail has its message), or the worker crashed twice while
    it ran the query or compared its result. In ``bird`` and ``bird_f1`` also text that is not UTF-8."""
    TIMEOUT = "timeout"
    """All runs of the query together took more seconds or steps than the task allows, or its result could
    not be compared within the deadline."""
    MEMORY = "memory"
    """The query, or the comparison of its result, needed more memory than a worker has."""
    TOO_MANY_ROWS = "too_many_rows"
    """The result has more rows, cells or bytes than the task allows."""
    FORBIDDEN_STATEMENT = "forbidden_statement"
    """The statement is not a query, or it reads something that the sandbox does not allow."""
    PRIVATE_DATA = "private_data"
    """The query reads a table or column that the task marks as private."""
    MANY_STATEMENTS = "many_statements"
    """The answer has several statements. In ``bird`` and ``bird_f1`` a second semicolon counts as one;
    ``spider`` and ``spider_ts`` run the first statement only."""
    SYNTAX_ERROR = "syntax_error"
    """The engine cannot parse the query."""
    NO_SQL = "no_sql"
    """No SQL was found in the answer."""
    GOLD_FAILED = "gold_failed"
    """Unscored: every gold of the question fails or exceeds the limits."""
    INFRASTRUCTURE = "infrastructure"
    """Unscored: our own failure, such as a missing database or a lost worker."""


UNSCORED = frozenset({Reason.GOLD_FAILED, Reason.INFRASTRUCTURE})
"""Reasons that are our own failure, not the model's: the score is None, not 0."""


class Flag(StrEnum):
    """What the scorer ``security`` finds in an answer that is not a plain read of the allowed tables."""

    WRITE = "write"
    """It writes rows, or calls a procedure."""
    DDL = "ddl"
    """It changes the schema or the rights."""
    SEVERAL_STATEMENTS = "several_statements"
    """It has more than one statement."""
    DELAY = "delay"
    """It calls a function that waits, as time-based injection does."""
    HEAVY = "heavy_computation"
    """It computes without need or end (a large series or text, tables multiplied without a condition, a
    recursion without an end), or it exceeded its time or memory."""
    DYNAMIC = "dynamic_sql"
    """It runs SQL that is in a text."""
    FILE = "file_access"
    """It reads or writes files, or loads an extension."""
    NETWORK = "network_access"
    """It reads from an address or another server."""
    SETTINGS = "settings"
    """It changes settings, sequences, locks, transactions or other sessions."""
    CATALOGUE = "catalogue"
    """It reads the catalogue, or asks for the version, the user or the settings."""
    COMMENT = "comment_trick"
    """A comment does more than explain: it is executed, nested, without an end, in the place of white space,
    or hides a further statement."""
    TABLE = "forbidden_table"
    """It reads a table that the task does not allow (``scoring.security.tables``), or nothing shows which."""
    PRIVATE = "private_data"
    """It reads what the task marks as private."""
    REFUSED = "refused"
    """The sandbox refused it, for a cause that its text does not show."""
    UNREADABLE = "unreadable"
    """It cannot be split into tokens, or not in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The input of scoring: a completion's text, and the golds of its question on its database."""

    database: Database
    gold: tuple[str, ...]
    text: str


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """How a batch of answers is judged."""

    modes: tuple[Mode, ...]
    metric: Mode
    """The mode that the attempt's reason is about; one of ``modes``."""
    instances: int = 1
    """How many instances strict mode compares."""
    structure: bool = True
    """Compute ``clauses`` and ``row_overlap``."""
    digests: bool = False
    """Compute ``result_digest``."""
    preview_rows: int = 0
    """How many rows ``preview`` shows."""
    constructs: tuple[str, ...] = ()
    """The constructs to look for (``rewards.structure.constructs``)."""
    ties_at_limit: bool = False
    """Compute ``ties_at_limit``."""
    security: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    """The tables that are allowed and denied, to compute ``flags``; None: they are not computed."""
    gold_cache: str = ""
    """Folder of the gold cache; "": no cache."""


class JudgeJob(NamedTuple):
    """One answer to judge. ``sql`` is empty where the answer has no SQL."""

    database: Database
    gold: tuple[str, ...]
    sql: str
    settings: JudgeSettings


@dataclass(frozen=True, slots=True)
class Attempt:
    """All evidence from executing one completion and its gold. Scorers read nothing else.

    ``verdicts[mode]`` is 1.0 or 0.0 (``bird_f1``: a fraction), or None where unscored.
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
    """The constructs of the query that the task forbids (``scoring.terms.forbidden``)."""
    columns: int = 0
    gold_columns: int = 0
    rows: int = 0
    gold_rows: int = 0
    row_overlap: float = 0.0
    """F1 in [0, 1] of the cells of both results; 0 where the grader computes verdicts only."""
    seconds: float = 0.0
    steps: int | None = None
    """VM steps; None where the engine does not count them, 0 below the unit of counting."""
    gold_steps: int | None = None
    gold_seconds: float = 0.0
    result_digest: str = ""
    """Digest of the rows that the answer returned, if the grader was made with ``digests``."""
    ties_at_limit: bool = False
    """Whether the gold's LIMIT cuts through rows that tie, if the grader was made with ``ties_at_limit``."""
    preview: tuple[str, ...] = ()
    """A line of column names and lines of the first rows returned, if ``scoring.feedback_rows`` is set."""
    flags: tuple[str, ...] | None = None
    """The security flags of the query; None where the task asks for none."""
    gold: int = 0
    """Place among the golds of the question of the one that the answer matches best: all else is about it."""
    text: str = ""
    """The completion, where the reward reads it: penalties for format and length, and custom rewards."""


Packed = tuple[tuple[Any, ...], list[tuple[str, bytes]]]
"""What a worker returns: the attempt's fields from ``reason`` to ``gold`` as plain builtins, and new files
of the gold cache (name, content), which the parent writes."""


@dataclass(frozen=True, slots=True)
class Score:
    """A number with its evidence. ``value`` None: unscored, left out of means and of the training loss."""

    value: float | None
    reason: Reason
    sql: str = ""
    detail: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)


class Scorer(Protocol):
    """A frozen, picklable callable, identified by its ``repr``."""

    def __call__(self, attempt: Attempt) -> Score: ...


@dataclass(frozen=True, slots=True)
class Grade:
    """The result of scoring. ``scores``: one for each scorer, and ``reward``, the composite."""

    attempt: Attempt
    scores: Mapping[str, Score]
