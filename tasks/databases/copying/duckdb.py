"""Write a copy of a SQLite database into a DuckDB file.

DuckDB checks keys while rows are written, and takes no foreign key later. So the rows are first written to a
file beside it, where each key is tried; a key that the rows violate, one to the table itself and one to a
table that comes later are left out and named, and so is a view that DuckDB cannot read.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pyarrow as pa
import sqlglot

from tasks.common.errors import DataError, first_line
from tasks.databases.copying.copied import Copied
from tasks.databases.copying.source import FETCH, Key, Kind, SourceTable, opened, tables_of, views_of
from tasks.databases.sql_text import quote
from tasks.types import Cell, Database, Row

TYPES: Mapping[Kind, str] = {"integer": "BIGINT", "real": "DOUBLE", "text": "VARCHAR", "blob": "BLOB"}
_ARROW: Mapping[Kind, pa.DataType] = {
    "integer": pa.int64(),
    "real": pa.float64(),
    "text": pa.string(),
    "blob": pa.binary(),
}
_CHUNK = 16 * FETCH
_OPTIONS = {"autoinstall_known_extensions": "false", "threads": "1", "memory_limit": "1GiB"}


def copy_into(database: Database, path: Path, replace: bool = False) -> Copied:
    """Copy the first instance of a SQLite database into a DuckDB file, which appears when it is complete.

    Raises DataError: the file exists and is not to be replaced, or the database cannot be read.
    """
    if database.engine != "sqlite":
        raise DataError(f"database {database.id} is a {database.engine} file already: copy the file")
    if path.exists() and not replace:
        raise DataError(f"{path}: it exists: give --replace, or name another file")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with TemporaryDirectory(dir=path.parent, prefix=".copy-") as folder:
            copied = _copy(database, Path(folder))
            Path(folder, "new").rename(path)
    except (sqlite3.Error, duckdb.Error, pa.ArrowException) as error:
        raise DataError(f"database {database.id} cannot be copied: {first_line(error)}") from None
    return copied


def _copy(database: Database, folder: Path) -> Copied:
    """Make the file ``new`` in a folder."""
    copied = Copied()
    with opened(database) as source, duckdb.connect(str(folder / "new"), config=dict(_OPTIONS)) as target:
        target.execute(f"ATTACH '{str(folder / 'rows').replace(chr(39), chr(39) * 2)}' AS loaded")
        tables = tables_of(source, database)
        for table in tables:
            copied.rows += _load(target, table, table.rows(source))
            copied.tables += 1
        primary = {table.name: _tried_primary(target, table, copied) for table in tables}
        waiting, done = list(tables), set[str]()
        while waiting:  # a table after those that it points to; in a cycle, the first that was created
            table = next(
                (t for t in waiting if {key.table for key in t.foreign} <= done | {t.name}), waiting[0]
            )
            waiting.remove(table)
            _create(target, table, primary, done, copied)
            done.add(table.name)
        for name, ddl in views_of(database).items():
            _create_view(target, name, ddl, copied)
        target.execute("DETACH loaded; CHECKPOINT")
    return copied


def _load(target: duckdb.DuckDBPyConnection, table: SourceTable, rows: Iterator[Row]) -> int:
    """Write the rows to a table without keys; returns their number."""
    columns = ", ".join(f"{quote(name)} {TYPES[kind]}" for name, kind in table.kinds.items())
    target.execute(f"CREATE TABLE loaded.{quote(table.name)} ({columns})")
    kinds, count = list(table.kinds.values()), 0
    names = [str(place) for place in range(len(kinds))]
    while chunk := list(islice(rows, _CHUNK)):
        arrays = [
            pa.array([_cell(cell, kind) for cell in cells], _ARROW[kind])
            for cells, kind in zip(zip(*chunk, strict=True), kinds, strict=True)
        ]
        target.register("chunk", pa.table(arrays, names))
        target.execute(f"INSERT INTO loaded.{quote(table.name)} SELECT * FROM chunk")
        target.unregister("chunk")
        count += len(chunk)
    return count


def _cell(cell: Cell, kind: Kind) -> Cell:
    if cell is None:
        return None
    if kind == "text":
        return cell if isinstance(cell, str) else str(cell)
    if kind == "blob":
        return cell if isinstance(cell, bytes) else str(cell).encode()
    return float(cell) if kind == "real" and isinstance(cell, int) else cell


def _tried_primary(target: duckdb.DuckDBPyConnection, table: SourceTable, copied: Copied) -> tuple[str, ...]:
    """The primary key, if the rows have it; else ()."""
    if not table.primary:
        return ()
    columns = ", ".join(map(quote, table.primary))
    empty = " OR ".join(f"{quote(name)} IS NULL" for name in table.primary)
    repeated = target.execute(
        f"SELECT 1 FROM loaded.{quote(table.name)} GROUP BY {columns} HAVING count(*) > 1 OR bool_or({empty})"
        " LIMIT 1"
    ).fetchone()
    if repeated:
        copied.left_out.append(f"table {table.name}: primary key: NULL, or one value in several rows")
        return ()
    return table.primary


def _create(
    target: duckdb.DuckDBPyConnection,
    table: SourceTable,
    primary: Mapping[str, Sequence[str]],
    done: set[str],
    copied: Copied,
) -> None:
    """Create a table with the keys that its rows have, and fill it."""
    lines = [
        f"{quote(name)} {TYPES[kind]}{' NOT NULL' * (name in table.required)}"
        for name, kind in table.kinds.items()
    ]
    if columns := ", ".join(map(quote, primary[table.name])):
        lines.append(f"PRIMARY KEY ({columns})")
    plain = list(lines)
    for key in table.foreign:
        columns, others = (", ".join(map(quote, names)) for names in (key.columns, key.others))
        line = f"FOREIGN KEY ({columns}) REFERENCES {quote(key.table)} ({others})"
        if why := _violated(target, table.name, key, primary, done):
            copied.left_out.append(f"table {table.name}: foreign key ({', '.join(key.columns)}): {why}")
        else:
            lines.append(line)
    name = quote(table.name)
    try:
        target.execute(f"CREATE TABLE {name} ({', '.join(lines)})")
    except duckdb.Error as error:
        copied.left_out.append(f"table {table.name}: foreign keys: {first_line(error)}")
        target.execute(f"CREATE TABLE {name} ({', '.join(plain)})")
    target.execute(f"INSERT INTO {name} SELECT * FROM loaded.{name}")


def _violated(
    target: duckdb.DuckDBPyConnection,
    table: str,
    key: Key,
    primary: Mapping[str, Sequence[str]],
    done: set[str],
) -> str:
    """Why a foreign key cannot be kept; "" if it can."""
    if key.table not in done:
        return f"the table {key.table} does not come before it"
    if {name.lower() for name in key.others} != {name.lower() for name in primary[key.table]}:
        return f"({', '.join(key.others)}) is not the primary key of {key.table}"
    same = " AND ".join(f"t.{quote(a)} = o.{quote(b)}" for a, b in zip(key.columns, key.others, strict=True))
    given = " AND ".join(f"t.{quote(name)} IS NOT NULL" for name in key.columns)
    try:
        orphan = target.execute(
            f"SELECT 1 FROM loaded.{quote(table)} t WHERE {given}"
            f" AND NOT EXISTS (SELECT 1 FROM loaded.{quote(key.table)} o WHERE {same}) LIMIT 1"
        ).fetchone()
    except duckdb.Error as error:
        return first_line(error)
    return f"rows without their row in {key.table}" if orphan else ""


def _create_view(target: duckdb.DuckDBPyConnection, name: str, ddl: str, copied: Copied) -> None:
    try:
        target.execute(sqlglot.transpile(ddl, read="sqlite", write="duckdb")[0])
    except (sqlglot.errors.SqlglotError, duckdb.Error) as error:
        copied.left_out.append(f"view {name}: {first_line(error)}")
