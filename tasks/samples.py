"""Turn the rows of a dataset into Samples: read their columns, select rows, make ids unique."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

from tasks import given
from tasks.common.errors import DataError, nearest
from tasks.common.terminal import say
from tasks.spec import TaskSpec
from tasks.types import Sample

SQL_KEYS = ("sql", "query", "SQL", "gold")
"""The keys that may hold the SQL of a gold that is an object; the first that exists is used."""
OPTIONAL = ("evidence", "difficulty", "part", "family", "ddl")
"""Fields of a Sample that a dataset need not have."""


def sample_of(spec: TaskSpec, row: Mapping[str, Any], index: int) -> Sample | None:
    """The sample in a row, or None where ``dataset.where`` leaves the row out.

    ``index``: the row's position in its split, for ids and messages. The sample has no gold where the row has
    none and ``dataset.missing_gold`` allows that. Raises DataError: a column is missing, or the row has no
    question, gold, id or database.
    """
    for column, expected in spec.dataset.where.items():
        where = f"{spec.name}: column '{column}'"
        cell, values = (
            _cell(spec, row, column, index),
            expected if isinstance(expected, tuple) else (expected,),
        )
        if not any(equals(cell, value, where) for value in values):
            return None
    names = spec.dataset.fields
    gold = _gold(spec, row, index)
    question = text(_cell(spec, row, names.question, index))
    if not question.strip() or (not gold and spec.dataset.missing_gold == "error"):
        missing = "a question" if not question.strip() else "its gold"
        raise DataError(f"{spec.name}: row {index} lacks {missing}")
    optional = {
        key: text(_cell(spec, row, column, index)) for key in OPTIONAL if (column := getattr(names, key))
    }
    return Sample(
        id=_required(spec, row, names.id, index) if names.id else str(index),
        question=question,
        database=_required(spec, row, names.database, index) if names.database else spec.name,
        gold=gold,
        **optional,
    )


def _gold(spec: TaskSpec, row: Mapping[str, Any], index: int) -> tuple[str, ...]:
    """The golds of a row; of a row with answers or results, the queries that return them."""
    names, where = spec.dataset.fields, f"{spec.name}: row {index}"
    if names.answers:
        canonical = _cell(spec, row, names.canonical, index) if names.canonical else []
        return given.of_answers(_cell(spec, row, names.answers, index), canonical, where)
    if names.results:
        return given.of_results(_cell(spec, row, names.results, index), where)
    if names.gold not in row and spec.dataset.missing_gold == "skip":
        return ()
    return golds(_cell(spec, row, names.gold, index), where)


def _required(spec: TaskSpec, row: Mapping[str, Any], column: str, index: int) -> str:
    """A cell that may not be empty, as text."""
    value = text(_cell(spec, row, column, index))
    if not value.strip():
        raise DataError(f"{spec.name}: row {index} has no value in the column '{column}'")
    return value


def _cell(spec: TaskSpec, row: Mapping[str, Any], column: str, index: int) -> Any:
    if column not in row:
        raise DataError(f"{spec.name}: row {index} has no column '{column}': {nearest(column, row)}")
    return row[column]


def with_unique_ids(task: str, split: str, numbered: Sequence[tuple[int, Sample]]) -> list[Sample]:
    """The samples of ``(row number, sample)`` pairs, each with an id that no other one has.

    A row that repeats another row word for word gets a number after its id, because official files have such
    rows and count them. Raises DataError: two different rows have the same id.
    """
    first: dict[str, tuple[int, Sample]] = {}
    samples: list[Sample] = []
    repeated: list[str] = []
    for number, sample in numbered:
        earlier, other = first.setdefault(sample.id, (number, sample))
        if earlier != number and sample != other:
            raise DataError(
                f"{task}: rows {earlier} and {number} of '{split}' have the same id '{sample.id}':"
                ' set dataset.fields.id to a column of unique ids, or to "" for ids by position'
            )
        if earlier != number:
            copy = next(i for i in count(2) if f"{sample.id}#{i}" not in first)
            sample = replace(sample, id=f"{sample.id}#{copy}")
            first[sample.id] = number, sample
            repeated.append(sample.id)
        samples.append(sample)
    if repeated:
        say(
            f"{task}: {len(repeated)} rows of '{split}' repeat an earlier row word for word:"
            f" the first is asked as '{repeated[0]}'"
        )
    return samples


def text(value: Any) -> str:
    """A cell as text; "" for NULL and NaN."""
    if value is None or value != value:
        return ""
    return value.strip("\ufeff") if isinstance(value, str) else str(value)


def golds(value: Any, where: str) -> tuple[str, ...]:
    """The SQL answers in a cell: a text, an object with one under ``sql``, or a list of these and NULLs.

    Raises DataError, beginning with ``where``, for anything else.
    """
    return tuple(sql for sql in _golds(value, where) if sql.strip())


def _golds(value: Any, where: str) -> Iterator[str]:
    if value is None or value != value:
        return
    if isinstance(value, str):
        yield text(value)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _golds(item, where)
    elif isinstance(value, dict):
        key = next((name for name in SQL_KEYS if name in value), None)
        if key is None:
            raise DataError(
                f"{where}: an object as gold needs its SQL under 'sql'; it has {', '.join(value)}"
            )
        yield from _golds(value[key], where)
    else:
        raise DataError(f"{where}: the gold is a {type(value).__name__}, expected SQL as text")


def equals(value: Any, expected: str | int | float | bool, where: str) -> bool:
    """Whether a cell has the value that ``dataset.where`` asks for. NULL equals nothing.

    If the cell is text and ``expected`` a number or a truth value, the text is parsed, as csv files need it.
    Raises DataError: ``expected`` is text and the cell is not, or just one of the two is a truth value.
    """
    if value is None or value != value:
        return False
    if isinstance(value, str):
        return value == expected if isinstance(expected, str) else _spells(value, expected)
    if isinstance(expected, str) or isinstance(expected, bool) != isinstance(value, bool):
        expected_type = "text" if isinstance(expected, str) else type(expected).__name__
        raise DataError(
            f"{where} holds {type(value).__name__} values such as {value!r:.40}, and dataset.where asks for"
            f" the {expected_type} {expected!r}: write it as the column has it"
        )
    return bool(value == expected)


def _spells(value: str, expected: int | float | bool) -> bool:
    if isinstance(expected, bool):
        return value.strip().lower() == str(expected).lower()
    try:
        return float(value) == expected
    except ValueError:
        return False
