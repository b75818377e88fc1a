"""DuckDB's values as plain cells, by the type of the column.

BOOLEAN becomes 0 or 1, every integer type an int, DECIMAL an int where whole and else ``("decimal", text)``,
FLOAT the DOUBLE that it widens to. DATE, TIME, TIMESTAMP and UUID become their text, without zeros at the
end of a fraction, TIMESTAMP WITH TIME ZONE in UTC; nanoseconds and infinities are kept. INTERVAL becomes the
text of its length with months of 30 days, as DuckDB compares intervals. LIST and ARRAY become
``("list", ...)``, STRUCT ``("struct", name, value, ...)``, one without names ``("tuple", ...)``, MAP
``("map", key, value, ...)``; a UNION or VARIANT is the value that it holds. ENUM, JSON and BIT are text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, cast

import duckdb

from tasks.databases.engines.cells import MAX_DIGITS, decimal
from tasks.databases.engines.session import FETCH
from tasks.databases.sql_text import only, quote
from tasks.types import Cell, Row

Reader = Callable[[Any], Cell]
_PLAIN = frozenset({type(None), int, float, str, bytes})
_ZONED = frozenset({"timestamp with time zone", "time with time zone", "timestamptz_ns"})
_MOMENTS = _ZONED | {
    "date", "time", "time_ns", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns"
}  # fmt: skip
_ENDS = frozenset({date.min, date.max, datetime.min, datetime.max})
"""What Python receives for an infinite date, and for its own first and last dates."""
_ZEROS = re.compile(r"(\.\d*?)0+(?=[+-]|$)")
_HOURS = re.compile(r"[+-]\d\d$")


_NESTED = frozenset({"list", "array", "struct", "tuple", "map"})


class _UnclearError(Exception):
    """Python's value of a date or time is ambiguous (it may be an infinity): its text must be fetched."""


class _Result:
    """The rows of one query.

    If Python's values lose something, it runs again with dates and times as text.
    """

    def __init__(self, cursor: duckdb.DuckDBPyConnection, sql: str) -> None:
        self._cursor = cursor
        self._sql = sql
        cursor.execute(sql)
        self.columns = tuple([column[0] for column in cursor.description or ()])
        self._kinds = [column[1] for column in cursor.description or ()]
        self._readers = [_reader(kind) for kind in self._kinds]
        self._fetched = 0
        if any("_NS" in str(kind) for kind in self._kinds):
            self._run_as_text()

    def fetch(self) -> list[Row]:
        """The next FETCH rows."""
        try:
            rows = _read(self._cursor.fetchmany(FETCH), self._readers)
        except _UnclearError:
            self._run_as_text()
            rows = _read(self._cursor.fetchmany(FETCH), self._readers)
        self._fetched += len(rows)
        return rows

    def _run_as_text(self) -> None:
        """Continue with dates and times as text, or with Python's values where that is impossible."""
        columns = [
            f"CAST(#{place} AS {_as_text(kind)})" if _has_moment(kind) else f"#{place}"
            for place, kind in enumerate(self._kinds, 1)
        ]
        sql = f"SELECT {', '.join(columns)} FROM ({only(self._sql) or self._sql}\n)"
        try:
            self._cursor.execute(sql)
        except duckdb.Error:
            self._cursor.execute(self._sql)
            self._readers = [plain] * len(self._kinds)
        if self._fetched:
            self._cursor.fetchmany(self._fetched)


def execute(cursor: duckdb.DuckDBPyConnection, sql: str) -> tuple[tuple[str, ...], Callable[[], list[Row]]]:
    """Run one query: its column names, and a function that returns the next FETCH rows as plain cells."""
    result = _Result(cursor, sql)
    return result.columns, result.fetch


def plain(cell: Any) -> Cell:
    """One cell by the rules at the top of this file, by the type of its Python value only."""
    if cell.__class__ in _PLAIN:
        return cast(Cell, cell)
    return _RULES.get(type(cell), str)(cell)


def _has_moment(kind: Any) -> bool:
    if kind.id in _MOMENTS:
        return True
    return kind.id in _NESTED and any(_has_moment(child) for name, child in kind.children if name != "size")


