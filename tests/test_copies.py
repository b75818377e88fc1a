"""Copies of databases on other engines, by ``db copy`` and ``--engine``, and tasks that run on them."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pytest

from harness.cli import main
from leaderboards import store
from tasks.common.errors import SpecError
from tasks.databases.copying.duckdb import copy_into
from tasks.databases.schema import describe
from tasks.databases.servers.embedded import EmbeddedServer, embedded_server, leave
from tasks.databases.servers.load import load_embedded
from tasks.databases.servers.roles import READER
from tasks.task import Task
from tasks.types import Database, Server

SCHEMA = """
CREATE TABLE Pet(
    Id INTEGER, OwnerId INT REFERENCES owner, Weight DECIMAL, Photo BLOB, PRIMARY KEY (Id, OwnerId));
CREATE TABLE Owner(Id INTEGER PRIMARY KEY, Name TEXT NOT NULL, Note, "order" INT, Boss INT REFERENCES Owner);
CREATE TABLE Toy(PetId INT REFERENCES Pet(Id), Of INT REFERENCES Owner(Id), Name VARCHAR(10) PRIMARY KEY);
CREATE TABLE Empty(a INTEGER, b DATE, c NUMERIC);
CREATE VIEW Heavy AS SELECT Id FROM Pet WHERE Weight > 2;
CREATE VIEW Odd AS SELECT quote(Id) FROM Pet;
INSERT INTO Owner VALUES (1, 'Ann', 5, 1, NULL), (2, 'bob', 'x', 2, 1), (3, 'ann', NULL, 3, 1);
INSERT INTO Pet VALUES (1, 1, 2.5, x'00ff'), (2, 3, 3, NULL), (3, 1, NULL, NULL);
INSERT INTO Toy VALUES (1, 9, 'ball'), (2, 1, NULL), (1, 1, NULL);
"""
GOLDS = [
    ("Pets of Ann?", 'SELECT p.id FROM pet p JOIN owner o ON o.id = p.ownerid WHERE name LIKE "ann"'),
    ("Owners?", "SELECT name FROM owner ORDER BY id LIMIT 2"),
    (
        "Pets of each owner?",
        "SELECT o.name, count(*) FROM pet JOIN owner o ON o.id = ownerid GROUP BY ownerid",
    ),
    ("A code?", "SELECT quote(name) FROM owner WHERE id = 1"),
]


@pytest.fixture
def source(tmp_path: Path) -> Database:
    path = tmp_path / "Pets.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(SCHEMA)
    connection.close()
    return Database("Pets", instances=(path,))


@pytest.fixture
def task(tmp_path: Path, source: Database) -> Path:
    rows = [{"question": question, "query": gold, "db_id": "Pets"} for question, gold in GOLDS]
    (tmp_path / "dev.json").write_text(json.dumps(rows))
    path = tmp_path / "pets.yaml"
    path.write_text(
        "name: pets\ndataset: {path: '{split}.json', splits: {dev: dev}}\n"
        "databases: {path: '{database}.sqlite'}\nscoring: {modes: [strict, spider, spider_ts]}\n"
        "prompt: {template: instruct}\n"
    )
    return path


def test_a_duckdb_file_has_rows_types_and_the_keys_that_hold(source: Database, tmp_path: Path) -> None:
    path = tmp_path / "pets.duckdb"
    copied = copy_into(source, path)
    assert (copied.tables, copied.rows) == (4, 9)
    assert [line.partition(": ")[2].partition(": ")[0] for line in copied.left_out[:-1]] == [
        "primary key",
        "foreign key (Boss)",
        "foreign key (PetId)",
        "foreign key (Of)",
    ]
    assert copied.left_out[-1].startswith("view Odd")
    with duckdb.connect(str(path), read_only=True) as connection:
        assert connection.execute("SELECT * FROM Pet ORDER BY 1").fetchall() == [
            (1, 1, 2.5, b"\0\xff"),
            (2, 3, 3.0, None),
            (3, 1, None, None),
        ]
        assert connection.execute("SELECT Note FROM Owner").fetchall() == [("5",), ("x",), (None,)]
        assert connection.execute("SELECT count(*) FROM Heavy").fetchall() == [(2,)]
        assert connection.execute(
            "SELECT database_name FROM duckdb_databases() WHERE NOT internal"
        ).fetchall()
    tables = {table.name: table for table in describe(Database("pets", "duckdb", (path,))).tables}
    assert [key.column for key in tables["Pet"].foreign_keys] == ["OwnerId"]
    assert [c.type for c in tables["Empty"].columns] == ["BIGINT", "VARCHAR", "DOUBLE"]
    assert [c.name for c in tables["Owner"].columns if c.not_null or c.primary_key] == ["Id", "Name"]
    assert not list(tmp_path.glob(".copy-*"))


def test_a_copy_from_duckdb_has_its_types(postgres: EmbeddedServer, tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TYPE mood AS ENUM ('sad', 'ok');"
            "CREATE TABLE a(id INTEGER PRIMARY KEY, b BOOLEAN, d DECIMAL(9, 2), h HUGEINT, f FLOAT,"
            " day DATE, t TIME, ts TIMESTAMP, tz TIMESTAMPTZ, u UUID, i INTERVAL, x BLOB, m mood,"
            " l INTEGER[],"
            " s STRUCT(k VARCHAR), n VARCHAR NOT NULL);"
            "CREATE TABLE c(a_id INTEGER REFERENCES a(id));"
            "INSERT INTO a VALUES (1, true, 1.5, 123456789012345678901234567890, 0.5,"
            " '2020-02-29', '12:30:01',"
            " '2020-01-01 10:00:00', '2020-01-01 10:00:00+00', '00000000-0000-0000-0000-000000000001',"
            " INTERVAL 36 HOUR, '\\x00\\xFF'::BLOB, 'ok', [1, NULL], {'k': 'v'}, 'A');"
            "INSERT INTO c VALUES (1), (NULL)"
        )
    copied = load_embedded(Database("shop", "duckdb", (path,)), "shop", postgres)
    assert (copied.tables, copied.rows, copied.left_out) == (2, 3, [])
    server = Server("embedded://shop", postgres.login("shop", READER))
    first, second = describe(Database("shop", "postgres", (server,)), 3).tables
    types = " ".join(column.type.partition(" ")[0] for column in first.columns)
    assert types == (
        "bigint boolean numeric numeric double date time timestamp timestamp uuid interval bytea text jsonb"
        " jsonb text"
    )
    assert (first.columns[0].primary_key, second.foreign_keys[0].other_table) == (True, "a")
    [row] = first.rows
    assert row[:6] == (1, 1, ("decimal", "1.5"), 123456789012345678901234567890, 0.5, "2020-02-29")
    assert row[6:10] == ("12:30:01", "2020-01-01 10:00:00", "2020-01-01 10:00:00+00:00", row[9])
    assert row[11:] == (b"\0\xff", "ok", "[1, null]", '{"k": "v"}', "A")


def test_the_verb_copies_files(source: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file, target = str(source.instances[0]), str(tmp_path / "copies" / "{database}.duckdb")
    assert main(["db", "copy", file, target, "--json"]) == 0
    [done] = json.loads(capsys.readouterr().out)
    assert (done["tables"], done["rows"], done["url"]) == (4, 9, str(tmp_path / "copies" / "Pets.duckdb"))
    other = tmp_path / "other.sqlite"
    other.write_bytes(Path(file).read_bytes())
    for arguments, message in [
        ([file, target], "give --replace"),
        ([file, str(other), str(tmp_path / "x.duckdb")], "write {database}"),
        ([done["url"], str(tmp_path / "y.duckdb")], "duckdb file already"),
        ([file, "pets.db"], "not the URL of a database"),
        ([str(tmp_path / "dev.json"), str(tmp_path / "z.duckdb")], "no such database file"),
    ]:
        assert main(["db", "copy", *arguments]) == 2
        assert message in " ".join(capsys.readouterr().err.split())
    assert main(["db", "copy", file, target, "--replace"]) == 0


def _run_on(task: Path, engine: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Check a task and evaluate its golds on an engine; the split of the check."""
    assert main(["check", str(task), "--engine", engine, "--json", "--workers", "1"]) == 0
    [split] = json.loads(capsys.readouterr().out)["splits"]
    assert (split["total"], split["rows"], split["broken"]) == (4, 3, [])
    [lost] = split["lost"]
    assert (lost["id"], lost["cause"]) == ("3", "functions")
    assert main(["check", str(task), "--engine", engine, "--workers", "1"]) == 0
    assert "the engine lacks a function" in " ".join(capsys.readouterr().out.split())
    assert main(["eval", "--model", "gold", "--task", str(task), "--engine", engine, "--workers", "1"]) == 0
    run = store.runs()[-1]
    summary = store.summary(run.id)
    assert (summary["ex"], summary["n"], run.skipped) == (1.0, 3, 1)
    return run.spec["task"]["databases"]  # type: ignore[no-any-return]


