"""Generate instances of a database, with the same schema and other rows, to expose queries right by luck.

A generated instance keeps every constraint of the schema (keys, foreign keys, NOT NULL, CHECK). Its values
come from the base database, from the literals of the golds and their neighbours (one more, one less, text
before or after), and from a random generator. Values repeat, groups differ in size, some parents have no
children. Of many candidates, those are kept that distinguish the golds from the most near misses. After
Zhong, Yu and Klein, "Semantic Evaluation for Text-to-SQL with Distilled Test Suites" (2020), which keeps
about 36 instances for each database where we keep 3.

For a database that consists of DDL only, files are generated with rows on which its golds return some rows.
"""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from itertools import count as counter
from pathlib import Path
from random import Random

from tasks.common import files
from tasks.common.errors import DataError
from tasks.databases.engines.sqlite_open import harden, open_trusted
from tasks.databases.instances.fill import Plan, fill, plans_of
from tasks.databases.instances.queries import mentions_of, mutants
from tasks.databases.sql_text import quote
from tasks.databases.state import database_digest
from tasks.types import Database, Limits, Row

VERSION = 1
"""Part of the file names. Increase it when the same input would give another file."""
_ROWS = 40
"""About the rows of a table; four times as many where it points to other tables."""
_CANDIDATES = 4
"""Candidates generated for each instance that is kept."""
_EXTRA = 8
"""The most candidates, as a multiple, that are generated to find one in which all golds return rows."""
_GOLDS = 150
"""The most golds whose near misses are tried."""
_MUTANTS = 10
"""The most near misses of each gold."""
_STEPS, _FETCHED = 2_000_000, 10_000
"""Instructions and rows after which a near miss is abandoned."""
_DDL = """
SELECT name, sql FROM sqlite_master
WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND type IN ('table', 'index', 'view')
ORDER BY type != 'table', type != 'index', rowid
"""


def with_instances(database: Database, golds: Sequence[str], count: int, folder: Path) -> Database:
    """The database with ``count`` instances: those it has, then generated ones; ``generated`` counts these.

    DDL that leaves all tables empty is no instance; DDL that fills them is the first. Raises DataError.
    """
    first = database
    if database.engine == "sqlite" and not database.instances:
        first = _built(database, folder)
    missing = count - len(first.instances)
    if missing <= 0:
        return first
    generated = with_variants(first, golds, missing, folder).instances[-missing:]
    return replace(first, instances=(*first.instances, *generated), generated=missing)


def _built(database: Database, folder: Path) -> Database:
    """The database that the DDL builds, as a file; unchanged where that has no rows."""
    path = folder / f"{_name(database, database_digest(database))}.sqlite"
    if not path.is_file():
        connection = open_trusted(database)
        try:
            names = [name for (name,) in connection.execute(_TABLES)]
            if not any(
                connection.execute(f"SELECT 1 FROM {quote(name)} LIMIT 1").fetchall() for name in names
            ):
                return database
            _write(path, connection.serialize())
        except sqlite3.Error as error:
            raise DataError(f"database {database.id}: {error}") from None
        finally:
            connection.close()
    return replace(database, instances=(path,))


_TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"


def with_variants(
    database: Database, golds: Sequence[str], count: int, folder: Path, seed: int = 0
) -> Database:
    """The database with ``count`` generated instances after its first, or with these only if it is DDL.

    They are generated on first use and kept in ``folder``. They distinguish ``golds`` from near misses. The
    result depends on all arguments but the folder. Raises DataError: the database is not SQLite, or it cannot
    be read.
    """
    if database.engine != "sqlite":
        raise DataError(
            f"database {database.id}: instances (scoring.instances) are generated for SQLite only,"
            f" not for {database.engine}: set databases.instances to files of your own"
        )
    key = "\0".join([str(VERSION), database_digest(database), str(seed), *golds])
    name = _name(database, key)
    paths = [folder / f"{name}-{number}.sqlite" for number in range(count)]
    if not all(path.is_file() for path in paths):
        random = Random(name)
        for path, data in zip(paths, _best(database, golds, count, random), strict=True):
            _write(path, data)
    return replace(database, instances=(*database.instances[:1], *paths))


