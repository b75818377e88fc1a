"""``harness init``: any database and any file of questions, or one line that says what is wrong with them."""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import duckdb
import pytest

from harness.cli import main
from harness.own.place import place_of, spelled
from harness.own.questions import DIVIDED, ENOUGH, read_questions
from tasks.common.errors import DataError, HarnessError, SpecError
from tasks.databases.servers.embedded import EmbeddedServer
from tasks.databases.servers.roles import READER
from tasks.spec import load
from tasks.task import Task

Capture = pytest.CaptureFixture[str]
SCHEMA = """
CREATE TABLE "order"("größe in cm" REAL, "select" TEXT, id INTEGER PRIMARY KEY);
INSERT INTO "order" VALUES (1.5, 'a', 1), (2.5, 'b', 2);
CREATE TABLE empty(x);
"""
COUNT = 'SELECT count(*) FROM "order"'


@pytest.fixture(autouse=True)
def _at_home(home: Path) -> None:
    """Every test has a HARNESS_HOME of its own."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a database of two tables."""
    place = tmp_path / "work"
    place.mkdir()
    make(place / "my.sqlite")
    monkeypatch.chdir(place)
    return place


def make(path: Path, schema: str = SCHEMA) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(schema)
    connection.close()


def init(*arguments: str) -> int:
    return main(["init", *arguments])


def as_json(capsys: Capture, *arguments: str) -> dict[str, Any]:
    """What ``--json`` prints."""
    init(*arguments, "--json")
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def test_without_questions_a_template_is_written(folder: Path, capsys: Capture) -> None:
    assert init("--db", "my.sqlite") == 0
    printed = capsys.readouterr().out
    assert "2 tables, 4 columns" in printed and "fill in my-questions.csv" in printed
    assert {path.name for path in folder.iterdir()} == {"my.sqlite", "my.yaml", "my-questions.csv"}
    assert load("my.yaml").name == "my"
    with pytest.raises(DataError, match="no sample with a database and a gold"):
        Task.named("my.yaml").samples()


def test_a_filled_template_is_a_task(folder: Path, capsys: Capture) -> None:
    assert init("--db", "my.sqlite") == 0
    with open("my-questions.csv", "a", encoding="utf-8") as file:
        file.write('4,"How many\norders?",SELECT count(*) FROM "order",a hint\n')
    [sample] = Task.named("my.yaml").samples()
    assert (sample.id, sample.question, sample.gold, sample.evidence, sample.database) == (
        "4", "How many\norders?", (COUNT,), "a hint", "my",
    )  # fmt: skip
    assert main(["check", "my.yaml"]) == 0


NAMES = [
    ("a shop.v2.db", "a_shop_v2"),
    ("Läden 2024.sqlite", "Läden_2024"),
    ("~home.db3", "home"),
    ("$x", "x"),
    ("spider.sqlite", "my_spider"),
    ("-.db", "-"),
    ("'quoted\" #.sqlite", "quoted"),
]


@pytest.mark.parametrize(("file", "name"), NAMES)
def test_any_file_name_is_a_task(folder: Path, capsys: Capture, file: str, name: str) -> None:
    make(folder / file)
    printed = as_json(capsys, f"--db={file}")
    assert printed["task"] == f"{name}.yaml"
    task = Task.named(f"{name}.yaml")
    assert task.schema(target := _sample(task)).tables and task.prompt_database(target).instances[0].is_file()  # type: ignore[union-attr]


def _sample(task: Task) -> Any:
    from harness.own.ask import target

    return target(task, "")


@pytest.mark.parametrize(("out", "path"), [("tasks", "../my.sqlite"), ("a/b/c", None), (".", "my.sqlite")])
def test_the_task_may_be_elsewhere(folder: Path, capsys: Capture, out: str, path: str | None) -> None:
    assert init("--db", "my.sqlite", "--out", out, "--name", "other") == 0
    assert f'path: "{path or folder / "my.sqlite"}"' in Path(out, "other.yaml").read_text(encoding="utf-8")
    task = Task.named(f"{out}/other.yaml")
    assert len(task.schema(_sample(task)).tables) == 2


def test_a_path_through_a_link_is_the_file(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path / "deep" / "er")
    assert (folder / "link" / spelled(Path("my.sqlite"), Path("link"))).is_file()


def test_a_duckdb_file(folder: Path, capsys: Capture) -> None:
    with duckdb.connect("shop.db") as connection:
        connection.execute("CREATE TABLE t(a INT, b INT[]); CREATE SCHEMA s; CREATE TABLE s.u(c INT)")
    assert as_json(capsys, "--db", "shop.db")["database"] == {
        "place": "shop.db", "engine": "duckdb", "password_variable": "", "tables": 2, "columns": 3,
    }  # fmt: skip


