"""Read files of stored answers: answers by question, or by row of the dataset.

A line of a ``.jsonl`` (or an object of a ``.json`` list) has an id and an answer; a ``.json`` mapping maps
id to answer (BIRD's format); a ``.csv`` or ``.tsv`` has a header; any other file has one SQL query on each
line (Spider's format). Only ``\\n`` ends a line: SQL may contain U+2028 and other Unicode line separators.
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
from tasks.readers import json_lines, parsed, table, text_of

ID_KEYS = ("id", "question_id", "sample_id")
ANSWER_KEYS = (
    *("completion", "text", "sql", "prediction", "query", "predicted_sql", "pred_sql", "answer", "response"),
)
BIRD_SEPARATOR = "\t----- bird -----\t"
"""The separator between SQL and database in BIRD's files."""
_CONTINUES = re.compile(
    r"\s*(?:(?:where|and|or|on|join|inner|left|right|cross|natural|group|order|having|limit|offset|union"
    r"|intersect|except)\b|\))",
    re.IGNORECASE,
)
"""The beginning of a line that continues a query."""
_INCOMPLETE = re.compile(
    r"(?:[,(=<>+*/|]|\b(?:select|distinct|from|where|and|or|not|in|on|by|as|join|having|case|when|then|else|union"
    r"|all|intersect|except))\Z",
    re.IGNORECASE,
)
"""The end of a line that ends inside a query."""
_STARTS = re.compile(r"[\s(]*(?:select|with|values|from|table|pivot|--|/\*|\Z)", re.IGNORECASE)
"""The beginning of a line that starts a query, or is empty."""


@dataclass(slots=True)
class StoredAnswers:
    """The answers of a file: ``by_id``, or ``by_row``, with answer i for row i of the dataset."""

    by_id: dict[str, list[str]] = field(default_factory=dict)
    by_row: list[str] | None = None
    one_per_line: bool = False
    """The file has one answer on each line, so a query may have been split at its line breaks."""


def read(path: Path, column: str = "") -> StoredAnswers:
    """The answers in a file; ``column``: the key or column that holds them.

    Raises ModelError: no UTF-8 text, invalid JSON or CSV, a missing column, an answer that is no text.
    """
    try:
        return _READERS.get(path.suffix.lower(), _read_lines)(path, column)
    except DataError as error:
        raise ModelError(str(error)) from None
    except (ValueError, RecursionError, AttributeError, csv.Error) as error:
        raise ModelError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None


def _read_lines(path: Path, column: str) -> StoredAnswers:
    if column:
        raise ModelError(f"{path}: a file with one SQL on each line has no columns: leave out --column")
    text = text_of(path)
    lines = text.removesuffix("\n").split("\n") if text else []
    return StoredAnswers(by_row=[line.strip() for line in lines], one_per_line=True)


def _read_jsonl(path: Path, column: str) -> StoredAnswers:
    return _from_objects(json_lines(path), column)


def _read_json(path: Path, column: str) -> StoredAnswers:
    try:
        data = parsed(text_of(path))
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":  # JSON lines with the suffix .json
            return _read_jsonl(path, column)
        raise
    if isinstance(data, dict):
        answers = {
            key: [_answer(text, f"{path}, id {key}").partition(BIRD_SEPARATOR)[0]]
            for key, text in data.items()
        }
        return StoredAnswers(by_id=answers)
    if not isinstance(data, list) or not data:
        actual = "an empty list" if data == [] else f"a {type(data).__name__}"
        raise ModelError(f"{path}: expected a mapping of id to answer, found {actual}")
    if all(isinstance(value, str | None) for value in data):
        return StoredAnswers(by_row=[value or "" for value in data])
    return _from_objects([(f"{path}, item {number}", value) for number, value in enumerate(data)], column)


def _from_objects(objects: Iterable[tuple[str, Any]], column: str) -> StoredAnswers:
    """Answers from ``(where, object)`` pairs. A repeated id holds a further answer."""
    answers: dict[str, list[str]] = {}
    for where, row in objects:
        key = next((name for name in ID_KEYS if isinstance(row, dict) and name in row), "")
        if not key:
            raise ModelError(f'{where}: expected an object with "id"')
        if isinstance(row[key], bool) or not isinstance(row[key], str | int):
            raise ModelError(f"{where}: the id {row[key]!r:.40} is neither a text nor a whole number")
        name = _answer_column(list(row), column, where)
        answers.setdefault(str(row[key]), []).append(_answer(row[name], where))
    return StoredAnswers(by_id=answers)


def _read_table(path: Path, column: str) -> StoredAnswers:
    header, rows = table(path)
    index = header.index(_answer_column(header, column, str(path)))
    id_index = next((header.index(name) for name in ID_KEYS if name in header), None)
    if id_index is None:
        return StoredAnswers(by_row=[row[index].strip() for row in rows])
    answers = StoredAnswers()
    for row in rows:
        answers.by_id.setdefault(row[id_index], []).append(row[index].strip())
    return answers


