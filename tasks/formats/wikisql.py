"""The format of WikiSQL: a question with a query as indexes, and its table in ``NAME.tables.jsonl``.

The official evaluator runs queries on ``NAME.db``, whose text is in lower case and whose columns are called
``col0``, ``col1``, ... Here each row carries its own table, with the names of its header, so that a model can
read them, and with the same text in lower case.
Source: https://github.com/salesforce/WikiSQL, ``lib/query.py`` and ``lib/dbengine.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks import readers
from tasks.databases.sql_text import literal, quote

AGGREGATES = ("", "MAX", "MIN", "COUNT", "SUM", "AVG")
OPERATORS = ("=", ">", "<")
_NUMBER = re.compile(r"[-+]?\d*\.\d+|\d+")


def rows(path: Path, _: str) -> list[dict[str, Any]]:
    """Rows with ``question``, ``query``, ``table`` and ``ddl``; those without a table have no query.

    Raises DataError: a file is missing or broken.
    """
    tables = {table["id"]: table for table in readers.read(path.with_suffix(".tables.jsonl"))}
    schemas: dict[str, str] = {}
    found = []
    for line in readers.read(path):
        table = tables.get(line["table_id"], {"id": line["table_id"], "header": [], "types": [], "rows": []})
        ddl = schemas.setdefault(table["id"], _ddl(table))
        query = _query(table, line["sql"]) if table["header"] else ""
        found.append({"question": line["question"], "query": query, "table": table["id"], "ddl": ddl})
    return found


def _name(table: Mapping[str, Any]) -> str:
    return quote(f"table_{table['id'].replace('-', '_')}")


def _columns(header: Sequence[str]) -> list[str]:
    """The names of the header; one that repeats an earlier one has its position after it."""
    seen: set[str] = set()
    names = []
    for number, title in enumerate(header):
        name = title.strip() or f"col{number}"
        if name.lower() in seen:
            name = f"{name} {number}"
        seen.add(name.lower())
        names.append(quote(name))
    return names


def _ddl(table: Mapping[str, Any]) -> str:
    columns = zip(_columns(table["header"]), table["types"], strict=True)
    kinds = ", ".join(f"{name} {'REAL' if kind == 'real' else 'TEXT'}" for name, kind in columns)
    values = ", ".join(f"({', '.join(map(_literal, row))})" for row in table["rows"])
    insert = f"\nINSERT INTO {_name(table)} VALUES {values};" if values else ""
    return f"CREATE TABLE {_name(table)} ({kinds});{insert}" if kinds else ""


def _query(table: Mapping[str, Any], sql: Mapping[str, Any]) -> str:
    columns = _columns(table["header"])
    aggregate, selected = AGGREGATES[sql["agg"]], columns[sql["sel"]]
    conditions = [
        f"{columns[column]} {OPERATORS[operator]} {_literal(_typed(value, table['types'][column]))}"
        for column, operator, value in sql["conds"]
    ]
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {f'{aggregate}({selected})' if aggregate else selected} FROM {_name(table)}{where}"


def _typed(value: str | float, kind: str) -> str | float:
    """The value of a condition: in a column of numbers, the number that a text is or begins with."""
    if kind != "real" or not isinstance(value, str):
        return value
    try:
        return float(value.replace(",", ""))
    except ValueError:
        match = _NUMBER.search(value)
        return float(match[0]) if match else value


def _literal(value: str | float | None) -> str:
    if value is None:
        return "NULL"
    return literal(value.lower()) if isinstance(value, str) else repr(value)