def _as_text(kind: Any) -> str:
    """The type with VARCHAR in place of each date or time in it."""
    name = kind.id
    if name in _MOMENTS:
        return "VARCHAR"
    if not _has_moment(kind):
        return str(kind)
    if name == "list":
        return f"{_as_text(kind.children[0][1])}[]"
    if name == "array":
        return f"{_as_text(kind.children[0][1])}[{kind.children[1][1]}]"
    if name == "map":
        return f"MAP({', '.join(_as_text(child) for _, child in kind.children)})"
    if name == "struct":
        return f"STRUCT({', '.join(f'{quote(key)} {_as_text(child)}' for key, child in kind.children)})"
    if name == "tuple":
        return f"TUPLE({', '.join(_as_text(child) for _, child in kind.children)})"
    return str(kind)


def _read(rows: list[tuple[Any, ...]], readers: list[Reader | None]) -> list[Row]:
    if not any(readers):
        return rows
    pairs = [(place, reader) for place, reader in enumerate(readers) if reader]
    result = []
    for row in map(list, rows):
        for place, reader in pairs:
            if row[place] is not None:
                row[place] = reader(row[place])
        result.append(tuple(row))
    return result


def _reader(kind: Any) -> Reader | None:
    """The function that turns a value of this type into a cell; None where the value already is one."""
    name = kind.id
    if name in _MOMENTS:
        return _zoned_moment if name in _ZONED else _moment
    if name in ("list", "array"):
        return _list(_reader(kind.children[0][1]))
    if name in ("struct", "tuple"):
        return _struct([(key, _reader(child)) for key, child in kind.children])
    if name == "map":
        (_, key), (_, value) = kind.children
        return _map(_reader(key), _reader(value), apart=key.id in _NESTED)
    if name == "bignum":
        return lambda cell: int(cell) if len(cell) <= MAX_DIGITS else str(cell)
    return None if name in _UNCHANGED else plain


_UNCHANGED = frozenset(
    f"{sign}{size}int" for sign in ("", "u") for size in ("tiny", "small", "big", "huge")
) | {"integer", "uinteger", "float", "double", "varchar", "blob", "enum", "bit", "geometry"}


def _part(value: Any, reader: Reader | None) -> Cell:
    if value is None or reader is None:
        return cast(Cell, value)
    return reader(value)


def _list(child: Reader | None) -> Reader:
    return lambda cell: ("list", *[_part(value, child) for value in cell])


def _struct(fields: list[tuple[str, Reader | None]]) -> Reader:
    def read(cell: Any) -> Cell:
        if isinstance(cell, tuple):
            pairs = zip(cell, fields, strict=True)
            return ("tuple", *[_part(value, child) for value, (_, child) in pairs])
        parts = [(key, _part(cell[key], child)) for key, child in fields]
        return ("struct", *[part for pair in parts for part in pair])

    return read


def _map(key: Reader | None, value: Reader | None, apart: bool) -> Reader:
    """``apart``: keys and values come as two lists, because Python cannot hash the keys."""

    def read(cell: Any) -> Cell:
        pairs = zip(cell.get("key", ()), cell.get("value", ()), strict=True) if apart else cell.items()
        return ("map", *[part for k, v in pairs for part in (_part(k, key), _part(v, value))])

    return read


def _moment(cell: Any) -> str:
    if isinstance(cell, str):
        return cell
    if cell in _ENDS:
        raise _UnclearError
    return _ZEROS.sub(r"\1", cell.isoformat(sep=" ") if isinstance(cell, datetime) else cell.isoformat())


def _zoned_moment(cell: Any) -> str:
    text = _moment(cell)
    return f"{text}:00" if _HOURS.search(text) else text


def _from_dict(cell: dict[Any, Any]) -> Cell:
    return ("struct", *[part for key, value in cell.items() for part in (str(key), plain(value))])


_RULES: dict[type, Reader] = {
    bool: int,
    Decimal: decimal,
    date: date.isoformat,
    time: lambda cell: _ZEROS.sub(r"\1", cell.isoformat()),
    datetime: lambda cell: _ZEROS.sub(r"\1", cell.isoformat(sep=" ")),
    list: lambda cell: ("list", *map(plain, cell)),
    tuple: lambda cell: ("tuple", *map(plain, cell)),
    dict: _from_dict,
    bytearray: bytes,
}
