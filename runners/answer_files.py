"""Files of stored answers -> answers by question, or by row of the dataset. Read, never guessed.

A line of a ``.jsonl`` (or an object of a ``.json`` list) has an id and an answer; a ``.json`` mapping is
id -> answer (BIRD's form); a ``.csv`` or ``.tsv`` has a header; any other file is one SQL a line (Spider's
form). Only ``\\n`` ends a line: U+2028 and their like may stand in SQL.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.common.digests import expect_sha256
from tasks.common.errors import DataError, ModelError, nearest
from tasks.readers import parsed, table, text_of

ID_KEYS = ("id", "question_id", "sample_id")
TEXT_KEYS = (
    *("completion", "text", "sql", "prediction", "query", "predicted_sql", "pred_sql", "answer", "response"),
)
BIRD = "\t----- bird -----\t"
_GOES_ON = re.compile(
    r"\s*(?:(?:where|and|or|on|join|inner|left|right|cross|natural|group|order|having|limit|offset|union"
    r"|intersect|except)\b|\))",
    re.IGNORECASE,
)
"""How a line begins that is the middle of a query."""
_BREAKS_OFF = re.compile(
    r"(?:[,(=<>+*/|]|\b(?:select|distinct|from|where|and|or|not|in|on|by|as|join|having|case|when|then|else|union"
    r"|all|intersect|except))\Z",
    re.IGNORECASE,
)
"""How a line ends that has no end of a query."""
_STARTS = re.compile(r"[\s(]*(?:select|with|values|from|table|pivot|--|/\*|\Z)", re.IGNORECASE)


@dataclass(slots=True)
class Stored:
    """Answers of a file: ``by_id``, or ``by_row``, where answer i is that of row i of the dataset."""

    by_id: dict[str, list[str]] = field(default_factory=dict)
    by_row: list[str] | None = None
    lines: bool = False
    """Each answer is a line of text, in which SQL may have been broken up."""


def read(path: Path, column: str = "") -> Stored:
    """The answers in a file; ``column``: the key or column that holds them.

    Raises ModelError: no text in UTF-8, broken JSON or CSV, no such column, an answer that is no text.
    """
    try:
        return _READERS.get(path.suffix.lower(), _lines)(path, column)
    except (ValueError, RecursionError, AttributeError, csv.Error) as error:
        raise ModelError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None


def _lines(path: Path, column: str) -> Stored:
    if column:
        raise ModelError(
            f"{path}: one SQL a line, without columns: --column is for .csv, .tsv, .json and .jsonl"
        )
    text = text_of(path)
    lines = text.removesuffix("\n").split("\n") if text else []
    return Stored(by_row=[line.strip() for line in lines], lines=True)


def _jsonl(path: Path, column: str) -> Stored:
    objects = []
    for number, line in enumerate(text_of(path).split("\n"), start=1):
        if line.strip():
            try:
                objects.append((f"{path}, line {number}", parsed(line)))
            except ValueError as error:
                why = getattr(error, "msg", error)
                raise ModelError(f"{path}: cannot be read: line {number}: {why}") from None
    return _objects(objects, column)


def _json(path: Path, column: str) -> Stored:
    try:
        data = parsed(text_of(path))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # JSON lines under another name
            return _jsonl(path, column)
        raise
    if isinstance(data, dict):
        found = {key: [_answer(text, f"{path}, id {key}").partition(BIRD)[0]] for key, text in data.items()}
        return Stored(by_id=found)
    if not isinstance(data, list) or not data:
        kind = "an empty list" if data == [] else f"a {type(data).__name__}"
        raise ModelError(f"{path}: expected a mapping of id to answer, found {kind}")
    if all(isinstance(one, str | None) for one in data):
        return Stored(by_row=[one or "" for one in data])
    return _objects([(f"{path}, item {number}", one) for number, one in enumerate(data)], column)


def _objects(objects: Iterable[tuple[str, Any]], column: str) -> Stored:
    found: dict[str, list[str]] = {}
    for where, row in objects:
        key = next((name for name in ID_KEYS if isinstance(row, dict) and name in row), "")
        if not key:
            raise ModelError(f'{where}: expected an object with "id"')
        if isinstance(row[key], bool) or not isinstance(row[key], str | int):
            raise ModelError(f"{where}: the id {row[key]!r:.40} is neither a text nor a whole number")
        name = _column(list(row), column, where)
        found.setdefault(str(row[key]), []).append(_answer(row[name], where))
    return Stored(by_id=found)


def _table(path: Path, column: str) -> Stored:
    try:
        header, rows = table(path)
    except DataError as error:
        raise ModelError(str(error)) from None
    place = header.index(_column(header, column, str(path)))
    key = next((header.index(name) for name in ID_KEYS if name in header), None)
    if key is None:
        return Stored(by_row=[row[place].strip() for row in rows])
    found = Stored()
    for row in rows:
        found.by_id.setdefault(row[key], []).append(row[place].strip())
    return found


def _column(names: Sequence[str], wanted: str, where: str) -> str:
    """The column that holds the answers: the wanted one, else the only one with a known name."""
    if wanted and wanted not in names:
        raise ModelError(f"{where}: no column '{wanted}': {nearest(wanted, names)}")
    known = [wanted] if wanted else [name for name in TEXT_KEYS if name in names][:1]
    if not known:
        raise ModelError(
            f"{where}: expected one of the keys {', '.join(TEXT_KEYS)}; it has"
            f" {', '.join(names)[:200] or 'none'}: name the one with the answers by --column"
        )
    return known[0]


def _answer(value: Any, where: str) -> str:
    if value is not None and not isinstance(value, str):
        raise ModelError(f"{where}: the answer is a {type(value).__name__}, expected a text")
    return value or ""


def _records(path: Path, column: str) -> Stored:
    import duckdb

    _expect_unchanged(path)
    found = Stored()
    try:
        with duckdb.connect() as connection:
            rows = connection.execute(
                "SELECT sample_id, completion FROM read_parquet($path) WHERE finish != 'error'"
                " ORDER BY sample_id, sample_index",
                {"path": str(path)},
            ).fetchall()
    except duckdb.Error as error:
        raise ValueError(error) from None
    for key, text in rows:
        found.by_id.setdefault(key, []).append(text)
    return found


def _expect_unchanged(records: Path) -> None:
    """Hold the records of a run against the digest beside them, if one was noted. Raises ValueError."""
    note = records.with_name("run.json")
    if note.is_file():
        expect_sha256(records, json.loads(text_of(note)).get("records_sha256"))


_READERS = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _table,
    ".tsv": _table,
    ".parquet": _records,
}


def in_order(stored: Stored, path: Path, rows: int) -> list[str]:
    """An answer for each of ``rows`` rows. Raises ModelError where lines and rows do not fit each other.

    Blank lines are missing answers if there are as many lines as rows, and are left out if there are as many
    others.
    """
    answers = stored.by_row or []
    filled = [line for line in answers if line]
    split = _broken_up(answers) if stored.lines else None
    if len(answers) != rows and len(filled) == rows:
        answers = filled
    if len(answers) == rows and split is None:
        return answers
    what = "lines" if stored.lines else "answers"
    why = f"{path} has {len(answers)} {what}, the dataset has {rows} rows"
    blank = next((i for i, line in enumerate(answers) if not line), None)
    if split is not None:
        why += f": line {split + 1} goes on with the query before it ('{answers[split][:40]}')"
    elif blank is not None and stored.lines:
        why += f": line {blank + 1} is blank"
    raise ModelError(f"{why}: write one {what[:-1]} for each row, in order, empty where there is no answer")


def _broken_up(lines: Sequence[str]) -> int | None:
    """The first line that goes on with the query of the line before it.

    A line that merely breaks off may be an answer that was cut: the one after it must be no query.
    """
    for number, line in enumerate(lines):
        cut = number and _BREAKS_OFF.search(lines[number - 1][-20:]) and not _STARTS.match(line)
        if cut or _GOES_ON.match(line):
            return number
    return None


def without_database(answer: str, database: str) -> str:
    """The SQL of ``SQL<tab>database``, Spider's form; a tab before anything else is SQL's own."""
    sql, tab, last = answer.partition(BIRD)[0].rpartition("\t")
    return (
        sql.strip() if tab and last.strip().lower() == database.lower() else answer.partition(BIRD)[0].strip()
    )


def by_id(stored: Stored, path: Path, rows: Sequence[tuple[str, str]]) -> Mapping[str, list[str]]:
    """The answers by the questions' ids; ``rows``: the id and the database of each row of the dataset.

    Raises ModelError: lines that do not fit the rows, an id that no row has.
    """
    if stored.by_row is not None:
        answers = in_order(stored, path, len(rows))
        pairs = zip(rows, answers, strict=True)
        return {id: [without_database(answer, database)] for (id, database), answer in pairs}
    known = {id for id, _ in rows}
    strange = next((id for id in stored.by_id if id not in known), None)
    if strange is not None:
        near = nearest(strange, known) if len(known) < 5000 else f"the first is '{rows[0][0]}'"
        near = near if near.startswith("did") else f"the ids go from '{rows[0][0]}' to '{rows[-1][0]}'"
        raise ModelError(f"{path}: the dataset has no question '{strange}': {near}")
    return stored.by_id