def test_many_tables_are_counted_and_a_long_prompt_is_named(folder: Path, capsys: Capture) -> None:
    columns = ", ".join(f"column_{n} INTEGER" for n in range(10))
    make(folder / "large.db", ";".join(f"CREATE TABLE table_{n}({columns})" for n in range(300)))
    assert init("--db", "large.db") == 0
    printed = capsys.readouterr().out
    assert "300 tables, 3000 columns" in printed and "tokens" not in printed
    assert Task.named("large.yaml").spec.prompt.schema_.max_tokens == 1000


def test_a_database_in_use_is_read_and_not_changed(folder: Path, capsys: Capture) -> None:
    connection = sqlite3.connect("wal.sqlite")
    connection.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t(a); INSERT INTO t VALUES (1);")
    Path("q.jsonl").write_text('{"question": "All?", "sql": "SELECT a FROM t"}\n')
    before = {file.name: file.read_bytes() for file in folder.glob("wal*")}
    assert init("--db", "wal.sqlite", "--examples", "q.jsonl") == 0
    assert {file.name: file.read_bytes() for file in folder.glob("wal.sqlite*")} == before
    connection.close()


def encrypted(path: Path) -> None:
    path.write_bytes(bytes(range(7, 250)) * 9)


def damaged(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + bytes(2000))


def hot(path: Path) -> None:
    make(path)
    Path(f"{path}-journal").write_bytes(bytes.fromhex("d9d505f920a163d7") + bytes(600))


def zipped(path: Path) -> None:
    path.write_bytes(gzip.compress(b"x" * 99))


REFUSED = [
    (lambda path: path.mkdir(), "is a folder: name the database file"),
    (lambda path: path.touch(), "it has no table that can be read"),
    (encrypted, "it is encrypted or damaged"),
    (damaged, "not a readable SQLite database"),
    (hot, "holds an unfinished transaction"),
    (zipped, "a gzip archive"),
    (lambda path: path.write_text("-- dump\nCREATE TABLE t(a);"), "an SQL script: load it"),
    (lambda path: path.write_text("a,b\n1,2\n"), "a text file: load it"),
    (lambda path: path.write_bytes(b"PK\3\4xl"), "an Excel file"),
    (lambda path: path.symlink_to("nowhere"), "no such database"),
    (lambda path: os.mkfifo(path), "is no plain file"),
]


@pytest.mark.parametrize(("write", "message"), REFUSED)
def test_what_is_no_database_is_refused_in_one_line(
    folder: Path, capsys: Capture, write: Any, message: str
) -> None:
    write(folder / "x.db")
    before = sorted(folder.iterdir())
    assert init("--db", "x.db") == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1 and not printed.out
    assert sorted(folder.iterdir()) == before


MISTAKES = [
    ("--db my.sqlit", "did you mean 'my.sqlite'?"),
    ("--db ..", "is a folder: name the database file"),
    ("--db .", "in it: my.sqlite"),
    ("--db http://x/y", "it begins with one of postgresql://"),
    ("--db postgresql://host", "the name of the database"),
    ("--db embedded://{{database}}", "the name of the database"),
    ("--db my.sqlite --name a/b", "--name a/b: use letters"),
    ("--db my.sqlite --name ..", "--name ..: use letters"),
    ("--db my.sqlite --name spider", "a task that ships has this name"),
    ("--db my.sqlite --examples none.csv", "no such file: none.csv"),
    ("--db my.sqlite --examples my.sqlite", "cannot read '.sqlite' files"),
    (
        "--db my.sqlite --out my.sqlite",
        ": File exists: choose another folder with --out",
    ),
    ("--db my.sqlite --out shop.yaml", "--out shop.yaml: name a folder"),
    ("--db my.sqlite --out /proc/none", "cannot write /proc/none"),
    ("--db {{x}}.db", "{{x}} in a path is a placeholder"),
]


@pytest.mark.parametrize(("line", "message"), MISTAKES)
def test_a_mistake_is_one_line_and_writes_nothing(
    folder: Path, capsys: Capture, line: str, message: str
) -> None:
    make(folder / "{x}.db")
    before = sorted(folder.iterdir())
    assert init(*line.format().split()) == 2
    printed = capsys.readouterr()
    assert message.format() in printed.err and printed.err.count("\n") == 1 and not printed.out
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("file", ["my.yaml", "my-questions.csv"])
def test_nothing_is_overwritten(folder: Path, capsys: Capture, file: str) -> None:
    Path(file).write_text("mine")
    assert init("--db", "my.sqlite") == 2
    assert f"{file} exists" in capsys.readouterr().err
    assert Path(file).read_text() == "mine" and len(list(folder.iterdir())) == 2


