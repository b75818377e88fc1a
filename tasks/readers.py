"""Read dataset files into rows: JSON, JSON lines, csv, tsv and parquet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from tasks.common.errors import DataError, HarnessError, MissingData, first_line, nearest

Row = dict[str, Any]


def read(path: Path) -> list[Row]:
    """All rows of a file. Raises DataError: it is missing, broken, of an unknown format or no plain file."""
    reader = READERS.get(path.suffix.lower())
    if not path.is_file():
        raise MissingData(_missing(path))
    if reader is None:
        raise DataError(f"{path}: cannot read '{path.suffix}' files; known: {', '.join(READERS)}")
    try:
        return list(reader(path))
    except HarnessError:
        raise
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: cannot be read: not UTF-8 at byte {error.start}: save it as UTF-8 (Excel: 'CSV UTF-8')"
        ) from None
    except Exception as error:  # libraries may raise any error on broken files
        raise DataError(f"{path}: cannot be read: {type(error).__name__}: {first_line(error)}") from error


def _missing(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder, expected a file ({', '.join(READERS)}): name the file in it"
    if path.exists():
        return f"{path} is no plain file"
    others = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = nearest(path.name, others[:1000])
    return f"no such file: {path}" + (f": {hint}" if hint.startswith("did") else "")


def text_of(path: Path) -> str:
    """The text of a UTF-8 file, without its byte order mark. Raises OSError, UnicodeDecodeError."""
    return path.read_bytes().decode("utf-8-sig")


def parsed(text: str) -> Any:
    """The value of a JSON text. Raises ValueError: it is not JSON, or an object has a key twice."""
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"an object has the key {json.dumps(repeated)} twice")
    return value


def _json(path: Path) -> Iterator[Row]:
    try:
        data = parsed(text_of(path))
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise
        yield from _jsonl(path)  # JSON lines under another name
        return
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise DataError(f"{path}: a dataset in JSON is a list of objects")
    yield from data


def _jsonl(path: Path) -> Iterator[Row]:
    for where, row in json_lines(path):
        if not isinstance(row, dict):
            raise DataError(f"{where}: not an object")
        yield row


def json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield ``("FILE, line N", value)`` for each line that is not blank. Raises DataError: it is not JSON."""
    for number, line in enumerate(text_of(path).split("\n"), 1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            yield where, parsed(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: {error.msg}") from None
        except ValueError as error:
            raise DataError(f"{where}: {error}") from None


def _csv(path: Path) -> Iterator[Row]:
    header, records = _records(path)
    yield from (dict(zip(header, cells, strict=True)) for _, cells in _filled(header, records))


def places(path: Path) -> list[str]:
    """Where each row that ``read`` returns stands in its file: ``line 7``, or ``row 7`` of other formats."""
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return [f"line {line}" for line, _ in _filled(*_records(path))]
    if suffix in (".jsonl", ".ndjson"):
        return [where.rpartition(", ")[2] for where, _ in json_lines(path)]
    return [f"row {number}" for number, _ in enumerate(read(path), 1)]


def table(path: Path) -> tuple[list[str], list[list[str]]]:
    """The header and the rows of a csv or tsv file; blank lines are skipped.

    A csv file may have semicolons or tabs instead of commas, and Excel's first line ``sep=;``. Quotes that do
    not enclose whole fields of a tsv file are part of the text. Raises DataError, csv.Error.
    """
    header, records = _records(path)
    return header, [cells for _, cells in records]


Record = tuple[int, list[str]]
"""The line in which a row begins, from 1, and its cells."""


def _filled(header: list[str], records: list[Record]) -> list[Record]:
    """The records without those of blank cells only, which spreadsheets write below a table."""
    return [record for record in records if len(header) == 1 or any(cell.strip() for cell in record[1])]


def _records(path: Path) -> tuple[list[str], list[Record]]:
    text = text_of(path)
    csv.field_size_limit(max(len(text), 131_072))
    if path.suffix.lower() != ".tsv":
        return _table(path, *_delimited(text), csv.QUOTE_MINIMAL)
    try:
        return _table(path, text, "\t", csv.QUOTE_MINIMAL)
    except (DataError, csv.Error):
        with suppress(DataError, csv.Error):
            return _table(path, text, "\t", csv.QUOTE_NONE)
        raise


def _delimited(text: str) -> tuple[str, str]:
    """The text, with a line ``sep=;`` left blank, and its delimiter: the first that divides the header."""
    if named := re.match(r"sep=([,;\t])(?=\r?\n)", text):
        return text[named.end() :], named[1]

    def fields(delimiter: str) -> int:
        return len(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), []))

    return text, next((delimiter for delimiter in ",;\t" if fields(delimiter) > 1), ",")


def _table(path: Path, text: str, delimiter: str, quoting: Any) -> tuple[list[str], list[Record]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    header = next((row for row in rows if row), [])
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        name = f"the column '{repeated}' twice" if repeated.strip() else "several columns without a name"
        raise DataError(f"{path}: the header has {name}")
    records = []
    line = rows.line_num + 1
    for row in rows:
        if row and len(row) != len(header):
            raise DataError(
                f"{path}, line {rows.line_num}: {len(row)} fields, the header has {len(header)}:"
                f" a field with the delimiter or a line end in it needs quotes"
            )
        if row:
            records.append((line, row))
        line = rows.line_num + 1
    return header, records


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow.parquet

    yield from pyarrow.parquet.read_table(path).to_pylist()


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".csv": _csv,
    ".tsv": _csv,
    ".parquet": _parquet,
}
