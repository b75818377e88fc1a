"""A table with some of its columns, as a prompt shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.databases.sql_text import quote
from tasks.types import Table


def part_of(table: Table, columns: Sequence[int]) -> Table:
    """The table with the columns at these positions; its DDL then has their types and keys only.

    The DDL of a view is kept whole.
    """
    if len(columns) == len(table.columns):
        return table
    kept = tuple(table.columns[place] for place in columns)
    names = {column.name for column in kept}
    keys = tuple(key for key in table.foreign_keys if key.column in names)
    rows = tuple(tuple(row[place] for place in columns) for row in table.rows)
    part = replace(table, columns=kept, foreign_keys=keys, rows=rows)
    return part if table.kind == "view" else replace(part, ddl=_ddl(part))


def _ddl(table: Table) -> str:
    prefix = f"{quote(table.schema)}." if table.schema else ""
    lines = [
        f"{quote(column.name)} {column.type}{' NOT NULL' * column.not_null}".strip()
        for column in table.columns
    ]
    if primary := [quote(column.name) for column in table.columns if column.primary_key]:
        lines.append(f"PRIMARY KEY ({', '.join(primary)})")
    for key in table.foreign_keys:
        target = f"{prefix}{quote(key.other_table)}({quote(key.other_column)})"
        lines.append(f"FOREIGN KEY ({quote(key.column)}) REFERENCES {target}")
    return f"CREATE TABLE {prefix}{quote(table.name)} (\n  " + ",\n  ".join(lines) + "\n)"
