"""Copies of databases without what a task marks as private, kept in a folder under HARNESS_HOME.

Only the copies are shown in prompts and searched by queries. The name of a copy is a digest of the source's
content and of the private names, so that a changed source has a new copy.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType

from tasks.common import files
from tasks.common.errors import SpecError
from tasks.databases.private import names
from tasks.databases.private.plan import DEFAULT_SCHEMA, Plan, plans_of, private_names
from tasks.databases.schema import describe
from tasks.databases.state import database_digest, file_of
from tasks.types import Database, Engine, Private, Schema, Table

VERSION = 1
"""Part of the file names. Increase it when the same source would give another copy."""


def without_private(database: Database, private: Sequence[str], folder: Path) -> Database:
    """The database with a copy of each instance without the private data, made on first use.

    Raises DataError: a database cannot be read, or a copy not be written.
    """
    found = names.patterns(private)
    copier = _copier(database)
    instances: list[Path] = []
    protected = Private(tuple(private))
    for number in range(len(database.instances)):
        single = replace(database, instances=database.instances[number : number + 1])
        schema = describe(single)
        plans = plans_of(schema, found, copier.generated_columns(single))
        hidden = _hidden(plans, schema, found, database.engine)
        views = [table for table in schema.tables if table.kind == "view"]
        if not number:
            protected = replace(
                protected,
                hidden=hidden,
                names=frozenset(private_names(plans)),
                schema=copier.schema_statements(plans, views),
            )
        path = folder / f"{_name(single, private)}.{database.engine}"
        if not path.is_file():
            with files.writing(path):
                folder.mkdir(parents=True, exist_ok=True)
                with TemporaryDirectory(dir=folder) as parts:
                    made = Path(parts, path.name)
                    shown = [view for view in views if (_reported(view, database.engine), "") not in hidden]
                    copier.write(single, plans, shown, protected, made)
                    made.replace(path)
        instances.append(path)
    sources = tuple(file_of(database, number) for number in range(len(database.instances)))
    return replace(database, instances=tuple(instances), private=replace(protected, sources=sources))


def _copier(database: Database) -> ModuleType:
    if database.engine == "duckdb":
        from tasks.databases.private import duckdb_copy

        return duckdb_copy
    from tasks.databases.private import sqlite_copy

    return sqlite_copy


def _hidden(
    plans: Sequence[Plan], schema: Schema, found: Sequence[names.Pattern], engine: Engine
) -> frozenset[tuple[str, str]]:
    """What the engine must not read. A view that is named, or one of its columns, is private as a whole.

    Raises SpecError: a column of a view is named alone, whose values its tables would still show.
    """
    hidden = {(_reported(plan.source, engine), name.lower()) for plan in plans for name in plan.hidden()}
    for view in schema.tables:
        if view.kind != "view":
            continue
        place = view.schema or DEFAULT_SCHEMA
        columns = [column.name for column in view.columns]
        private = names.hidden_in(found, place, view.name, columns)
        for pattern in found:
            if pattern.table == view.name.lower() and pattern.column not in ("", "*"):
                raise SpecError(
                    f"private: '{pattern.text}' is a column of a view: name the column of its table instead"
                )
        if private is None or private:
            hidden |= {(_reported(view, engine), column.lower()) for column in ("", *columns)}
    return frozenset(hidden)


def _reported(table: Table, engine: Engine) -> str:
    """A table's name as the engine reports what a query reads."""
    return (f"{table.schema or DEFAULT_SCHEMA}.{table.name}" if engine == "duckdb" else table.name).lower()


def _name(database: Database, private: Sequence[str]) -> str:
    """A file name with the database's id and a digest of its content and the private names."""
    key = repr((VERSION, database.engine, database_digest(database), sorted(private)))
    name = re.sub(r"[^A-Za-z0-9_-]", "_", database.id)[:60]
    return f"{name}-{sha256(key.encode()).hexdigest()[:16]}"
