"""BIRD mini-dev in PostgreSQL's and MySQL's dialects, on samples in its format and real servers."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from mariadb_server import PASSWORD, MariaServer

from harness.check import check_task
from harness.cli import main
from tasks.databases.servers.embedded import EmbeddedServer, embedded_server, leave
from tasks.databases.servers.roles import READER
from tasks.task import Task

FIXTURES = Path(__file__).parent / "fixtures" / "benchmarks" / "bird"


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The SQLite database of the sample, in a HARNESS_DATA."""
    place = tmp_path / "data" / "bird"
    shutil.copytree(FIXTURES, place)
    [script] = (place / "dev_databases").rglob("*.sql")
    with sqlite3.connect(script.with_suffix("")) as connection:
        connection.executescript(script.read_text(encoding="utf-8"))
    connection.close()
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return script.with_suffix("")


def expect_right(task: str, overrides: list[str], dialect: str) -> None:
    """The question with a database is read, prompted in its dialect, and its gold right in every mode."""
    found = Task.named(task, overrides)
    [sample] = found.samples()
    assert (sample.id, sample.difficulty, found.skipped["dev"]) == ("7", "simple", 1)
    assert "overdue means returned = 0" in found.messages(sample)[-1]["content"]
    assert dialect in "".join(message["content"] for message in found.messages(sample))
    [split] = check_task(task, overrides, (), None, 1).splits
    assert (split.total, split.rows, split.broken) == (2, 1, ())
    assert split.right == {"strict": 1, "bird": 1, "bird_f1": 1}


def test_postgres_runs_on_copies(library: Path, postgres: EmbeddedServer) -> None:
    server = embedded_server()
    try:
        expect_right("bird_mini_dev_postgres", [], "PostgreSQL")
    finally:
        leave(server)


def test_mysql_runs_on_a_server(library: Path, mariadb: MariaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_READER_PASSWORD", PASSWORD)
    mariadb.execute("DROP DATABASE IF EXISTS library")
    socket = f"unix_socket={mariadb.socket}"
    assert main(["db", "copy", str(library), f"mariadb://root@localhost/{{database}}?{socket}"]) == 0
    assert main(["db", "prepare", f"mariadb://root@localhost/library?{socket}"]) == 0
    url = f"mariadb://{READER}:${{HARNESS_READER_PASSWORD}}@localhost/{{database}}?{socket}"
    expect_right("bird_mini_dev_mysql", [f"databases.url={url}"], "MariaDB")
