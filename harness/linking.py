"""What schema linking keeps: the tables and columns that golds read, and the length of the prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Protocol

from rewards.structure.parse import parse
from rewards.structure.used import columns_of, used
from tasks.databases.schema import describe
from tasks.task import Task
from tasks.types import Engine, Sample, Schema


class Counter(Protocol):
    """Counts the tokens of prompts."""

    def lengths(self, task: Task, samples: Sequence[Sample]) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """Of one gold: how many of its tables and columns there are, and how many a prompt shows."""

    tables: int
    columns: int
    shown_tables: int
    shown_columns: int

    @property
    def lost(self) -> int:
        return self.tables - self.shown_tables + self.columns - self.shown_columns


@dataclass(frozen=True, slots=True)
class LinkingCheck:
    """The effect of ``prompt.schema.max_tokens`` on a split."""

    budget: int
    cut: int
    """Questions whose prompt does not show the whole schema."""
    golds: int
    """Questions whose gold can be parsed and reads a table."""
    tables: float
    """Share of the tables in golds that the prompts show."""
    columns: float
    """Share of the columns in golds that the prompts show."""
    complete: float
    """Share of the golds whose tables and columns are all shown."""
    tokens: float
    """Mean tokens of a prompt; 0: not counted."""
    tokens_without: float
    """Mean tokens of a prompt that shows the whole schema; 0: not counted."""


def kept(shown: Schema, whole: Schema, golds: Iterable[str], engine: Engine) -> Kept | None:
    """What the shown part of a schema has of a gold, of several golds the one that loses least.

    None: no gold can be parsed and reads a table of the schema.
    """
    known, seen = columns_of(whole), columns_of(shown)
    found = []
    for gold in golds:
        tree = parse(gold, engine)
        read = used(tree, known) if tree else None
        if read and read.tables:
            columns = sum(name in seen.get(table, ()) for table, name in read.columns)
            tables = len(read.tables & seen.keys())
            found.append(Kept(len(read.tables), len(read.columns), tables, columns))
    return min(found, key=lambda one: one.lost, default=None)


def check_linking(task: Task, samples: Sequence[Sample], count: Counter | None) -> LinkingCheck | None:
    """The effect of schema linking on these samples; None where the task has no budget for the schema."""
    parts = task.spec.prompt.schema_
    if not parts.max_tokens:
        return None
    engine = task.spec.databases.engine
    cut, results = 0, []
    for sample in samples:
        shown, whole = task.schema(sample), describe(task.prompt_database(sample), rows=parts.rows)
        cut += width(shown) < width(whole)
        if one := kept(shown, whole, sample.gold, engine):
            results.append(one)
    whole_schema = {"schema_": parts.model_copy(update={"max_tokens": 0})}
    without = task.with_prompt(task.spec.prompt.model_copy(update=whole_schema))
    return LinkingCheck(
        budget=parts.max_tokens,
        cut=cut,
        golds=len(results),
        tables=share((one.shown_tables, one.tables) for one in results),
        columns=share((one.shown_columns, one.columns) for one in results),
        complete=share((not one.lost, 1) for one in results),
        tokens=_mean(count, task, samples),
        tokens_without=_mean(count, without, samples),
    )


def width(schema: Schema) -> int:
    """The number of columns of all tables."""
    return sum(len(table.columns) for table in schema.tables)


def share(parts: Iterable[tuple[int, int]]) -> float:
    """The sum of the first numbers as a share of the sum of the second ones; 1 where that is 0."""
    pairs: list[Any] = list(parts)
    total = sum(whole for _, whole in pairs)
    return sum(part for part, _ in pairs) / total if total else 1.0


def _mean(count: Counter | None, task: Task, samples: Sequence[Sample]) -> float:
    return fmean(count.lengths(task, samples)) if count and samples else 0.0
