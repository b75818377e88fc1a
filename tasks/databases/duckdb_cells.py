"""DuckDB's values as plain cells.

BOOLEAN becomes 0 or 1; DECIMAL an int where whole, else the nearest float; DATE, TIME, TIMESTAMP, INTERVAL
and UUID their ISO or usual text, TIMESTAMP WITH TIME ZONE in UTC; LIST, STRUCT and MAP their JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast

import duckdb

from tasks.databases.collect import FETCH
from tasks.types import Cell, Row

_PLAIN = frozenset({type(None), int, float, str, bytes})


def execute(cursor: duckdb.DuckDBPyConnection, sql: str) -> tuple[tuple[str, ...], Callable[[], list[Row]]]:
    """Run one query: its column names, and a function that returns the next FETCH rows as plain cells."""
    cursor.execute(sql)
    columns = tuple([column[0] for column in cursor.description or ()])

    def fetch() -> list[Row]:
        return [tuple([plain(cell) for cell in row]) for row in cursor.fetchmany(FETCH)]

    return columns, fetch


def plain(cell: Any) -> Cell:
    """One cell by the rules at the top."""
    if cell.__class__ in _PLAIN:
        return cast(Cell, cell)
    return _RULES.get(type(cell), str)(cell)


def _nested(cell: Any) -> str:
    return json.dumps(_tree(cell), ensure_ascii=False)


def _tree(cell: Any) -> Any:
    if isinstance(cell, dict):
        return {str(key): _tree(value) for key, value in cell.items()}
    if isinstance(cell, (list, tuple)):
        return [_tree(value) for value in cell]
    flat = plain(cell)
    return flat.hex() if isinstance(flat, bytes) else flat


def _decimal(cell: Decimal) -> int | float:
    return int(cell) if cell == cell.to_integral_value() else float(cell)


_RULES: dict[type, Callable[[Any], Cell]] = {
    bool: int,
    Decimal: _decimal,
    date: date.isoformat,
    datetime: lambda cell: cell.isoformat(sep=" "),
    list: _nested,
    tuple: _nested,
    dict: _nested,
    bytearray: bytes,
}
