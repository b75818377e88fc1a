"""A user's file of questions: which column holds what, which rows lack something, and its splits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks import readers
from tasks.common.errors import DataError
from tasks.samples import golds, text
from tasks.sources import sliced

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "gold": ("sql", "gold_sql", "sql_query", "gold", "gold_query", "query"),
    "question": (
        "question",
        "utterance",
        "nl",
        "nl_question",
        "nl_query",
        "natural_language",
        "text",
        "query",
    ),
    "id": ("id", "question_id", "qid"),
    "evidence": ("evidence", "hint", "external_knowledge"),
    "difficulty": ("difficulty", "hardness"),
}
"""Field of a sample -> the names that its column may have, the likeliest first, in any letter case."""
DATABASES = ("db_id", "database_id", "database", "db")
ENOUGH = 300
"""Questions from which on a file is divided into train, dev and test."""
DIVIDED = {"train": "train[:60%]", "dev": "dev[60%:70%]", "test": "test[70%:]"}
TOGETHER = {"test": "test"}
_NAMED = 6
"""Rows that a message names; the others are counted."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Questions:
    """A file of questions as a task reads it.

    ``rows``: questions on this database; ``with_sql`` of them have a gold. ``places``: split -> id of a
    question -> where it stands in the file. ``notes``: what is read otherwise than one might expect.
    """

    path: Path
    columns: Mapping[str, str]
    rows: int
    with_sql: int
    splits: Mapping[str, str]
    where: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_questions(path: Path, databases: Sequence[str]) -> Questions:
    """The questions of a file. ``databases``: the names by which rows may name the database.

    Raises DataError: the file cannot be read, has no column of questions or SQL, or a row has no question.
    """
    rows = readers.read(path)
    if not rows:
        raise DataError(f"{path}: it has no rows")
    places = readers.places(path)
    notes: list[str] = []
    columns = _columns(path, rows)
    where = _of_database(rows, databases, notes)
    used = [n for n, row in enumerate(rows) if all(row.get(key) == value for key, value in where.items())]
    _expect_questions(path, [(rows[n], places[n]) for n in used], columns["question"])
    with_sql = [n for n in used if golds(rows[n].get(columns["gold"]), f"{path}, {places[n]}")]
    if missing := [places[n] for n in used if n not in set(with_sql)]:
        notes.append(f"{listed(missing)}: no SQL in the column '{columns['gold']}': left out until there is")
    columns = {
        name: column for name, column in columns.items() if _is_usable(name, column, rows, places, notes)
    }
    splits = TOGETHER
    if len(with_sql) >= ENOUGH and not where:
        splits = DIVIDED
        notes.append("the splits follow the order of the file: shuffle its rows once if they are sorted")
    return Questions(
        path=path,
        columns=columns,
        rows=len(used),
        with_sql=len(with_sql),
        splits=splits,
        where=where,
        places=dict(_places(rows, places, splits, columns.get("id", ""))),
        notes=tuple(notes),
    )


def listed(places: Sequence[str]) -> str:
    """Places in a file in words: ``line 2, line 5 and 7 more``."""
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return ", ".join(places[:_NAMED]) + more


def _columns(path: Path, rows: Rows) -> dict[str, str]:
    """The column of each field that the file has. Raises DataError: none for the questions or the SQL."""
    header = list(dict.fromkeys(column for row in rows for column in row))
    spellings: dict[str, str] = {}
    for column in header:
        spellings.setdefault(re.sub(r"[\W_]+", "_", column.strip().lower()).strip("_"), column)
    found: dict[str, str] = {}
    for name, candidates in COLUMNS.items():
        free = (spellings[one] for one in candidates if one in spellings)
        chosen = next((one for one in free if one not in found.values()), None)
        if chosen is not None:
            found[name] = chosen
    for name, what in (("question", "questions"), ("gold", "SQL")):
        if name not in found:
            raise DataError(
                f"{path}: no column of {what}: name it '{COLUMNS[name][0]}'; the file has {', '.join(header)}"
            )
    return found


def _of_database(rows: Rows, databases: Sequence[str], notes: list[str]) -> dict[str, str]:
    """The value by which rows of this database are chosen, where the file has rows of several."""
    for column in DATABASES:
        values = {row[column] for row in rows if isinstance(row.get(column), str)}
        if len(values) > 1:
            name = next((one for one in databases if one in values), None)
            if name is not None:
                notes.append(f"only the rows with '{name}' in the column '{column}' are used")
                return {column: name}
            notes.append(
                f"the column '{column}' names {len(values)} databases: all rows are asked on this one"
            )
            return {}
    return {}


def _expect_questions(path: Path, rows: Sequence[tuple[Mapping[str, Any], str]], column: str) -> None:
    missing = [place for row, place in rows if not text(row.get(column)).strip()]
    if missing:
        raise DataError(
            f"{path}: no question in the column '{column}': {listed(missing)}: write one, or remove the row"
        )


def _is_usable(name: str, column: str, rows: Rows, places: Sequence[str], notes: list[str]) -> bool:
    """Whether all rows have an optional column, and the ids in it differ; if not, a note says so."""
    if name in ("question", "gold"):
        return True
    lacking = [place for row, place in zip(rows, places, strict=True) if name != "id" and column not in row]
    if name == "id":
        first: dict[str, str] = {}
        for row, place in zip(rows, places, strict=True):
            id = text(row.get(column)).strip()
            if not id:
                lacking.append(place)
            elif id in first:
                notes.append(
                    f"the column '{column}' is not used: {first[id]} and {place} have the same id '{id}'"
                )
                return False
            else:
                first[id] = place
    if lacking:
        notes.append(f"the column '{column}' is not used: {listed(lacking)} lack it")
    return not lacking


def _places(
    rows: Rows, places: Sequence[str], splits: Mapping[str, str], id: str
) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Each split with its ids and their places in the file."""
    for split, entry in splits.items():
        cut = sliced(entry)[1]
        chosen = range(len(rows))[cut(len(rows))] if cut else range(len(rows))
        yield split, {text(rows[n][id]) if id else str(i): places[n] for i, n in enumerate(chosen)}
