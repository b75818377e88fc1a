"""Private tables and columns on MariaDB: an account that cannot read them, and when no query runs at all."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from clinic import AMOUNT, PRIVATE, SECRET, TRICKS, build_on, check_tricks
from mariadb_server import PASSWORD, MariaServer
from servers.scripted import scripted

from harness.cli import main
from leaderboards import store
from tasks.common.errors import DataError
from tasks.databases.engines.mariadb_private_text import PrivateRefused
from tasks.databases.private.reads import opened
from tasks.databases.private.roles import by_role, privacy_of
from tasks.databases.sandbox.executor import Executor
from tasks.databases.schema import describe
from tasks.databases.servers.roles import PRIVATE_READER, READER
from tasks.databases.state import database_digest
from tasks.databases.values import find_values
from tasks.task import Task
from tasks.types import Database, Limits, Status

PLACE = 3
"""MariaDB's place in the outcomes of the tricks."""


@pytest.fixture
def clinic(mariadb: MariaServer, monkeypatch: pytest.MonkeyPatch) -> MariaServer:
    """The server with the database, and an account that may not read what is private."""
    build_on(mariadb, "clinic")
    monkeypatch.setenv("HARNESS_READER_PASSWORD", PASSWORD)
    prepared(mariadb, *PRIVATE)
    return mariadb


def prepared(server: MariaServer, *private: str) -> int:
    """The exit code of ``harness db prepare``."""
    names = [part for name in private for part in ("--private", name)]
    return main(["db", "prepare", server.server("clinic").url, *names])


def as_account(server: MariaServer, *private: str, account: str = PRIVATE_READER) -> Database:
    """The database under an account of the server."""
    found = Database("clinic", "mariadb", (server.server("clinic", account),))
    return by_role(found, private or PRIVATE)


@pytest.fixture
def executor() -> Iterator[Executor]:
    found = Executor(Limits(seconds=5))
    yield found
    found.close()


def test_how_a_query_ends(clinic: MariaServer, executor: Executor) -> None:
    database = as_account(clinic)
    with opened(database) as reads_private:
        check_tricks(executor, database, PLACE, reads_private)


def test_the_server_does_not_ask_about_the_columns_of_joins(clinic: MariaServer, executor: Executor) -> None:
    """The reason for which such joins are refused here: if this fails, the refusal can go."""
    public = Database("clinic", "mariadb", as_account(clinic).instances)
    guess = f"(SELECT '{SECRET}' AS ssn) AS g"
    for join in (f"person JOIN {guess} USING (ssn)", f"person NATURAL JOIN {guess}"):
        assert executor.run(public, 0, f"SELECT name FROM {join}").rows == (("Ann",),)


def test_messages_name_neither_private_columns_nor_the_account(
    clinic: MariaServer, executor: Executor
) -> None:
    database = as_account(clinic)
    for sql, message in {
        "SELECT ssn FROM person": "the query reads private data",
        "SELECT ssnn FROM person": "no such column: ssnn",
        "SELECT 1 FROM persons": "no such table: persons",
    }.items():
        assert executor.run(database, 0, sql).message == message


def test_the_schema_is_described_without_them(clinic: MariaServer) -> None:
    database = as_account(clinic)
    schema = describe(database, 2)
    assert {table.name: [column.name for column in table.columns] for table in schema.tables} == {
        "branch": ["id", "city"],
        "person": ["id", "name", "branch_id"],
        "visit": ["day"],
        "named": ["id", "name"],
    }
    text = repr(schema)
    assert "ssn" not in text and "SECRET" not in text and "salary" not in text
    assert [key.other_table for table in schema.tables for key in table.foreign_keys] == ["branch"]
    assert database.private and {"ssn", "salary", "amount", "code"} <= database.private.names
    assert ("clinic.other", "") in database.private.hidden
    assert find_values(database, schema, f"Is {SECRET} of Ann here?") == {"person.name": ("Ann",)}
    usual, everything = privacy_of("mariadb").all_columns(database)
    assert usual == "clinic"
    assert "salary" in {table.name for table in everything.tables}


