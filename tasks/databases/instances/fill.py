"""Fill a schema with random rows that keep its constraints and hold the values that golds mention."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tasks.common.errors import DataError
from tasks.databases.engines.sqlite_open import open_trusted
from tasks.databases.instances.pools import Pool, pool
from tasks.databases.instances.queries import Mentions
from tasks.databases.schema import describe
from tasks.databases.sql_text import quote
from tasks.types import Cell, Database, Row, Schema, Table


@dataclass(frozen=True, slots=True)
class Link:
    """A foreign key: ``columns`` of the table that holds it point to ``targets`` of ``other``."""

    columns: tuple[str, ...]
    other: str
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """How one table is filled: each column from its pool, or from a row of the base database."""

    name: str
    columns: tuple[str, ...]
    pools: tuple[Pool, ...]
    links: tuple[Link, ...]
    base: tuple[Row, ...] = ()


def fill(connection: sqlite3.Connection, plans: Sequence[Plan], rows: int, random: Random) -> None:
    """Replace all rows of all tables. Rows that would break a constraint of the schema are left out.

    ``rows``: the usual number of rows in a table.
    """
    connection.execute("PRAGMA foreign_keys = OFF")
    filled: dict[str, list[dict[str, Cell]]] = {}
    for plan in plans:
        connection.execute(f"DELETE FROM {quote(plan.name)}")
    for plan in _parents_first(plans):
        count = round(rows * (4 if plan.links else 1) * random.uniform(0.5, 1.5))
        values = [pool.values(random, count) for pool in plan.pools]
        new = [_row(plan, drawn, filled, random) for drawn in zip(*values, strict=False)]
        random.shuffle(new)
        names = ", ".join(map(quote, plan.columns))
        parameters = ", ".join("?" * len(plan.columns))
        connection.executemany(
            f"INSERT OR IGNORE INTO {quote(plan.name)} ({names}) VALUES ({parameters})",
            [tuple(row[column] for column in plan.columns) for row in new],
        )
        inserted = connection.execute(f"SELECT {names} FROM {quote(plan.name)}").fetchall()
        inserted.sort(key=lambda row: _rank(plan, row, random))
        filled[plan.name] = [dict(zip(plan.columns, row, strict=True)) for row in inserted]
    _drop_orphans(connection)


def _row(
    plan: Plan, drawn: Sequence[Cell], filled: dict[str, list[dict[str, Cell]]], random: Random
) -> dict[str, Cell]:
    """One row: the drawn values, or a row of the base database with some of them."""
    row: dict[str, Cell] = dict(zip(plan.columns, drawn, strict=True))
    if plan.base and random.random() < 0.3:
        base = dict(zip(plan.columns, random.choice(plan.base), strict=True))
        row = {column: base[column] if random.random() < 0.8 else row[column] for column in plan.columns}
    for link in plan.links:
        parents = filled.get(link.other)
        if parents:
            index = int(len(parents) * 0.8 * random.random() ** 2)
            for column, target in zip(link.columns, link.targets, strict=True):
                row[column] = parents[index][target]
    return row


def _rank(plan: Plan, row: Row, random: Random) -> float:
    """A sort key by which rows that the golds mention come early: early rows get the most children."""
    mentioned = any(cell in pool.mentioned for cell, pool in zip(row, plan.pools, strict=True))
    return random.random() * (0.5 if mentioned else 1.0)


def _parents_first(plans: Sequence[Plan]) -> list[Plan]:
    """The tables, each after those that it points to, except within a cycle."""
    by_name = {plan.name: plan for plan in plans}
    order: list[Plan] = []
    seen: set[str] = set()

    def visit(plan: Plan) -> None:
        if plan.name in seen:
            return
        seen.add(plan.name)
        for link in plan.links:
            if link.other in by_name:
                visit(by_name[link.other])
        order.append(plan)

    for plan in plans:
        visit(plan)
    return order


def _drop_orphans(connection: sqlite3.Connection) -> None:
    """Delete rows whose parent is missing, until there are none (a cycle of tables may leave some)."""
    while True:
        try:
            broken = connection.execute("PRAGMA foreign_key_check").fetchall()
        except sqlite3.Error:
            return  # the schema points to a table or key that does not exist
        broken = [(table, row) for table, row, *_ in broken if row is not None]
        if not broken:
            return
        for table, row in broken:
            connection.execute(f"DELETE FROM {quote(table)} WHERE rowid = ?", [row])


_BASE_ROWS = 200


def plans_of(database: Database, mentions: Mentions) -> list[Plan]:
    """How to fill each table of a database. Raises DataError: it cannot be read."""
    schema = describe(database)
    connection = open_trusted(database)
    try:
        tables = [table for table in schema.tables if table.kind == "table"]
        return [_plan(connection, table, schema, mentions) for table in tables]
    except sqlite3.Error as error:
        raise DataError(f"database {database.id}: no instance can be generated: {error}") from None
    finally:
        connection.close()


def _plan(connection: sqlite3.Connection, table: Table, schema: Schema, mentions: Mentions) -> Plan:
    stored = {row[1] for row in connection.execute(f"PRAGMA table_info({quote(table.name)})")}
    columns = [column for column in table.columns if column.name in stored]
    names = ", ".join(quote(column.name) for column in columns)
    base = connection.execute(f"SELECT {names} FROM {quote(table.name)} LIMIT {_BASE_ROWS}").fetchall()
    unique = _unique(connection, table)
    distinct = unique | {column.name for column in columns if column.name.lower() in mentions.ranked}
    pools = []
    for place, column in enumerate(columns):
        literals = _literals(table, column.name, schema, mentions)
        pools.append(pool(column.type, [row[place] for row in base], literals, column.name in distinct))
    links = _links(connection, table) + _implied(table, unique, schema, mentions)
    return Plan(table.name, tuple(column.name for column in columns), tuple(pools), tuple(links), tuple(base))


def _literals(table: Table, column: str, schema: Schema, mentions: Mentions) -> list[Cell]:
    """The literals that the column, or a column that points to it, is compared with; and texts compared
    with no column."""
    names = [column, *sorted(mentions.joined.get(column.lower(), ()))]
    for other in schema.tables:
        for key in other.foreign_keys:
            if (key.other_table, key.other_column.lower()) == (table.name, column.lower()):
                names.append(key.column)
    by_name = {name.lower(): mentions.values.get(name.lower(), []) for name in names}
    return [value for values in (*by_name.values(), mentions.values.get("", [])) for value in values]


def _unique(connection: sqlite3.Connection, table: Table) -> set[str]:
    """The columns that are unique by themselves."""
    keys = [column.name for column in table.columns if column.primary_key]
    columns = set(keys) if len(keys) == 1 else set()
    for _, index, unique, *_ in connection.execute(f"PRAGMA index_list({quote(table.name)})").fetchall():
        parts = connection.execute(f"PRAGMA index_info({quote(index)})").fetchall()
        if unique and len(parts) == 1:
            columns.add(parts[0][2])
    return columns


def _links(connection: sqlite3.Connection, table: Table) -> list[Link]:
    """The declared foreign keys, each with all its columns."""
    keys = {key.column: key for key in table.foreign_keys}
    groups: dict[int, list[str]] = {}
    for number, _, _, column, *_ in connection.execute(f"PRAGMA foreign_key_list({quote(table.name)})"):
        groups.setdefault(number, []).append(column)
    return [
        Link(
            tuple(columns),
            keys[columns[0]].other_table,
            tuple(keys[column].other_column for column in columns),
        )
        for columns in groups.values()
        if all(column in keys for column in columns)
    ]


def _implied(table: Table, unique: set[str], schema: Schema, mentions: Mentions) -> list[Link]:
    """Undeclared foreign keys: columns that the golds join with the only key column of another table."""
    declared = {key.column for key in table.foreign_keys}
    links = []
    for column in table.columns:
        partners = mentions.joined.get(column.name.lower(), set())
        if column.name in declared or column.name in unique:
            continue
        for other in schema.tables:
            keys = [each.name for each in other.columns if each.primary_key]
            if other.name != table.name and len(keys) == 1 and keys[0].lower() in partners:
                links.append(Link((column.name,), other.name, (keys[0],)))
                break
    return links
