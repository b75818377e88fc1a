"""How to fill a database's tables: the values that suit each column, and the rows each table points to."""

from __future__ import annotations

import sqlite3

from tasks.common.errors import DataError
from tasks.databases.engines.sqlite_open import open_trusted
from tasks.databases.engines.sqlite_statements import quote
from tasks.databases.instances.fill import Link, Plan
from tasks.databases.instances.literals import Spoken
from tasks.databases.instances.pools import pool
from tasks.databases.schema import describe
from tasks.types import Cell, Database, Schema, Table

_BASE_ROWS = 200


def plans_of(database: Database, said: Spoken) -> list[Plan]:
    """How to fill each table of the database."""
    schema = describe(database)
    connection = open_trusted(database)
    try:
        tables = [table for table in schema.tables if table.kind == "table"]
        return [_plan(connection, table, schema, said) for table in tables]
    except sqlite3.Error as error:
        raise DataError(f"database {database.id}: no variant can be made: {error}") from None
    finally:
        connection.close()


def _plan(connection: sqlite3.Connection, table: Table, schema: Schema, said: Spoken) -> Plan:
    stored = {row[1] for row in connection.execute(f"PRAGMA table_info({quote(table.name)})")}
    columns = [column for column in table.columns if column.name in stored]
    names = ", ".join(quote(column.name) for column in columns)
    base = connection.execute(f"SELECT {names} FROM {quote(table.name)} LIMIT {_BASE_ROWS}").fetchall()
    unique = _unique(connection, table)
    distinct = unique | {column.name for column in columns if column.name.lower() in said.ranked}
    pools = []
    for place, column in enumerate(columns):
        literals = _literals(table, column.name, schema, said)
        pools.append(pool(column.type, [row[place] for row in base], literals, column.name in distinct))
    links = _links(connection, table) + _implied(table, unique, schema, said)
    return Plan(table.name, tuple(column.name for column in columns), tuple(pools), tuple(links), tuple(base))


def _literals(table: Table, column: str, schema: Schema, said: Spoken) -> list[Cell]:
    """What the column is compared with, itself or by a column that points to it, and what stands alone."""
    names = [column, *sorted(said.joined.get(column.lower(), ()))]
    for other in schema.tables:
        for key in other.foreign_keys:
            if (key.other_table, key.other_column.lower()) == (table.name, column.lower()):
                names.append(key.column)
    spoken = {name.lower(): said.values.get(name.lower(), []) for name in names}
    return [value for values in (*spoken.values(), said.values.get("", [])) for value in values]


def _unique(connection: sqlite3.Connection, table: Table) -> set[str]:
    """Columns that alone identify a row."""
    keys = [column.name for column in table.columns if column.primary_key]
    found = set(keys) if len(keys) == 1 else set()
    for _, index, unique, *_ in connection.execute(f"PRAGMA index_list({quote(table.name)})").fetchall():
        parts = connection.execute(f"PRAGMA index_info({quote(index)})").fetchall()
        if unique and len(parts) == 1:
            found.add(parts[0][2])
    return found


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


def _implied(table: Table, unique: set[str], schema: Schema, said: Spoken) -> list[Link]:
    """Foreign keys that nobody declared, but by which the golds join: to another table's only key column."""
    declared = {key.column for key in table.foreign_keys}
    links = []
    for column in table.columns:
        partners = said.joined.get(column.name.lower(), set())
        if column.name in declared or column.name in unique:
            continue
        for other in schema.tables:
            keys = [each.name for each in other.columns if each.primary_key]
            if other.name != table.name and len(keys) == 1 and keys[0].lower() in partners:
                links.append(Link((column.name,), other.name, (keys[0],)))
                break
    return links