def test_a_changed_private_value_changes_nothing_that_is_seen(clinic: MariaServer) -> None:
    database = as_account(clinic)
    before = database_digest(database)
    clinic.execute("UPDATE clinic.salary SET amount = 1")
    assert database_digest(database) == before
    clinic.execute("UPDATE clinic.person SET name = 'Eve' WHERE id = 2")
    assert database_digest(database) != before


def test_an_account_that_may_read_them_runs_no_query(clinic: MariaServer, executor: Executor) -> None:
    assert prepared(clinic) == 0
    outcome = executor.run(as_account(clinic, account=READER), 0, "SELECT 1")
    assert outcome.status is Status.INFRASTRUCTURE
    assert "may read clinic.person.code, clinic.person.ssn, clinic.salary." in outcome.message
    assert "harness db prepare --private" in outcome.message


PEEK = "CREATE FUNCTION peek() RETURNS TEXT READS SQL DATA RETURN (SELECT MAX(ssn) FROM person)"
WAYS = {
    "a view": (["CREATE VIEW way AS SELECT UPPER(ssn) AS x FROM person"], "way"),
    "a view of a view": (["CREATE VIEW way AS SELECT number FROM other"], "way"),
    "a view of a private table": (["CREATE VIEW way AS SELECT COUNT(*) AS n FROM salary"], "way"),
    "a view that compares": (
        ["CREATE VIEW way AS SELECT name FROM person NATURAL JOIN (SELECT 'x' AS ssn) AS g"],
        "way",
    ),
    "a view of a function": ([PEEK, "CREATE VIEW way AS SELECT peek() AS x"], "way"),
    "a view with the user's rights": (
        ["CREATE SQL SECURITY INVOKER VIEW way AS SELECT ssn FROM person"],
        "way",
    ),
    "a computed column": (["ALTER TABLE person ADD way VARCHAR(50) AS (LOWER(ssn))"], "person.way"),
    "a computed default": (["ALTER TABLE person ADD way VARCHAR(50) DEFAULT (ssn)"], "person.way"),
    "a key": (["ALTER TABLE branch ADD way VARCHAR(40) REFERENCES person(ssn)"], "branch.way"),
    "a grant to all": (["GRANT SELECT (ssn) ON person TO PUBLIC"], "person.ssn"),
    "another database": (
        [
            "CREATE OR REPLACE DATABASE beside",
            "CREATE TABLE beside.person(ssn INT)",
            f"GRANT SELECT ON beside.* TO {PRIVATE_READER}",
        ],
        "person.ssn",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_around_is_found(clinic: MariaServer, executor: Executor, way: str) -> None:
    made, named = WAYS[way]
    clinic.execute(*made, database="clinic")
    table, _, column = named.partition(".")
    if "CREATE DATABASE" not in made[0] and column != "ssn":
        right = f"SELECT ({column})" if column else "SELECT, SHOW VIEW"
        clinic.execute(f"GRANT {right} ON {table} TO {PRIVATE_READER}", database="clinic")
    try:
        outcome = executor.run(as_account(clinic), 0, "SELECT 1")
        assert outcome.status is Status.INFRASTRUCTURE, outcome
        assert named in outcome.message
        if "way" in named:
            assert prepared(clinic, *PRIVATE) == 0
            assert executor.run(as_account(clinic), 0, "SELECT 1").ok
            shown = describe(as_account(clinic))
            assert "way" not in repr(shown)
    finally:
        clinic.execute("DROP DATABASE IF EXISTS beside")
        if "PUBLIC" in made[0]:
            clinic.execute("REVOKE SELECT (ssn) ON clinic.person FROM PUBLIC")


def test_prepare_refuses_names_that_match_nothing(
    clinic: MariaServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    capsys.readouterr()
    assert prepared(clinic, "person.ssn", "salry") == 2
    assert "no table or column 'salry': did you mean 'salary'?" in capsys.readouterr().err
    assert prepared(clinic, "a.b.c.d") == 2
    assert prepared(clinic, "clinic.person.ssn", "sal*") == 0
    assert "it may read clinic.person, but not code, ssn" in capsys.readouterr().out
    monkeypatch.delenv("HARNESS_READER_PASSWORD")
    assert prepared(clinic, *PRIVATE) == 2
    assert "set HARNESS_READER_PASSWORD" in capsys.readouterr().err


def test_a_missing_database_is_an_error(clinic: MariaServer) -> None:
    with pytest.raises(DataError, match=r"Unknown database|denied"):
        by_role(Database("x", "mariadb", (clinic.server("nothing", PRIVATE_READER),)), PRIVATE)


def test_hostile_answers_to_a_task_learn_nothing(
    clinic: MariaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("HARNESS_HOME", str(home))
    hostile = [
        (sql.replace("SECRET", "GUESS").replace(str(AMOUNT), "7"), how)
        for sql, how in TRICKS
        if how[PLACE] == "P"
    ]
    golds = ["SELECT name FROM person ORDER BY id"] * len(hostile) + ["SELECT ssn FROM person"]
    rows = [
        {"question": f"Who ({number})?", "query": gold, "db_id": "clinic", "evidence": "ssn is a number"}
        for number, gold in enumerate(golds)
    ]
    (tmp_path / "dev.json").write_text(json.dumps(rows))
    url = clinic.server("clinic", PRIVATE_READER).url.replace("@", ":${HARNESS_READER_PASSWORD}@")
    task = tmp_path / "task.yaml"
    task.write_text(
        f"name: clinic\nprivate: {list(PRIVATE)}\ndataset: {{path: dev.json, splits: {{dev: dev}}}}\n"
        f"databases: {{url: '{url}'}}\nprompt: {{schema: {{rows: 3, values: true, comments: true}}}}\n"
        "scoring: {security: {tables: {denied: [branch]}}, feedback_rows: 3, seconds: 5}\n"
    )
    comment = "ALTER TABLE clinic.person MODIFY name VARCHAR(40) COMMENT 'whose ssn is here'"
    clinic.execute(comment)
    asked_of = Task.named(str(task))
    script = {
        asked_of.messages(sample)[-1]["content"]: [sql, sql]
        for sample, (sql, _) in zip(asked_of.samples(), hostile, strict=True)
    }
    asked: list[list[dict[str, str]]] = []
    with scripted(script, asked) as address:
        line = ["eval", "--model", "openai:m", "--base-url", address, "--task", str(task), "--workers", "1"]
        assert main([*line, "--turns", "2"]) == 0
    [run] = store.runs()
    records = store.records(run.id)
    assert len(records) == len(hostile)
    assert {(record.reason, record.metric) for record in records} == {("private_data", 0.0)}
    assert all("private_data" in record.flags.split(",") for record in records)
    assert "1 gold reads private data" in capsys.readouterr().err
    prompts = json.dumps([messages[0] for messages in asked])
    assert "ssn" not in prompts and "salary" not in prompts and "Ann" in prompts
    everything = json.dumps(asked) + "".join(
        path.read_bytes().decode("latin-1") for path in home.rglob("*") if path.is_file()
    )
    assert "SECRET" not in everything and str(AMOUNT) not in everything


def test_what_a_text_may_do_beside_a_table_that_is_partly_private() -> None:
    refused = PrivateRefused(partly={"t": frozenset({"a", "b c"})})
    for sql, status in {
        "SELECT 1 FROM T NATURAL JOIN u": Status.PRIVATE_DATA,
        "SELECT 1 FROM `t` JOIN u USING (a, `B C`)": None,
        "SELECT 1 FROM t JOIN u USING (a, d)": Status.PRIVATE_DATA,
        "SELECT 1 FROM u JOIN v USING (d)": None,
        "SELECT 1 FROM u NATURAL JOIN v": None,
        "SELECT u.natural FROM t": None,
        "SELECT 't' FROM u NATURAL JOIN v": None,
        "SELECT 1 FROM t IGNORE INDEX (i)": Status.PRIVATE_DATA,
        "SELECT SUM(a) OVER (PARTITION BY a) FROM t": None,
    }.items():
        outcome = refused.refusal(sql)
        assert (outcome and outcome.status) is status, sql
