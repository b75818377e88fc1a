"""``harness ask``: the prompt of an evaluation, the sandbox, and rows in the width of the terminal."""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from servers.scripted import scripted

from harness.cli import main
from tasks.task import Task
from tasks.types import Sample

Capture = pytest.CaptureFixture[str]
SCHEMA = """
CREATE TABLE ship(name TEXT, "length in m" INT);
INSERT INTO ship VALUES ('Gorch Fock', 89), ('Passat', NULL), ('1', 3);
CREATE TABLE "group"(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t);
"""
QUESTION = "Which ships are there?"


class Always(dict[str, list[str]]):
    """The same answer to every question."""

    def __init__(self, answer: str) -> None:
        super().__init__()
        self._answer = [answer]

    def get(self, question: str, default: Any = None) -> Any:
        return self._answer


@pytest.fixture(autouse=True)
def folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    connection = sqlite3.connect("fleet.db")
    connection.executescript(SCHEMA)
    connection.close()
    return tmp_path


@contextmanager
def model(answer: str, asked: list[list[dict[str, str]]] | None = None) -> Iterator[list[str]]:
    """The arguments that name a model which always gives this answer."""
    with scripted(Always(answer), asked) as url:
        yield ["ask", "--model", "openai:m", "--base-url", url]


def ask(answer: str, *arguments: str, database: tuple[str, str] = ("--db", "fleet.db")) -> int:
    with model(answer) as words:
        return main([*words, *database, *arguments, QUESTION])


def test_sql_rows_and_the_schema_are_printed(capsys: Capture) -> None:
    assert ask("```sql\nSELECT * FROM ship\n```") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    for text in (
        "SELECT * FROM ship",
        "3 rows",
        "Gorch Fock",
        "NULL",
        "'1'",
        "the prompt showed 2 tables, 22 columns",
    ):
        assert text in printed.out


REFUSED = [
    ("DELETE FROM ship", "not run: only a query that reads is: DELETE is not allowed"),
    ("SELECT 1; SELECT 2", "not run: only a single query is: 2 statements"),
    ("PRAGMA table_info(ship)", "not run: only a query that reads is"),
    ("ATTACH 'other.db' AS o", "not run: only a query that reads is"),
    ("WITH x AS (SELECT 1) DELETE FROM ship", "not run: only a query that reads is"),
    ("SELECT load_extension('x')", "not run: only a query that reads is"),
    ("SELECT missing FROM ship", "execution_error: no such column: missing"),
    ("SELEC 1", "no SQL in the answer: SELEC 1"),
    ("", "no SQL in the answer: it is empty"),
    ("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n", "stopped"),
    ("SELECT zeroblob(90000000)", "refused (scoring.bytes)"),
    ("SELECT a.name FROM ship a, ship b, ship c", "refused, not cut (scoring.rows): over 20 rows"),
]


