"""The results of gold and answer as small tables, made in a worker of the sandbox."""

from __future__ import annotations

import re
from typing import Any, TypeAlias

from rewards.gold_cache import GoldCache
from rewards.judge import best_attempt, packed
from rewards.query_pair import QueryPair
from rewards.results import first_missing, out_of_order
from rewards.types import JudgeJob, Reason
from rewards.verdicts import Compared, verdict
from tasks.databases.sandbox.executor import Executor
from tasks.types import Cell, Outcome, Row, cell_text

ROWS = 20
COLUMNS = 20
"""The most rows and columns of a table that are shown."""
CHARACTERS = 100
"""The most characters of a cell; a longer one ends with ``…``."""
Places: TypeAlias = tuple[int | None, int | None]
"""In the gold's rows and in the answer's, the index of the first row that differs; None: no row does."""

_AMBIGUOUS = re.compile(
    r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?|[-+]?inf(inity)?|nan|null|\s.*|.*\s|", re.IGNORECASE | re.DOTALL
)
"""Texts that could be taken for a number, for NULL or for nothing: they are shown in quotes."""


def tables(executor: Executor, plain_job: tuple[Any, ...]) -> tuple[Any, ...]:
    """The work function: the attempt and new files as ``judge`` returns them, and what was compared.

    ``(attempt, files, instance, gold table, answer table)``; a table: the fields of ``results.ResultTable``.
    """
    job = JudgeJob(*plain_job)
    gold_cache = GoldCache(job.settings.gold_cache, executor)
    attempt, pair = best_attempt(executor, job, gold_cache)
    instance, gold_sql, sql = _compared(pair, job)
    gold, answer = pair.gold(instance, gold_sql), pair.answer(instance, sql)
    differs = _differs(gold, answer, attempt.reason)
    shown = [table(outcome, row) for outcome, row in zip((gold, answer), differs, strict=True)]
    return packed(attempt), gold_cache.new_files, instance, *shown


def _compared(pair: QueryPair, job: JudgeJob) -> Compared:
    """The instance and the form of both queries that decided the headline verdict. Nothing runs again."""
    instances = min(job.settings.instances, max(1, len(job.database.instances)))
    decided = verdict(pair, job.settings.metric, instances)
    if decided.differs:
        return decided.differs
    failed = re.match(r"instance (\d+): ", decided.detail)
    instance = int(failed[1]) - 1 if failed else 0
    return instance if instance < len(job.database.instances) else 0, pair.gold_sql, pair.sql


def _differs(gold: Outcome, answer: Outcome, reason: Reason) -> Places:
    if reason is Reason.CORRECT or not (gold.ok and answer.ok):
        return None, None
    if reason is Reason.WRONG_ORDER:
        place = out_of_order(gold, answer)
        return place, place
    return first_missing(gold, answer)


def table(outcome: Outcome, differs: int | None) -> tuple[Any, ...]:
    """At most ROWS rows of a result with the one that differs among them, as texts."""
    start = 0 if differs is None or differs < ROWS else differs - ROWS // 2
    rows = outcome.rows[start : start + ROWS]
    return (
        tuple(_cut(name) for name in outcome.columns[:COLUMNS]),
        tuple(_row(row) for row in rows),
        start,
        len(outcome.rows),
        len(outcome.columns),
        differs,
        "" if outcome.ok else f"{outcome.status.value}: {_cut(outcome.message)}".removesuffix(": "),
    )


def _row(row: Row) -> tuple[str | None, ...]:
    return tuple(cell(value) for value in row[:COLUMNS])


def cell(value: Cell) -> str | None:
    """A cell as text; None for NULL.

    >>> cell("a"), cell(1), cell("1"), cell(b"1")
    ('a', '1', "'1'", "x'31'")
    """
    if value is None:
        return None
    if isinstance(value, str):
        text = value[: CHARACTERS + 1]
        return _cut(f"'{text}'" if _AMBIGUOUS.fullmatch(text) else text)
    if isinstance(value, bytes):
        return _cut(f"x'{value[:CHARACTERS].hex()}'")
    return _cut(cell_text(value))


def _cut(text: str) -> str:
    """A text of at most CHARACTERS characters, without lone surrogates, which no file holds."""
    shown = text if len(text) <= CHARACTERS else text[: CHARACTERS - 1] + "…"
    return shown.encode("utf-8", "replace").decode()