def test_a_second_name_is_a_second_task(folder: Path, capsys: Capture) -> None:
    assert init("--db", "my.sqlite") == 0 and init("--db", "my.sqlite", "--name", "again") == 0
    assert {"my.yaml", "again.yaml", "again-questions.csv"} <= {path.name for path in folder.iterdir()}


FILES = [
    ("q.csv", f"question,sql\nHow many?,{COUNT}\n".replace('"', "")),
    ("q.csv", '\ufeffUtterance;SQL;Hint\r\n"How;\r\nmany?";"SELECT ""select""\r\nFROM ""order""";\r\n;;\r\n'),
    ("q.csv", 'sep=;\r\nid;nl;gold\r\n7;How many?;SELECT count(*) FROM "order"\r\n'),
    ("q.tsv", 'Question\tquery\nHow many "orders"?\tSELECT 1\n'),
    ("q.jsonl", '\ufeff{"query": "SELECT 1", "text": "How many?"}\r\n\r\n'),
    ("q.json", '[{"query": "How many?", "sql": ["SELECT 1", "SELECT 2"], "db_id": "my"}]'),
    ("q.json", '[{"Natural Language": "How many?", "Gold-SQL": {"sql": "SELECT 1"}}]'),
]


@pytest.mark.parametrize(("name", "content"), FILES)
def test_columns_are_recognized(folder: Path, name: str, content: str) -> None:
    Path(name).write_bytes(content.replace("FROM order", "FROM empty").encode())
    assert init("--db", "my.sqlite", "--examples", name) == 0
    [sample] = Task.named("my.yaml").samples()
    assert sample.question.startswith("How") and all(sql.startswith("SELECT") for sql in sample.gold)


BAD = [
    ("q.csv", "a,b\n1,2\n", "no column of questions: name it 'question'; the file has a, b"),
    ("q.csv", "question,b\n1,2\n", "no column of SQL: name it 'sql'; the file has question, b"),
    ("q.csv", "query,b\n1,2\n", "no column of questions"),
    ("q.csv", "question,sql\n", "it has no rows"),
    ("q.csv", "", "it has no rows"),
    ("q.csv", 'question,sql\n"a\nb",SELECT 1\n,SELECT 2\n', "line 4: write one, or remove the row"),
    ("q.jsonl", '{"question": "a", "sql": 7}\n', "line 1: the gold is a int"),
    ("q.jsonl", '{"question": "a", "sql": "SELECT 1"}\n{"sql": "SELECT 1"}\n', "line 2: write one"),
    ("q.csv", "question,sql\na,SELECT 1,2\n", "line 2: 3 fields"),
]


@pytest.mark.parametrize(("name", "content", "message"), BAD)
def test_a_bad_file_of_questions_is_one_line(
    folder: Path, capsys: Capture, name: str, content: str, message: str
) -> None:
    Path(name).write_text(content)
    assert init("--db", "my.sqlite", "--examples", name) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1
    assert not Path("my.yaml").exists()


def test_what_fails_or_returns_nothing_is_named_by_its_line(folder: Path, capsys: Capture) -> None:
    lines = [
        "question;sql;id",
        'fine;SELECT id FROM "order";1',
        '"two\r\nlines";SELECT missing FROM empty;2',
        "empty;SELECT x FROM empty;3",
        "open;;4",
        "write;DELETE FROM empty;5",
    ]
    Path("q.csv").write_bytes("\r\n".join(lines).encode())
    printed = as_json(capsys, "--db", "my.sqlite", "--examples", "q.csv")
    assert [gold["place"] for gold in printed["failing"]] == ["line 3", "line 7"]
    assert "no such column: missing" in printed["failing"][0]["detail"]
    assert printed["empty"] == ["line 5"]
    assert printed["questions"]["with_sql"] == 4 and "line 6: no SQL" in printed["questions"]["notes"][0]
    Path("my.yaml").unlink()
    assert init("--db", "my.sqlite", "--examples", "q.csv") == 1
    shown = capsys.readouterr().out
    assert "line 7: the SQL fails" in shown and "line 5: the SQL returns no rows" in shown


def test_ids_that_are_missing_or_repeated_are_not_used(folder: Path) -> None:
    for ids, used in (("1 2", True), ("1 1", False), ("1 ", False)):
        rows = "".join(f"{id},q{n},SELECT {n}\n" for n, id in enumerate(ids.split(" ")))
        Path("q.csv").write_text(f"id,question,sql\n{rows}")
        assert ("id" in read_questions(Path("q.csv"), ["my"]).columns) is used