def _name(database: Database, key: str) -> str:
    """A file name with the database's id and a digest of ``key``."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', database.id)[:60]}-{sha256(key.encode()).hexdigest()[:16]}"


def _best(database: Database, golds: Sequence[str], count: int, random: Random) -> list[bytes]:
    """The ``count`` candidates that distinguish the golds from the most near misses, as bytes."""
    plans = plans_of(database, mentions_of(golds))
    tables = {plan.name: plan.columns for plan in plans}
    chosen = random.sample(list(golds), min(len(golds), _GOLDS))
    families = [[gold, *mutants(gold, tables, _MUTANTS, random)] for gold in chosen]
    candidates = [_candidate(database, plans, random) for _ in range(count * _CANDIDATES)]
    distinguished = [_distinguished(data, families) for data in candidates]
    best: list[bytes] = []
    covered: set[tuple[int, int]] = set()
    if not database.instances:
        index = _most_answered(database, plans, families, candidates, random)
        distinguished += [_distinguished(data, families) for data in candidates[len(distinguished) :]]
        best, covered = [candidates.pop(index)], distinguished.pop(index)
    while len(best) < count:
        gains = [len(misses - covered) for misses in distinguished]
        index = gains.index(max(gains))
        covered |= distinguished.pop(index)
        best.append(candidates.pop(index))
    return best


def _most_answered(
    database: Database,
    plans: Sequence[Plan],
    families: Sequence[Sequence[str]],
    candidates: list[bytes],
    random: Random,
) -> int:
    """The index of the candidate on which the most golds return rows.

    Further candidates are appended, up to a limit, until all golds return rows on one of them.
    """
    golds = [family[0] for family in families]
    most, best = -1, 0
    for index in range(len(candidates) * _EXTRA):
        if index == len(candidates):
            candidates.append(_candidate(database, plans, random))
        with closing(_open(candidates[index])) as connection:
            answered = sum(bool(_result(connection, gold)) for gold in golds)
        if answered > most:
            most, best = answered, index
        if most == len(golds):
            break
    return best


def _candidate(database: Database, plans: Sequence[Plan], random: Random) -> bytes:
    """One instance as a file's bytes: the schema of the base database, filled by the plans."""
    base = open_trusted(database)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        shadows = {name for _, name, kind, *_ in base.execute("PRAGMA table_list") if kind == "shadow"}
        for name, ddl in base.execute(_DDL).fetchall():
            if name not in shadows:  # those come with their virtual table
                connection.execute(ddl)
        connection.execute("BEGIN")
        fill(connection, plans, _ROWS, random)
        connection.execute("COMMIT")
        return connection.serialize()
    except sqlite3.Error as error:
        raise DataError(f"database {database.id}: no instance can be generated: {error}") from None
    finally:
        connection.close()
        base.close()


def _distinguished(data: bytes, families: Sequence[Sequence[str]]) -> set[tuple[int, int]]:
    """``(family, index)`` of the near misses whose result differs from their gold's in this instance."""
    connection = _open(data)
    different = set()
    for family, (gold, *near_misses) in enumerate(families):
        expected = _result(connection, gold)
        results = [_result(connection, sql) for sql in near_misses if expected is not None]
        different |= {
            (family, index) for index, result in enumerate(results) if result not in (None, expected)
        }
    connection.close()
    return different


def _open(data: bytes) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(data)
    harden(connection, Limits())
    return connection


def _result(connection: sqlite3.Connection, sql: str) -> Counter[Row] | None:
    """The bag of rows, or None where the query fails or takes too long."""
    ticks = counter()
    connection.set_progress_handler(lambda: next(ticks) >= _STEPS // 1000, 1000)
    try:
        return Counter(connection.execute(sql).fetchmany(_FETCHED))
    except (sqlite3.Error, sqlite3.Warning):
        return None


def _write(path: Path, data: bytes) -> None:
    """Write the file and its folder. Raises DataError."""
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, data)
