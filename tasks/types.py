"""The types of a task: questions, chat messages, databases and the outcome of a query.

The data passes through these types, package by package (read the ``types.py`` of each first)::

    tasks    Sample, Message, Database, Outcome
    runners  Sampling, Request -> Completion
    rewards  Attempt -> Score
    leaderboards  Record, Run
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias, TypedDict

Engine = Literal["sqlite", "duckdb", "postgres", "mariadb"]
Cell: TypeAlias = "int | float | str | bytes | tuple[Cell, ...] | None"
"""A value as a plain builtin. A type that SQLite lacks is a tuple that begins with the type's name and equals
no number and no text: ("decimal", "1.5"), ("list", 1, 2), ("struct", "a", 1, "b", 2), ("map", 1, "x")."""
Row = tuple[Cell, ...]
DECIMAL = "decimal"
"""The type of an exact number that is not whole. Its text has no trailing zeros."""


def cell_text(cell: Cell) -> str:
    """A cell as DuckDB writes it: [1, 2], {'a': 1}, MAP {1: 'x'}, (1, 2), 1.5; others as Python does."""
    if not isinstance(cell, tuple):
        return repr(cell)
    type_name, *parts = cell
    if type_name == DECIMAL:
        return str(parts[0])
    texts = list(map(cell_text, parts))
    if type_name == "list":
        return f"[{', '.join(texts)}]"
    if type_name == "tuple":
        return f"({', '.join(texts)})"
    pairs = [f"{key}: {value}" for key, value in zip(texts[::2], texts[1::2], strict=True)]
    return f"{'MAP ' if type_name == 'map' else ''}{{{', '.join(pairs)}}}"


class Message(TypedDict):
    """One chat message, in the form every chat template and API takes."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One question. ``gold`` holds one or more SQL answers, each of which is correct."""

    id: str
    question: str
    database: str
    gold: tuple[str, ...]
    evidence: str = ""
    difficulty: str = ""
    part: str = ""
    """A named part of the split that the board reports separately (``seen``, ``unseen``)."""
    family: str = ""
    """The kind of question, where the dataset has one."""
    ddl: str = ""
    """The schema as SQL text, for rows that have their own schema instead of a database file."""


@dataclass(frozen=True, slots=True)
class LostGold:
    """A gold that cannot be translated to another engine. ``cause``: a word by which reports group."""

    id: str
    database: str
    cause: str
    detail: str
    gold: str
    translation: str = ""


Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Called with a title and the number of items; its block reports how many further items are done."""


def silent(_: str, __: int) -> AbstractContextManager[Callable[[int], None]]:
    """Shows no progress."""
    return nullcontext(lambda done: None)


@dataclass(frozen=True, slots=True)
class Server:
    """A database on a server.

    ``url`` as the task names it, without the values of its ``${VARIABLES}``: it is shown and recorded.
    ``login`` has them filled in; it is neither shown nor recorded.
    """

    url: str
    login: str = field(default="", repr=False, compare=False)

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True, slots=True)
class Private:
    """What of a database is private. Its instances are then copies without that, or a server refuses it."""

    patterns: tuple[str, ...]
    """The names as the task has them: ``table``, ``table.column``, ``schema.table.column``."""
    hidden: frozenset[tuple[str, str]] = frozenset()
    """Table as the engine reports it, and column, in lower case; "" for a whole table."""
    names: frozenset[str] = frozenset()
    """The names, in lower case, by which a text would tell of it."""
    sources: tuple[Path, ...] = ()
    """The files of which the instances are copies."""
    schema: tuple[str, ...] = field(default=(), repr=False)
    """Statements that build all tables and views of the source without rows."""


@dataclass(frozen=True, slots=True)
class Database:
    """A database and its other instances (same schema, different rows): files, or databases of a server.

    Prompts show rows of ``instances[0]``. Spider's EX is the verdict on ``instances[0]``, its TS the verdict
    on all instances that are not generated. A database without files is built in memory from ``ddl``.
    """

    id: str
    engine: Engine = "sqlite"
    instances: tuple[Path | Server, ...] = ()
    ddl: str = ""
    generated: int = 0
    """How many of the instances were generated; these come last and count in strict mode only."""
    stamp: str = ""
    """State of the files when a batch of queries began (``databases.state.stamped``)."""
    private: Private | None = None
    """What of it is private; None: nothing."""

    def key(self, instance: int) -> tuple[str, str, str]:
        """The key under which results of queries on an instance are cached."""
        return self.engine, str(self.instances[instance]) if self.instances else self.ddl, self.stamp


@dataclass(frozen=True, slots=True)
class Limits:
    """What one query may use. Exceeding a limit is a verdict; a result is never truncated."""

    seconds: float = 30.0
    """Deadline in CPU seconds; the worker is killed when it has passed."""
    steps: int = 200_000_000
    """SQLite virtual-machine instructions, so that a verdict does not depend on the machine's load."""
    rows: int = 250_000
    """Rows of one result."""
    cells: int = 1_000_000
    """Cells of one result."""
    bytes: int = 64 * 2**20
    """Bytes of text and blobs in one result."""
    memory: int = 1024 * 2**20
    """Bytes of address space one worker may add while it runs a query."""


