"""Copies of DuckDB files without private data. A copy is written from nothing: no free block has old rows.

Macros, sequences, comments and indexes are not copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import duckdb

from tasks.common.errors import DataError, first_line
from tasks.databases.engines.duckdb import connect
from tasks.databases.engines.duckdb_private import WholeSchema
from tasks.databases.private.names import mentions
from tasks.databases.private.plan import Plan, create, placed, private_names
from tasks.databases.sql_text import literal, quote
from tasks.databases.state import file_of
from tasks.types import Database, Private, Table

_MEMORY = 2**30
_GENERATED = """
SELECT table_schema || '.' || table_name, column_name FROM information_schema.columns
WHERE table_catalog = current_database() AND is_generated = 'ALWAYS'
"""
_OPTIONS: dict[str, str | bool | int | float | list[str]] = {
    "threads": "1",
    "temp_directory": "",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": f"{_MEMORY // 2**20}MiB",
}


def generated_columns(database: Database) -> dict[str, frozenset[str]]:
    """Schema and table -> its generated columns."""
    found: dict[str, frozenset[str]] = {}
    with closing(connect(database, 0, _MEMORY)) as connection:
        for table, column in connection.execute(_GENERATED).fetchall():
            found[table] = found.get(table, frozenset()) | {column}
    return found


def schema_statements(plans: Sequence[Plan], views: Sequence[Table]) -> tuple[str, ...]:
    """Statements that build the whole schema without rows, defaults, checks and values of enums."""
    done: list[str] = []
    with closing(duckdb.connect(config=_OPTIONS)) as connection:
        for sql in _schema(plans, views):
            with suppress(duckdb.Error):  # a view of what is not there
                connection.execute(sql)
                done.append(sql.rstrip().rstrip(";"))
    return tuple(done)


def _schema(plans: Sequence[Plan], views: Sequence[Table]) -> Iterator[str]:
    for name in sorted({table.schema for table in (*(plan.source for plan in plans), *views)} - {""}):
        yield f"CREATE SCHEMA {quote(name)}"
    for plan in plans:
        hidden = set(plan.hidden())
        columns = tuple(
            replace(column, type="VARCHAR")
            if column.type.startswith("ENUM") and (column.name in hidden or "" in hidden)
            else column
            for column in plan.source.columns
        )
        yield create(replace(plan.source, columns=columns), {}, keys=False)
    for view in views:
        yield view.ddl


def write(
    database: Database, plans: Sequence[Plan], views: Sequence[Table], protected: Private, path: Path
) -> None:
    """Write a copy of a database's first instance to a new file. Raises DataError."""
    source = literal(str(file_of(database, 0)))
    try:
        with closing(duckdb.connect(str(path), config=_OPTIONS)) as target:
            target.execute(f"ATTACH {source} AS harness_source (READ_ONLY)")
            for name in sorted({plan.source.schema for plan in plans} | {view.schema for view in views}):
                if name:
                    target.execute(f"CREATE SCHEMA {quote(name)}")
            for plan in plans:
                if plan.public:
                    _copy(target, plan, plan.public)
            target.execute("DETACH harness_source")
            _make_views(target, plans, views, protected)
            target.execute("CHECKPOINT")
    except duckdb.Error as error:
        raise DataError(
            f"database {database.id}: no copy without private data can be made: {first_line(error)}"
        ) from None


def _copy(target: duckdb.DuckDBPyConnection, plan: Plan, public: Table) -> None:
    """Copy one table, with its keys unless rows break them."""
    name = quote(public.name)
    place = f"harness_source.{quote(public.schema or 'main')}.{name}"
    ways = [plan.source.ddl] if plan.verbatim else []
    for sql in (*ways, create(public, {}), create(public, {}, keys=False)):
        try:
            target.execute(sql)
        except duckdb.Error:
            continue
        stored = _stored(target, public)
        listed = ", ".join(quote(column.name) for column in public.columns if column.name in stored)
        try:
            target.execute(f"INSERT INTO {placed(public)} ({listed}) SELECT {listed} FROM {place}")
            return
        except duckdb.ConstraintException:
            target.execute(f"DROP TABLE {placed(public)}")
    raise DataError(f"table {public.name}: no copy without private data can be made")


def _stored(target: duckdb.DuckDBPyConnection, table: Table) -> set[str]:
    """The columns that are not generated."""
    rows = target.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_catalog = current_database()"
        " AND table_schema = ? AND table_name = ? AND is_generated <> 'ALWAYS'",
        [table.schema or "main", table.name],
    ).fetchall()
    return {name for (name,) in rows}


def _make_views(
    target: duckdb.DuckDBPyConnection, plans: Sequence[Plan], views: Sequence[Table], protected: Private
) -> None:
    """Make the views that read nothing private and do not name it."""
    names = private_names(plans)
    with closing(WholeSchema(protected)) as whole_schema:
        for view in views:
            if mentions(view.ddl, names):
                continue
            with suppress(duckdb.Error):
                target.execute(view.ddl)
                if whole_schema.reads_private(f"SELECT 1 FROM {placed(view)}", target):
                    target.execute(f"DROP VIEW {placed(view)}")