@pytest.mark.parametrize(("answer", "line"), REFUSED)
def test_what_does_not_read_is_one_line_and_exit_code_1(
    folder: Path, capsys: Capture, answer: str, line: str
) -> None:
    before = {file: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    assert ask(answer, "--set", "scoring.steps=100000", "--set", "scoring.rows=20") == 1
    printed = capsys.readouterr()
    assert f"harness ask: {line}" in printed.err and printed.err.count("\n") == 1
    assert ("no SQL" in line or answer in printed.out) and "result" not in printed.out
    assert {file: file.read_bytes() for file in folder.iterdir() if file.is_file()} == before


def test_the_prompt_is_that_of_an_evaluation(folder: Path, capsys: Capture) -> None:
    Path("q.jsonl").write_text(json.dumps({"question": QUESTION, "sql": "SELECT 1", "hint": "tall"}))
    assert main(["init", "--db", "fleet.db", "--examples", "q.jsonl"]) == 0
    asked: list[list[dict[str, str]]] = []
    changed = ["--set", "prompt.schema.rows=2", "--set", "prompt.system=Be short"]
    with model("SELECT 1", asked) as words:
        for arguments in (["--db", "fleet.db"], ["--task", "fleet.yaml"], ["--task", "fleet.yaml", *changed]):
            assert main([*words, *arguments, "--evidence", "tall", QUESTION]) == 0
    tasks = [Task.named("fleet.yaml"), Task.named("fleet.yaml"), Task.named("fleet.yaml", changed[1::2])]
    assert asked == [[dict(message) for message in task.messages(task.samples()[0])] for task in tasks]
    assert asked[0] == asked[1] != asked[2]


def test_json_has_all_columns_and_plain_values(capsys: Capture) -> None:
    sql = "SELECT name, \"length in m\", 0.5, x'00ff', 9e999 FROM ship"
    assert ask(sql, "--json", "--rows", "2") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["rows"] == [
        ["Gorch Fock", 89, 0.5, "x'00ff'", "inf"],
        ["Passat", None, 0.5, "x'00ff'", "inf"],
    ]
    assert (printed["sql"], printed["status"], printed["total_rows"], printed["truncated"]) == (
        sql,
        "ok",
        3,
        True,
    )
    assert printed["schema"]["ship"] == ["name", "length in m"] and printed["schema_text"].startswith(
        "ship(name text"
    )
    assert ask("DROP TABLE ship", "--json") == 1
    printed = json.loads(capsys.readouterr().out)
    assert (
        printed["status"] == "forbidden_statement"
        and printed["rows"] == []
        and "not run" in printed["problem"]
    )


def test_wide_and_long_results_fit_and_are_counted(capsys: Capture) -> None:
    columns = ", ".join(f"'{'wide ' * 9}' AS column_{n}" for n in range(30))
    assert ask(f"SELECT {columns} FROM ship a, ship b, ship c") == 0
    printed = capsys.readouterr().out
    assert "27 rows, 1 to 20 shown" in printed and "more columns" in printed and "--rows 27" in printed
    with sqlite3.connect("fleet.db") as connection:
        connection.executescript('DROP TABLE "group"; DELETE FROM ship')
    assert ask("SELECT name FROM ship") == 0
    assert "0 rows" in capsys.readouterr().out


def test_of_a_large_schema_the_part_that_fits_the_question_is_shown(capsys: Capture) -> None:
    with sqlite3.connect("fleet.db") as connection:
        for number in range(300):
            connection.execute(f"CREATE TABLE harbour_{number}(pier TEXT, depth REAL, opened DATE)")
    connection.close()
    assert ask("SELECT 1", "--json") == 0
    shown = json.loads(capsys.readouterr().out)["schema"]
    assert "ship" in shown and len(shown) < 100
    assert ask("SELECT 1", "--json", "--set", "prompt.schema.max_tokens=0") == 0
    assert len(json.loads(capsys.readouterr().out)["schema"]) == 302


def test_the_schema_is_printed_as_the_prompt_has_it(capsys: Capture) -> None:
    assert ask("SELECT 1", "--show-schema", "--set", "prompt.schema.format=ddl") == 0
    assert 'CREATE TABLE ship(name TEXT, "length in m" INT);' in capsys.readouterr().out


MISTAKES = [
    ("--model nano --db fleet.db", "no question: write it in quotes"),
    ("--model nano --db fleet.db ''", "the question is empty"),
    ("--model gold --db fleet.db q", "answers questions of a dataset only"),
    ("--model replay:x --db fleet.db q", "answers questions of a dataset only"),
    ("--model nan --db fleet.db q", "did you mean 'nano'?"),
    ("--model nano --db fleet.bd q", "did you mean 'fleet.db'?"),
    ("--model nano --db fleet.db --database x q", "no database 'x': known: fleet"),
    ("--model nano --task pocket q", "pocket has 12 databases"),
    ("--model nano --task pocket --database zo q", "did you mean 'zoo'?"),
    ("--model nano --db fleet.db --set scoring.secnds=1 q", "did you mean 'seconds'?"),
    ("--model nano --db fleet.db --task pocket q", "not allowed with"),
    ("--model nano q", "one of the arguments --db --task is required"),
]


@pytest.mark.parametrize(("line", "message"), MISTAKES)
def test_a_mistake_is_one_line(capsys: Capture, line: str, message: str) -> None:
    try:
        code = main(["ask", *(word.strip("'") for word in line.split())])
    except SystemExit as left:
        code = int(left.code or 0)
    printed = capsys.readouterr()
    assert code == 2 and message in printed.err and printed.err.count("\n") == 1 and not printed.out


def test_one_database_of_a_task(capsys: Capture) -> None:
    assert (
        ask("SELECT count(*) > 0 FROM sqlite_master", "--database", "zoo", database=("--task", "pocket")) == 0
    )
    assert "1 row" in capsys.readouterr().out


def test_a_task_without_golds_is_asked(capsys: Capture) -> None:
    assert main(["init", "--db", "fleet.db"]) == 0
    assert ask("SELECT count(*) FROM ship", database=("--task", "fleet.yaml")) == 0


def test_an_endpoint_that_refuses_is_one_line(capsys: Capture) -> None:
    with scripted({}, room=5) as url:
        line = ["ask", "--model", "openai:m", "--base-url", url, "--db", "fleet.db", QUESTION]
        assert main(line) == 1
    printed = capsys.readouterr()
    assert "no answer: " in printed.err and printed.err.count("\n") == 1


def test_in_a_terminal_questions_are_asked_until_an_empty_line(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    master, slave = os.openpty()
    asked: list[list[dict[str, str]]] = []
    with os.fdopen(slave) as terminal, model("SELECT name FROM ship", asked) as words:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(master, b"How many?\nWhich?\n\nnever\n")
        assert main([*words, "--db", "fleet.db"]) == 0
    os.close(master)
    assert [messages[-1]["content"].splitlines()[-1] for messages in asked] == ["How many?", "Which?"]
    assert capsys.readouterr().out.count("Gorch Fock") == 2


def test_private_data_is_neither_shown_nor_read(capsys: Capture) -> None:
    private = ["--set", "private=[ship.name]", "--show-schema"]
    assert ask("SELECT name FROM ship", *private) == 1
    printed = capsys.readouterr()
    assert "not run: it reads what the task marks as private" in printed.err and printed.err.count("\n") == 1
    assert "Gorch" not in printed.out + printed.err and "ship(name" not in printed.out
    assert ask('SELECT "length in m" FROM ship', *private) == 0


def test_a_sample_of_a_task_gives_its_schema(capsys: Capture) -> None:
    """A row with its own DDL is a database too."""
    row = {
        "question": "q",
        "sql": "SELECT a FROM t",
        "db_id": "one",
        "ddl": "CREATE TABLE t(a INT); INSERT INTO t VALUES (41)",
    }
    Path("rows.jsonl").write_text(json.dumps(row))
    Path("ddl.yaml").write_text(
        "name: ddl\ndataset: {path: rows.jsonl, splits: {dev: dev}, fields: {gold: sql, ddl: ddl}}\n"
    )
    assert ask("SELECT a + 1 FROM t", database=("--task", "ddl.yaml")) == 0
    assert "42" in capsys.readouterr().out
    task = Task.named("ddl.yaml")
    assert task.schema(Sample("x", "q", "one", (), ddl=row["ddl"])).tables[0].name == "t"