class Pool(Protocol):
    """Workers that run jobs on databases: the sandbox of this machine, or those of a cluster."""

    def map(
        self, work: str, jobs: Sequence[Any], costs: Sequence[float] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield ``(index, result)`` of each job: a tuple that begins with its database. See ``Sandbox``."""

    def close(self) -> None:
        """End the workers."""


Workers: TypeAlias = "int | Callable[[Limits], Pool]"
"""The number of workers of a sandbox (0: one for each CPU), or what makes another pool for some limits."""


class Status(StrEnum):
    """How an execution ended. ``INFRASTRUCTURE`` is our own failure; the query causes all other failures."""

    OK = "ok"
    EXECUTION_ERROR = "execution_error"
    SYNTAX_ERROR = "syntax_error"
    TIMEOUT = "timeout"
    MEMORY = "memory"
    TOO_MANY_ROWS = "too_many_rows"
    FORBIDDEN_STATEMENT = "forbidden_statement"
    PRIVATE_DATA = "private_data"
    MANY_STATEMENTS = "many_statements"
    NO_SQL = "no_sql"
    INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one execution returned: rows of plain cells, or why there are none."""

    status: Status
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    message: str = ""
    seconds: float = 0.0
    steps: int | None = None
    """SQLite virtual-machine instructions, in thousands rounded down; None where the engine counts none."""
    digest: bytes = b""
    """Result digest: equal digests mean equal rows in the same order, each cell of the same type."""
    undecodable: bool = False
    """Whether some text is not UTF-8. Its bytes that are not UTF-8 are lone surrogates in the cells."""

    @property
    def ok(self) -> bool:
        return self.status is Status.OK

    def same_as(self, other: Outcome) -> bool:
        """Whether both returned the same rows in the same order, by their digests."""
        return bool(self.digest) and self.digest == other.digest


class Mode(StrEnum):
    """The rule by which a result counts as equal to the gold's.

    ``strict`` is our own rule and the default. The others reproduce an official evaluator row by row:
    ``spider`` is EX (one database), ``spider_ts`` TS (all instances), ``bird`` is ``set == set``,
    ``bird_f1`` the mini-dev soft F1, ``denotation`` WikiTableQuestions' accuracy,
    ``spider2`` Spider 2.0's.
    """

    STRICT = "strict"
    """Equal multisets of rows under one mapping of columns, ordered only where the gold's outermost
    query orders, on every instance that the task asks for."""
    SPIDER = "spider"
    """Spider's execution accuracy (EX): the official test-suite evaluator on the first instance."""
    SPIDER_TS = "spider_ts"
    """Spider's test-suite accuracy (TS): the same on all shipped instances."""
    BIRD = "bird"
    """BIRD's execution accuracy: the sets of rows are equal."""
    BIRD_F1 = "bird_f1"
    """The soft F1 of BIRD mini-dev, in [0, 1]."""
    DENOTATION = "denotation"
    """WikiTableQuestions' accuracy: the values of the result's cells match the answers, as sets."""
    SPIDER2 = "spider2"
    """Spider 2.0's accuracy: each column of the expected result equals some column of the query's, numbers
    within 0.01, in any order of rows where the dataset says so."""


RESULT_MODES = (Mode.DENOTATION, Mode.SPIDER2)
"""The modes that compare with results that a dataset gives instead of SQL."""
ROW_MODES = tuple(mode for mode in Mode if mode not in RESULT_MODES)
"""The modes that compare the rows of two queries."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """``column`` of the table that holds it points to ``other_table.other_column``."""

    column: str
    other_table: str
    other_column: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column; ``type`` as declared."""

    name: str
    type: str
    primary_key: bool = False
    not_null: bool = False
    comment: str = ""
    """What the database, or a file beside it, says of the column, in one line."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table as the database describes it."""

    name: str
    columns: tuple[Column, ...]
    foreign_keys: tuple[ForeignKey, ...] = ()
    ddl: str = ""
    rows: tuple[Row, ...] = ()
    """The first rows, where the prompt shows them; a view has none."""
    kind: Literal["table", "view", "virtual"] = "table"
    schema: str = ""
    """Its schema, where that is not the engine's default. Foreign keys stay within it."""
    comment: str = ""
    """What the database says of the table, in one line."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The description of a database that a prompt can show."""

    tables: tuple[Table, ...]
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """``table.column`` -> the values of that column that occur in the question."""
