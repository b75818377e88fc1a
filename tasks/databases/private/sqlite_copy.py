"""Copies of SQLite files without private data. A copy is written from nothing: no free page has old rows."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from tasks.common.errors import DataError
from tasks.databases.engines.sqlite_open import open_instance
from tasks.databases.engines.sqlite_private import WholeSchema
from tasks.databases.private.names import mentions
from tasks.databases.private.plan import DEFAULT_SCHEMA, Plan, create, private_names
from tasks.databases.sql_text import quote
from tasks.types import Database, Private, Table

_ROWID = ("rowid", "_rowid_", "oid")
_NO_COLLATION = "BINARY"
_VIEW = re.compile(r"\s*CREATE\s+(?:TEMP(?:ORARY)?\s+)?VIEW\b", re.IGNORECASE)


def generated_columns(database: Database) -> dict[str, frozenset[str]]:
    """Schema and table -> its generated columns."""
    with closing(open_instance(database, 0)) as connection:
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        return {
            f"{DEFAULT_SCHEMA}.{name}": frozenset(info[1] for info in _infos(connection, name) if info[6] > 1)
            for name in names
        }


def schema_statements(plans: Sequence[Plan], views: Sequence[Table]) -> tuple[str, ...]:
    """Statements that build the whole schema without rows, and without defaults and checks."""
    tables = [create(plan.source, {}, keys=_has_rowid_alias(plan.source)) for plan in plans]
    return *tables, *(view.ddl for view in views if _VIEW.match(view.ddl))


def write(
    database: Database, plans: Sequence[Plan], views: Sequence[Table], protected: Private, path: Path
) -> None:
    """Write a copy of a database's first instance to a new file. Raises DataError."""
    try:
        with closing(open_instance(database, 0)) as source:
            [encoding] = source.execute("PRAGMA encoding").fetchone()
            _make_tables(source, plans, path, encoding)
            source.execute("ATTACH DATABASE ? AS copied", [str(path)])
            source.execute("BEGIN")
            for plan in plans:
                if plan.public:
                    source.execute(_insert(source, plan.public, plan.verbatim))
            source.execute("COMMIT")
            indexes = [sql for plan in plans if plan.public for sql in _indexes(source, plan)]
        with closing(sqlite3.connect(path, isolation_level=None)) as target:
            for sql in indexes:
                target.execute(sql)
            _make_views(target, plans, views, protected)
    except sqlite3.Error as error:
        raise DataError(
            f"database {database.id}: no copy without private data can be made: {error}"
        ) from None


def _make_tables(source: sqlite3.Connection, plans: Sequence[Plan], path: Path, encoding: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as target:
        target.execute(f"PRAGMA encoding = '{encoding}'")
        target.execute("PRAGMA journal_mode = OFF")
        for plan in plans:
            if plan.public is None:
                continue
            if plan.verbatim:
                target.execute(plan.source.ddl)
            else:
                target.execute(create(plan.public, _collations(plan.source)))


def _infos(connection: sqlite3.Connection, table: str) -> list[tuple[int, str, str, int, object, int, int]]:
    return connection.execute(f"PRAGMA table_xinfo({quote(table)})").fetchall()


def _has_rowid_alias(table: Table) -> bool:
    keys = [column for column in table.columns if column.primary_key]
    return len(keys) == 1 and keys[0].type.upper() == "INTEGER"


def _insert(source: sqlite3.Connection, table: Table, verbatim: bool) -> str:
    """Copy the rows, with their row ids where they have one that is no column."""
    stored = {info[1] for info in _infos(source, table.name) if info[6] == 0} if verbatim else None
    names = [column.name for column in table.columns if stored is None or column.name in stored]
    every = {info[1].lower() for info in _infos(source, table.name)}
    listed = ", ".join(map(quote, names))
    without = {name for _, name, _, _, without, *_ in source.execute("PRAGMA table_list") if without}
    free = [name for name in _ROWID if name not in every]
    aliased = any(info[5] and info[2].upper() == "INTEGER" for info in _infos(source, table.name))
    rowid = f"{free[0]}, " if free and not aliased and table.name not in without else ""
    name = quote(table.name)
    return f"INSERT INTO copied.{name}({rowid}{listed}) SELECT {rowid}{listed} FROM main.{name}"


def _collations(table: Table) -> dict[str, str]:
    """The collations of columns. SQLite names those of an index, so each column gets one for a moment."""
    found: dict[str, str] = {}
    if "collate" not in table.ddl.lower():
        return found
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
        empty.execute(table.ddl)
        for number, column in enumerate(table.columns):
            empty.execute(f"CREATE INDEX harness_{number} ON {quote(table.name)}({quote(column.name)})")
            [row, *_] = empty.execute(f"PRAGMA index_xinfo(harness_{number})").fetchall()
            if row[4] != _NO_COLLATION:
                found[column.name] = row[4]
    return found


def _indexes(source: sqlite3.Connection, plan: Plan) -> list[str]:
    """Statements for the indexes: as they are, or of a table with private columns those on public ones."""
    rows = source.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?"
        " COLLATE NOCASE",
        [plan.source.name],
    ).fetchall()
    if plan.verbatim or not plan.public:
        return [sql for _, sql in rows]
    public = {column.name for column in plan.public.columns}
    partial = {row[1] for row in source.execute(f"PRAGMA index_list({quote(plan.source.name)})") if row[4]}
    made = []
    for name, _ in rows:
        names = [row[2] for row in source.execute(f"PRAGMA index_info({quote(name)})")]
        if name not in partial and public.issuperset(names):
            listed = ", ".join(map(quote, names))
            made.append(f"CREATE INDEX {quote(name)} ON {quote(plan.source.name)}({listed})")
    return made


def _make_views(
    target: sqlite3.Connection, plans: Sequence[Plan], views: Sequence[Table], protected: Private
) -> None:
    """Make the views that read nothing private and do not name it."""
    names = private_names(plans)
    with closing(WholeSchema(protected)) as whole_schema:
        for view in views:
            if mentions(view.ddl, names) or whole_schema.reads_private(f"SELECT 1 FROM {quote(view.name)}"):
                continue
            target.execute(view.ddl)
