"""MariaDB's values as plain cells, read from their bytes by the type of the column.

Integers of every size (also unsigned, bit, year and boolean, which is tinyint(1)) become ints, decimal an int
where whole and else ``("decimal", text)``, float the double that it widens to. A decimal with DIVISION digits
behind the point comes from a division or an average, which ends somewhere, so it becomes a float. Dates and
times become their text without zeros at the end of a fraction; enum, set, uuid and inet6 are text. Binary
strings, blobs and geometry become bytes. A json column becomes one text for equal values.
The same types as in ``postgres_cells`` give the same cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pymysql.constants import FIELD_TYPE

from tasks.databases.engines.cells import json_text, numeric, widened
from tasks.types import Cell, Row

Reader = Callable[[bytes], Cell]
DIVISION = 20
"""Digits that a division adds behind the point (div_precision_increment)."""
_BINARY = 63
"""The character set of bytes."""
Field = Any
"""A column of a result, as pymysql describes it: type_code, charsetnr, scale, org_table, org_name."""


def readers_of(fields: Sequence[Field], json_columns: frozenset[tuple[str, str]]) -> list[Reader]:
    """The functions that turn the bytes of a result's columns into cells.

    ``json_columns``: ``(table, column)`` of the columns that hold JSON, which the server sends as text.
    """
    return [_reader_of(field, json_columns) for field in fields]


def cells_of(row: Sequence[bytes | None], readers: Sequence[Reader]) -> Row:
    """A row as plain cells."""
    return tuple([None if value is None else read(value) for value, read in zip(row, readers, strict=True)])


def rows_of(rows: Iterator[Sequence[bytes | None]], readers: Sequence[Reader]) -> Iterator[Row]:
    """The rows as plain cells."""
    for row in rows:
        yield cells_of(row, readers)


def _reader_of(field: Field, json_columns: frozenset[tuple[str, str]]) -> Reader:
    kind = field.type_code
    if kind == FIELD_TYPE.NEWDECIMAL and field.scale >= DIVISION:
        return float
    if kind in _READERS:
        return _READERS[kind]
    if (field.org_table, field.org_name) in json_columns:
        return _json
    return _bytes if field.charsetnr == _BINARY or kind == FIELD_TYPE.GEOMETRY else _text


def _text(value: bytes) -> str:
    return value.decode(errors="surrogateescape")


def _bytes(value: bytes) -> bytes:
    return value


def _json(value: bytes) -> str:
    return json_text(_text(value))


def _bit(value: bytes) -> int:
    return int.from_bytes(value, "big")


def _decimal(value: bytes) -> Cell:
    return numeric(value.decode())


def _single(value: bytes) -> float:
    return widened(value.decode())


def _moment(value: bytes) -> str:
    text = _text(value)
    return text.rstrip("0").rstrip(".") if "." in text else text


_READERS: Mapping[int, Reader] = {
    FIELD_TYPE.DECIMAL: _decimal,
    FIELD_TYPE.NEWDECIMAL: _decimal,
    FIELD_TYPE.TINY: int,
    FIELD_TYPE.SHORT: int,
    FIELD_TYPE.LONG: int,
    FIELD_TYPE.INT24: int,
    FIELD_TYPE.LONGLONG: int,
    FIELD_TYPE.YEAR: int,
    FIELD_TYPE.FLOAT: _single,
    FIELD_TYPE.DOUBLE: float,
    FIELD_TYPE.BIT: _bit,
    FIELD_TYPE.DATE: _text,
    FIELD_TYPE.NEWDATE: _text,
    FIELD_TYPE.TIME: _moment,
    FIELD_TYPE.DATETIME: _moment,
    FIELD_TYPE.TIMESTAMP: _moment,
    FIELD_TYPE.JSON: _json,
}
"""Type of a column -> how to read it. Every other type is text, or bytes."""