def test_many_questions_are_divided(folder: Path, capsys: Capture) -> None:
    rows = [{"question": f"Question {n}?", "sql": f"SELECT {n}"} for n in range(ENOUGH)]
    rows[-1]["sql"] = "SELECT missing"
    Path("q.json").write_text(json.dumps(rows))
    printed = as_json(capsys, "--db", "my.sqlite", "--examples", "q.json")
    assert printed["questions"]["splits"] == DIVIDED
    assert {split["split"]: split["rows"] for split in printed["check"]["splits"]} == {
        "train": 180, "dev": 30, "test": 90,
    }  # fmt: skip
    assert [gold["place"] for gold in printed["failing"]] == [f"row {ENOUGH}"]
    assert (
        len(set().union(*(map(_question, Task.named("my.yaml").samples(split)) for split in DIVIDED)))
        == ENOUGH
    )


def _question(sample: Any) -> str:
    return str(sample.question)


def test_rows_of_other_databases_are_left_out(folder: Path, capsys: Capture) -> None:
    rows = [{"question": f"{name}?", "sql": "SELECT 1", "db_id": name} for name in ("my", "other", "my")]
    Path("q.json").write_text(json.dumps(rows))
    printed = as_json(capsys, "--db", "my.sqlite", "--examples", "q.json", "--name", "shop")
    assert printed["questions"]["rows"] == 2 and len(Task.named("shop.yaml").samples()) == 2


URLS = [
    ("postgresql://me:s%2Fcret@host/shop", "postgresql://me:${SHOP_PASSWORD}@host/shop", "s/cret"),
    ("postgresql://me:a/b@c?d@host/shop", "postgresql://me:${SHOP_PASSWORD}@host/shop", "a/b@c?d"),
    (
        "postgresql://me:x@host:5/My%20Shop?a=b@c",
        "postgresql://me:${MY_SHOP_PASSWORD}@host:5/My%20Shop?a=b@c",
        "x",
    ),
    ("postgresql://me:x@host/2024", "postgresql://me:${DB_2024_PASSWORD}@host/2024", "x"),
    ("postgresql://me:${MINE}@host/shop", "postgresql://me:${MINE}@host/shop", None),
    ("embedded://shop", "embedded://shop", None),
]


@pytest.mark.parametrize(("given", "url", "password"), URLS)
def test_a_password_becomes_a_variable(
    monkeypatch: pytest.MonkeyPatch, given: str, url: str, password: str | None
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    place = place_of(given)
    assert place.url == url and (
        os.environ.get(place.variable) == password if password else not place.variable
    )
    assert password is None or password not in f"{place!r}{place}{place.section()}"


@pytest.mark.parametrize(
    "url", ["postgresql://host/shop?password=hidden", "postgresql://me:x${Y}hidden@host/shop"]
)
def test_a_password_elsewhere_in_a_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(SpecError, match="must come from the environment") as caught:
        place_of(url)
    assert "hidden" not in str(caught.value)


def test_a_server_that_is_away_is_one_line_without_the_password(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setenv("SHOP_PASSWORD", "")
    assert init("--db", "postgresql://me:very-secret-1@127.0.0.1:1/shop") == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1 and "very-secret-1" not in printed.err + printed.out
    assert [path.name for path in folder.iterdir()] == ["my.sqlite"]


def test_a_database_on_a_server(
    folder: Path, postgres: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """Its password, which this server does not ask for, is in no file; a role that may write is refused."""
    import psycopg

    with psycopg.connect(postgres.login("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE fleet")
    with psycopg.connect(postgres.login("fleet"), autocommit=True) as connection:
        connection.execute("CREATE TABLE ship(name text); INSERT INTO ship VALUES ('Passat')")
    place = f"@/fleet?host={postgres.socket}"
    assert init("--db", f"postgresql://postgres{place}") == 2
    assert "is a superuser" in (error := capsys.readouterr().err) and "harness db prepare" in error
    assert main(["db", "prepare", f"postgresql://postgres{place}"]) == 0
    Path("q.csv").write_text("question,sql\nWhich ships?,SELECT name FROM ship WHERE name ILIKE 'p%'\n")
    url = f"postgresql://{READER}:secret-word-1{place}"
    monkeypatch.setenv("FLEET_PASSWORD", "")
    assert init("--db", url, "--examples", "q.csv") == 0
    printed = capsys.readouterr()
    assert "export FLEET_PASSWORD=" in printed.out and "secret-word-1" not in printed.out + printed.err
    assert "${FLEET_PASSWORD}@" in Path("fleet.yaml").read_text()
    files = [path.read_bytes() for path in folder.parent.rglob("*") if path.is_file()]
    assert not any(b"secret-word-1" in content for content in files)
    with psycopg.connect(postgres.login("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE fleet WITH (FORCE)")


def test_every_error_is_one_that_a_user_can_fix() -> None:
    with pytest.raises(HarnessError):
        place_of("\udcff.db")