def _answer_column(names: Sequence[str], wanted: str, where: str) -> str:
    """The column of the answers: the wanted one, else the first known name. Raises ModelError."""
    if wanted and wanted not in names:
        raise ModelError(f"{where}: no column '{wanted}': {nearest(wanted, names)}")
    name = wanted or next((name for name in ANSWER_KEYS if name in names), "")
    if not name:
        raise ModelError(
            f"{where}: expected one of the keys {', '.join(ANSWER_KEYS)}; it has"
            f" {', '.join(names)[:200] or 'none'}: name the key of the answers with --column"
        )
    return name


def _answer(value: Any, where: str) -> str:
    if value is not None and not isinstance(value, str):
        raise ModelError(f"{where}: the answer is a {type(value).__name__}, expected a text")
    return value or ""


def _read_records(path: Path, column: str) -> StoredAnswers:
    """The answers in the records of a finished run. Raises ValueError: the file was changed."""
    import duckdb

    run = path.with_name("run.json")
    if run.is_file():
        expect_sha256(path, json.loads(text_of(run)).get("records_sha256"))
    answers = StoredAnswers()
    try:
        with duckdb.connect() as connection:
            rows = connection.execute(
                "SELECT sample_id, completion FROM read_parquet($path) WHERE finish != 'error'"
                " ORDER BY sample_id, sample_index",
                {"path": str(path)},
            ).fetchall()
    except duckdb.Error as error:
        raise ValueError(error) from None
    for id, text in rows:
        answers.by_id.setdefault(id, []).append(text)
    return answers


_READERS = {
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_table,
    ".tsv": _read_table,
    ".parquet": _read_records,
}


def by_id(stored: StoredAnswers, path: Path, rows: Sequence[tuple[str, str]]) -> Mapping[str, list[str]]:
    """The answers by the questions' ids; ``rows``: the id and the database of each row of the dataset.

    Raises ModelError: the numbers of answers and rows differ, or no row has an id.
    """
    if stored.by_row is not None:
        answers = in_order(stored, path, len(rows))
        pairs = zip(rows, answers, strict=True)
        return {id: [without_database(answer, database)] for (id, database), answer in pairs}
    known = {id for id, _ in rows}
    unknown = next((id for id in stored.by_id if id not in known), None)
    if unknown is not None:
        hint = nearest(unknown, known) if len(known) < 5000 else ""
        if not hint.startswith("did"):
            hint = f"the ids go from '{rows[0][0]}' to '{rows[-1][0]}'"
        raise ModelError(f"{path}: the dataset has no question '{unknown}': {hint}")
    return stored.by_id


def in_order(stored: StoredAnswers, path: Path, rows: int) -> list[str]:
    """An answer for each of ``rows`` rows. Raises ModelError where the numbers differ, or a query is split.

    If the number of lines equals that of the rows, blank lines are missing answers. If only the number of
    non-blank lines equals it, blank lines are left out.
    """
    answers = stored.by_row or []
    non_blank = [line for line in answers if line]
    split = _split_query(answers) if stored.one_per_line else None
    if len(answers) != rows and len(non_blank) == rows:
        answers = non_blank
    if len(answers) == rows and split is None:
        return answers
    unit = "lines" if stored.one_per_line else "answers"
    problem = f"{path} has {len(answers)} {unit}, the dataset has {rows} rows"
    blank = next((i for i, line in enumerate(answers) if not line), None)
    if split is not None:
        problem += f": line {split + 1} continues the query of the line before it ('{answers[split][:40]}')"
    elif blank is not None and stored.one_per_line:
        problem += f": line {blank + 1} is blank"
    raise ModelError(
        f"{problem}: write one {unit[:-1]} for each row, in order, empty where there is no answer"
    )


def _split_query(lines: Sequence[str]) -> int | None:
    """The index of the first line that continues the query of the line before it; None if there is none.

    An incomplete query may also be an answer that was cut off: then the next line starts a new query.
    """
    for number, line in enumerate(lines):
        incomplete = number and _INCOMPLETE.search(lines[number - 1][-20:])
        if _CONTINUES.match(line) or (incomplete and not _STARTS.match(line)):
            return number
    return None


def without_database(answer: str, database: str) -> str:
    """The SQL of ``SQL<tab>database`` (Spider's form); a tab before anything else belongs to the SQL."""
    sql = answer.partition(BIRD_SEPARATOR)[0]
    before_tab, tab, name = sql.rpartition("\t")
    return before_tab.strip() if tab and name.strip().lower() == database.lower() else sql.strip()
