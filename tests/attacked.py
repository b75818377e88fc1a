"""A small database in two instances, questions on it, and a check of the file system."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from mariadb_server import PASSWORD

from rewards.exploits import Exploit, Target
from rewards.types import Answer
from tasks.databases.servers.embedded import SUPERUSER, EmbeddedServer
from tasks.databases.servers.roles import READER
from tasks.databases.state import database_digest, file_of, on_server
from tasks.types import Database, Engine, Server

if TYPE_CHECKING:
    from mariadb_server import MariaServer

SCHEMA = (
    "CREATE TABLE branch(branch_id INTEGER PRIMARY KEY, city TEXT)",
    "CREATE TABLE member(member_id INTEGER PRIMARY KEY, name TEXT, joined TEXT, branch_id INTEGER)",
)
PROMPT = """member(member_id integer pk, name text, joined text, branch_id integer -> branch.branch_id)
branch(branch_id integer pk, city text)

Which members joined after 2015?"""
GOLDS = {
    "rows": "SELECT member.name, branch.city FROM member JOIN branch ON member.branch_id = branch.branch_id"
    " WHERE member.joined > '2015'",
    "count": "SELECT COUNT(*) FROM member WHERE joined > '2015'",
    "ordered": "SELECT name, joined FROM member ORDER BY joined DESC, member_id LIMIT 7",
    "empty": "SELECT name FROM member WHERE joined > '2050'",
}
FIRST_CELLS = {"rows": "'name5'", "count": "76", "ordered": "'name13'", "empty": "NULL"}
WRONG = "SELECT name, joined FROM member WHERE joined > '2016' AND branch_id = 2"


def build(engine: Engine, folder: Path) -> Database:
    """The database, with a second instance whose rows expose lucky answers to the first one."""
    folder.mkdir(parents=True)
    paths = tuple(folder / f"club{number}.{engine}" for number in range(2))
    for path, members in zip(paths, (120, 97), strict=True):
        connection: Any = duckdb.connect(str(path)) if engine == "duckdb" else sqlite3.connect(path)
        for statement in SCHEMA:
            connection.execute(statement)
        connection.executemany("INSERT INTO branch VALUES (?, ?)", [(i, f"city{i % 4}") for i in range(1, 7)])
        rows = [
            (i, f"name{i % 37}", f"20{10 + i % 14}-0{1 + i % 9}-11", 1 + i % 6) for i in range(1, members)
        ]
        connection.executemany("INSERT INTO member VALUES (?, ?, ?, ?)", rows)
        connection.commit()
        connection.close()
    return Database("club", engine, paths)


def attack(exploit: Exploit, question: str, database: Database) -> Answer:
    """An exploit for a question. A file that it tries to write would be beside the database, or in /tmp."""
    folder = Path("/tmp") if on_server(database) else file_of(database, 0).parent
    file = str(folder / "harness-written")
    target = Target(GOLDS[question], "member", "name", FIRST_CELLS[question], PROMPT, file)
    return Answer(database, (GOLDS[question],), exploit.completion(target))


def honest(question: str, database: Database) -> list[tuple[Answer, float]]:
    """Answers of an honest model with their verdicts."""
    gold = GOLDS[question]
    texts = {gold: 1.0, f"```sql\n{gold.lower().replace('member', 'Member')};\n```": 1.0, WRONG: 0.0}
    return [(Answer(database, (gold,), text), verdict) for text, verdict in texts.items()]


def traces(folders: Iterable[Path]) -> dict[str, str]:
    """Every file in the folders with a digest of its bytes, and temporary files of the engines elsewhere."""
    found = {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for folder in folders
        for path in folder.rglob("*")
    }
    for folder in (Path("/tmp"), Path("/var/tmp"), Path(os.environ.get("TMPDIR", "/tmp"))):
        for pattern in ("etilqs_*", "harness-written*"):
            found |= {str(path): "temporary" for path in folder.glob(pattern)}
    return found


def on_postgres(database: Database, server: EmbeddedServer) -> Database:
    """A copy of the instances of a SQLite database on the embedded PostgreSQL."""
    from tasks.databases.servers.load import load_embedded

    instances = []
    for number in range(len(database.instances)):
        name = f"{database.id}_{number}_{database_digest(database, number)[:8]}"
        load_embedded(replace(database, instances=database.instances[number:]), name, server, replace=True)
        instances.append(Server(f"embedded://{name}", server.login(name, READER)))
    return replace(database, engine="postgres", instances=tuple(instances))


def on_mariadb(database: Database, server: MariaServer) -> Database:
    """A copy of the instances of a SQLite database on MariaDB."""
    from tasks.databases.copying.mariadb import load
    from tasks.databases.servers.prepare_mariadb import prepare

    instances = []
    for number in range(len(database.instances)):
        name = f"{database.id}_{number}_{database_digest(database, number)[:8]}"
        server.execute(f"DROP DATABASE IF EXISTS {name}")
        load(replace(database, instances=database.instances[number:]), server.server(name))
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HARNESS_READER_PASSWORD", PASSWORD)
            list(prepare(server.server(name)))
        instances.append(server.server(name, READER))
    return replace(database, engine="mariadb", instances=tuple(instances))


def content(database: Database) -> list[str]:
    """What a server holds: digests of the instances, the number of its roles, databases and large objects.

    Empty for files.
    """
    if not on_server(database):
        return []
    digests = [database_digest(database, number) for number in range(len(database.instances))]
    if database.engine == "mariadb":
        return [*_counts(database), *digests]
    import psycopg

    server = database.instances[0]
    assert isinstance(server, Server)
    counted = ("roles", "database", "largeobject_metadata", "locks WHERE locktype = 'advisory'")
    with psycopg.connect(server.login.replace(READER, SUPERUSER)) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM pg_{what}".encode()).fetchone() for what in counted
        ]
    return [*map(str, counts), *digests]


def _counts(database: Database) -> list[str]:
    """The numbers of a MariaDB's accounts, their rights, databases, tables and functions."""
    from tasks.databases.engines.mariadb_open import connect

    reader = database.instances[0]
    assert isinstance(reader, Server)
    counted = ("mysql.global_priv", "mysql.db", "mysql.proc", "mysql.func", "information_schema.TABLES")
    with closing(connect(Server("root", re.sub("//.*?@", "//root@", reader.login)))) as connection:
        return [str(connection.execute(f"SELECT COUNT(*) FROM {what}").fetchall()) for what in counted]


MOST_WAITING = 25.0
"""Percent. On a machine without other work the tests of one query stay near 0."""


def busy() -> bool:
    """Whether other work on this machine makes wall-clock times meaningless.

    The load average is that of a minute. The kernel's pressure file, where there is one, has the share of the
    last ten seconds in which a process waited for a CPU.
    """
    if os.getloadavg()[0] > len(os.sched_getaffinity(0)):
        return True
    try:
        waited = re.search(r"some avg10=([\d.]+)", Path("/proc/pressure/cpu").read_text())
    except OSError:
        return False
    return waited is not None and float(waited[1]) > MOST_WAITING
