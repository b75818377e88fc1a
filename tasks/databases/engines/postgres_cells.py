"""PostgreSQL's values as plain cells, read from their text by the type of the column.

boolean becomes 0 or 1, every integer type an int, numeric an int where whole and else ``("decimal", text)``,
real the double that it widens to, NaN and the infinities of numeric floats; money is a numeric. Dates, times,
uuid, inet, bit strings, enums and ranges become their text: no zeros at the end of a fraction, timestamptz in
UTC. char(n) loses the spaces with which it is padded. interval becomes the text of its length with days of 24
hours and months of 30 days, as PostgreSQL compares intervals. Arrays become ``("list", ...)``, a row
``("tuple", ...)`` of texts. json and jsonb become one text for equal values: keys sorted as jsonb sorts them,
the last of equal keys, numbers without zeros at the end. bytea becomes bytes.
The same types as in ``duckdb_cells`` give the same cells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from psycopg import Connection
from psycopg.pq.abc import PGresult

from tasks.databases.engines.cells import json_text, numeric, widened
from tasks.types import Cell, Row

Reader = Callable[[str], Cell]
_ZONE = re.compile(r"[+-]\d\d$")
_INTERVAL = re.compile(
    r"(?:([+-]?\d+) years?)? ?(?:([+-]?\d+) mons?)? ?(?:([+-]?\d+) days?)? ?"
    r"(?:([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?)?"
)
_ITEM = {
    "NULL": re.compile(r'"((?:[^"\\]|\\.)*)"|([^",{}]+)', re.DOTALL),
    "": re.compile(r'"((?:[^"\\]|\\.|"")*)"|([^",()]*)', re.DOTALL),
}
"""The unquoted text of NULL, in an array and in a row -> a part of one."""
_ESCAPED = re.compile(r'\\(.)|""', re.DOTALL)


def reader_of(oid: int, elements: Mapping[int, int]) -> Reader:
    """The function that turns the text of a value into a cell.

    ``elements``: the type of an array -> the type of its elements; numbers as in pg_type.
    """
    if oid in elements:
        return _list(_READERS.get(elements[oid], str))
    return _READERS.get(oid, str)


def result_rows(result: PGresult, readers: Sequence[Reader]) -> Iterator[Row]:
    """The rows of a result as plain cells. ``readers``: one for each column."""
    places = range(result.nfields)
    for number in range(result.ntuples):
        values = [result.get_value(number, place) for place in places]
        yield tuple(
            [
                None if value is None else read(value.decode(errors="surrogateescape"))
                for value, read in zip(values, readers, strict=True)
            ]
        )


def readers_of(result: PGresult, elements: Mapping[int, int]) -> list[Reader]:
    """The readers of a result's columns."""
    return [reader_of(result.ftype(place), elements) for place in range(result.nfields)]


def cells(connection: Connection[Any], sql: str, elements: Mapping[int, int]) -> list[Row]:
    """The rows of a query of our own as plain cells."""
    result = connection.execute(sql.encode()).pgresult
    assert result
    return list(result_rows(result, readers_of(result, elements)))


def _money(text: str) -> Cell:
    return numeric(re.sub(r"[^\d.-]", "", text))


def _zoned(text: str) -> str:
    return f"{text}:00" if _ZONE.search(text) else text


def _interval(text: str) -> str:
    match = _INTERVAL.fullmatch(text)
    if not match:
        return text
    years, months, days = (int(part or 0) for part in match.groups()[:3])
    sign, hours, minutes, seconds, fraction = match.groups()[3:]
    time = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    micros = time * 10**6 + int((fraction or "0").ljust(6, "0"))
    days += (years * 12 + months) * 30
    try:
        return str(timedelta(days=days, microseconds=-micros if sign == "-" else micros))
    except OverflowError:
        return text


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def _list(child: Reader) -> Reader:
    """An array's text, such as ``{1,NULL,"a b"}`` or ``[0:1]={1,2}``."""

    def read(text: str) -> Cell:
        opened: list[list[Cell]] = [[]]
        place = text.index("{")
        while place < len(text):
            sign = text[place]
            if sign == "{":
                opened.append(["list"])
                place += 1
            elif sign == "}":
                done = tuple(opened.pop())
                opened[-1].append(done)
                place += 1
            elif sign == ",":
                place += 1
            else:
                value, place = _item(text, place, null="NULL")
                opened[-1].append(None if value is None else child(value))
        return opened[0][0]

    return read


def _row(text: str) -> Cell:
    """A row's text, such as ``(1,,"a b")``."""
    parts: list[Cell] = ["tuple"]
    place = 1
    while place < len(text):
        value, place = _item(text, place, null="")
        parts.append(value)
        place += 1  # the comma, or the bracket at the end
    return tuple(parts)


def _item(text: str, place: int, null: str) -> tuple[str | None, int]:
    """A part of an array or row, and the position behind it; ``null``: the unquoted text of NULL."""
    match = _ITEM[null].match(text, place)
    assert match
    if match[1] is None:
        return (None if match[2] == null else match[2]), match.end()
    return _ESCAPED.sub(lambda escaped: escaped[1] or '"', match[1]), match.end()


_READERS: Mapping[int, Reader] = {
    16: lambda text: int(text == "t"),  # boolean
    17: _bytes,  # bytea
    20: int,  # bigint
    21: int,  # smallint
    23: int,  # integer
    26: int,  # oid
    28: int,  # xid
    29: int,  # cid
    114: json_text,
    700: widened,
    701: float,
    790: _money,
    1042: lambda text: text.rstrip(" "),  # char(n)
    1184: _zoned,  # timestamptz
    1186: _interval,
    1266: _zoned,  # timetz
    1700: numeric,
    2249: _row,  # record
    3802: json_text,  # jsonb
    5069: int,  # xid8
}
"""Type, by its number in pg_type -> how to read it. Every other type is its text."""