def test_a_task_runs_on_duckdb(task: Path, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--model", "gold", "--task", str(task), "--workers", "1"]) == 0
    capsys.readouterr()
    assert _run_on(task, "duckdb", capsys)["copy_to"] == "duckdb"
    on_sqlite, on_duckdb = store.runs()
    assert on_sqlite.digest != on_duckdb.digest
    [copy] = (home / "copies").glob("*.duckdb")
    made = copy.stat().st_mtime_ns
    assert main(["eval", "--model", "gold", "--task", str(task), "--engine", "duckdb"]) == 0
    assert len(store.runs()) == 2 and copy.stat().st_mtime_ns == made
    with sqlite3.connect(task.parent / "Pets.sqlite") as connection:
        connection.execute("INSERT INTO Owner VALUES (4, 'Cy', NULL, 4, NULL)")
    connection.close()
    assert main(["eval", "--model", "gold", "--task", str(task), "--engine", "duckdb"]) == 0
    assert len(store.runs()) == 3 and len(list((home / "copies").glob("*.duckdb"))) == 2


def test_a_task_runs_on_postgres(
    task: Path, home: Path, postgres: EmbeddedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    home.chmod(0o711)
    server = embedded_server()
    try:
        _run_on(task, "postgres", capsys)
        again = Task.named(str(task), ["databases.copy_to=postgres", "scoring.transpile_gold=true", SPIDER])
        again.samples()
        prompt = again.messages(again.samples()[0])[0]["content"]
        assert "PostgreSQL" in prompt and "owner(id bigint pk, name text" in prompt
        [gold] = again.samples()[0].gold
        assert gold == "SELECT p.id FROM pet AS p JOIN owner AS o ON o.id = p.ownerid WHERE name ILIKE 'ann'"
        record = store.records(store.runs()[-1].id)[0]
        assert record.gold == gold
    finally:
        leave(server)


SPIDER = "scoring.modes=[strict, spider]"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["databases.copy_to=duckdb", SPIDER], "set scoring.transpile_gold: true"),
        (["databases.copy_to=duckd", SPIDER], "did you mean 'duckdb'?"),
        (["databases.copy_to=postgresql://me:secret@host/{database}", SPIDER], "come from the environment"),
        (["databases.copy_to=duckdb", "scoring.transpile_gold=true"], "spider_ts"),
        (["dataset.dialect=postgres", SPIDER], "golds for postgres do not run on sqlite"),
        (
            ["dataset.dialect=postgres", "databases.copy_to=duckdb", "scoring.transpile_gold=true", SPIDER],
            "databases.engine is sqlite",
        ),
        (["dataset.dialect=oracle"], "dataset.dialect"),
        (
            ["databases.path=''", "databases.url=embedded://x", "databases.engine=postgres",
             "databases.copy_to=duckdb", SPIDER],
            "a server are not copied",
        ),
    ],
)  # fmt: skip
def test_what_cannot_run_is_refused(task: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(SpecError) as caught:
        Task.named(str(task), overrides)
    assert (
        message in str(caught.value) and "\n" not in str(caught.value) and "secret" not in str(caught.value)
    )


def test_golds_for_the_engine_are_not_translated(task: Path, home: Path) -> None:
    own = "SELECT id FROM pet WHERE list_contains([1, 2], id)"
    (task.parent / "dev.json").write_text(json.dumps([{"question": "?", "query": own, "db_id": "Pets"}]))
    found = Task.named(str(task), ["databases.copy_to=duckdb", "dataset.dialect=duckdb", SPIDER])
    assert found.samples()[0].gold == (own,)
    assert found.database(found.samples()[0]).engine == "duckdb"


def test_stored_and_sampled_answers_are_judged_on_an_engine(
    task: Path, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = tmp_path / "answers.sql"
    lines = ("FROM owner SELECT name LIMIT 1", "SELECT name FROM owner ORDER BY id LIMIT 2", "SELECT 1", "")
    answers.write_text("\n".join(lines) + "\n")
    line = ["--task", str(task), "--engine", "duckdb", "--workers", "1"]
    assert main(["score", str(answers), *line]) == 0
    drawn = str(tmp_path / "own.jsonl")
    assert main(["sample", "--model", "gold", *line, "--split", "dev", "--samples", "1", "--out", drawn]) == 0
    stored, sampled = sorted(store.runs(), key=lambda run: run.model != "answers.sql")
    assert [record.reason for record in store.records(stored.id)] == [
        "wrong_rows",
        "correct",
        "wrong_columns",
    ]
    assert {record.metric for record in store.records(sampled.id)} == {1.0}
    assert len(Path(drawn).read_text().splitlines()) == 3
    capsys.readouterr()
    assert main(["score", str(answers), *line[:2], "--engine", "mariadb"]) == 2
    error = capsys.readouterr().err
    assert "mariadb has no server of its own here" in error and "harness db copy" in error


def test_the_engine_of_the_files_needs_no_copy(task: Path, home: Path) -> None:
    assert main(["eval", "--model", "gold", "--task", str(task), "--engine", "sqlite"]) == 0
    assert store.runs()[-1].spec["task"]["databases"]["copy_to"] == ""
    assert not (home / "copies").exists()


def test_rows_with_their_own_schema_are_copied(tmp_path: Path, home: Path) -> None:
    ddl = "CREATE TABLE t(a TEXT, b INT); INSERT INTO t VALUES ('x', 1), ('y', 2)"
    row = {"question": "?", "db_id": "d", "ddl": ddl, "query": 'SELECT b FROM t WHERE a = "x"'}
    (tmp_path / "dev.json").write_text(json.dumps([row]))
    (tmp_path / "t.yaml").write_text(
        "name: t\ndataset: {path: '{split}.json', splits: {dev: dev}, fields: {ddl: ddl}}\n"
        "databases: {copy_to: duckdb}\nscoring: {transpile_gold: true}\n"
    )
    task = Task.named(str(tmp_path / "t.yaml"))
    [sample] = task.samples()
    assert (sample.gold, task.lost["dev"]) == (("SELECT b FROM t WHERE a = 'x'",), ())
    assert task.database(sample).engine == "duckdb"
