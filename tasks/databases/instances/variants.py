"""Other instances of a database: same schema, other rows, so that a query right by luck is found out.

A variant keeps every constraint of the schema (keys, foreign keys, NOT NULL, CHECK). Its values come from the
base database, from the literals of the golds with their neighbours (one more, one less, something before or
behind), and from chance; values repeat, groups differ in size, some parents have no children. Of many made,
the few are kept that tell the golds from their near misses. After Zhong, Yu, Klein: "Semantic Evaluation for
Text-to-SQL with Distilled Test Suites" (2020), which keeps some 36 instances a database where we keep 3.

A database that is DDL alone becomes files with rows, such that its golds return some.
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
from tasks.databases.engines.sqlite_statements import quote
from tasks.databases.instances.fill import Plan, fill
from tasks.databases.instances.literals import spoken
from tasks.databases.instances.mutants import mutants
from tasks.databases.instances.plans import plans_of
from tasks.databases.state import database_digest
from tasks.types import Database, Limits, Row

VERSION = 1
"""Part of a variant's name: changes when the same input would give another file."""
_ROWS = 40
"""Rows of a table, about; four times as many where it points to others."""
_CANDIDATES = 4
"""Instances made for each that is kept."""
_PATIENCE = 8
"""How many times as many are made, at most, for one in which all golds return rows."""
_GOLDS = 150
"""Golds whose near misses are tried."""
_MUTANTS = 10
"""Near misses of each."""
_STEPS, _FETCHED = 2_000_000, 10_000
"""Instructions and rows after which a near miss is left alone."""
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
    lacking = count - len(first.instances)
    if lacking <= 0:
        return first
    made = with_variants(first, golds, lacking, folder).instances[-lacking:]
    return replace(first, instances=(*first.instances, *made), generated=lacking)


def _built(database: Database, folder: Path) -> Database:
    """What the DDL builds as a file, if that has rows."""
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
    """The database with ``count`` generated instances after its first (or alone, where it is DDL).

    They are made on first use and kept in ``folder``. ``golds``: the queries that they are to judge.
    Deterministic in all arguments but the folder. Raises DataError: not SQLite, or it cannot be read.
    """
    if database.engine != "sqlite":
        raise DataError(
            f"database {database.id}: more instances (scoring.instances) are made for SQLite,"
            f" not {database.engine}: name files of your own in databases.instances"
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
    """A file name that a reader knows the database by."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', database.id)[:60]}-{sha256(key.encode()).hexdigest()[:16]}"


def _best(database: Database, golds: Sequence[str], count: int, random: Random) -> list[bytes]:
    """Of many instances the few that tell most golds from their near misses; each as a file's bytes."""
    plans = plans_of(database, spoken(golds))
    tables = {plan.name: plan.columns for plan in plans}
    chosen = random.sample(list(golds), min(len(golds), _GOLDS))
    families = [[gold, *mutants(gold, tables, _MUTANTS, random)] for gold in chosen]
    made = [_make(database, plans, random) for _ in range(count * _CANDIDATES)]
    told = [_told_apart(data, families) for data in made]
    best: list[bytes] = []
    seen: set[tuple[int, int]] = set()
    if not database.instances:
        place = _answered(database, plans, families, made, random)
        told += [_told_apart(data, families) for data in made[len(told) :]]
        best, seen = [made.pop(place)], told.pop(place)
    while len(best) < count:
        news = [len(each - seen) for each in told]
        place = news.index(max(news))
        seen |= told.pop(place)
        best.append(made.pop(place))
    return best


def _answered(
    database: Database,
    plans: Sequence[Plan],
    families: Sequence[Sequence[str]],
    made: list[bytes],
    random: Random,
) -> int:
    """The place in ``made`` where most golds return rows; more are made until all do, within bounds."""
    golds = [family[0] for family in families]
    most, place = -1, 0
    for number in range(len(made) * _PATIENCE):
        if number == len(made):
            made.append(_make(database, plans, random))
        with closing(_open(made[number])) as connection:
            answers = sum(bool(_result(connection, gold)) for gold in golds)
        if answers > most:
            most, place = answers, number
        if most == len(golds):
            break
    return place


def _make(database: Database, plans: Sequence[Plan], random: Random) -> bytes:
    """One instance: the schema of the base, filled by the plans."""
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
        raise DataError(f"database {database.id}: no variant can be made: {error}") from None
    finally:
        connection.close()
        base.close()


def _told_apart(data: bytes, families: Sequence[Sequence[str]]) -> set[tuple[int, int]]:
    """``(family, place)`` of the near misses whose result differs from their gold's in this instance."""
    connection = _open(data)
    told = set()
    for number, (gold, *others) in enumerate(families):
        right = _result(connection, gold)
        results = [_result(connection, other) for other in others if right is not None]
        told |= {(number, place) for place, result in enumerate(results) if result not in (None, right)}
    connection.close()
    return told


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
    """The whole file or none."""
    with files.writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, data)
