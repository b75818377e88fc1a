"""PostgreSQL in the sandbox: what is refused, what ends a query, what a lost server does, and the roles."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from attacked import GOLDS, build, content, on_postgres
from server_checks import (
    LIMITS,
    check_quick_exploits,
    check_same_verdicts,
    check_stays_away,
    check_wrong_url,
)

from harness.cli import main
from leaderboards import store
from rewards.grader import Grader
from rewards.types import UNSCORED, Answer, Reason
from tasks.databases.engines.postgres_text import Refused, tokens
from tasks.databases.sandbox.executor import Executor
from tasks.databases.schema import describe
from tasks.databases.servers.embedded import EmbeddedServer
from tasks.databases.servers.roles import READER
from tasks.databases.state import database_digest
from tasks.databases.values import find_values
from tasks.prompts import render_schema
from tasks.spec import SchemaSpec, ScoringSpec
from tasks.task import Task
from tasks.types import Database, Limits, Server, Status

WORDS = [
    ("SELECT 1 -- pg_sleep", ["select", "1"]),
    ("SELECT 1 --\rx", ["select", "1", "x"]),
    ("SELECT /* /* */ ' */ a", ["select", "a"]),
    ("SELECT 'it''s' a", ["select", "", "a"]),
    ("SELECT E'\\' a' b", ["select", "", "b"]),
    ("SELECT e'\\\\' a", ["select", "", "a"]),
    ("SELECT '\\' a", ["select", "", "a"]),
    ("SELECT xe'\\' a", ["select", "xe", "", "a"]),
    ("SELECT B'1' x'f' N'a' a", ["select", "", "", "", "a"]),
    ("SELECT $$ ' $$ a", ["select", "", "a"]),
    ("SELECT $a$ $$ $a$ a", ["select", "", "a"]),
    ("SELECT a$a$ b", ["select", "a$a$", "b"]),
    ("SELECT $1 a", ["select", "$", "1", "a"]),
    ('SELECT "A""b" Ä', ["select", 'A"b', "Ä"]),
    ("SELECT 1--1\n+a", ["select", "1", "+", "a"]),
    ("SELECT a*/* b */c", ["select", "a", "*", "c"]),
]
"""A text and the tokens that the server's scanner reads; a string is ""."""


@pytest.mark.parametrize(("sql", "read"), WORDS)
def test_a_text_is_read_as_the_server_reads_it(sql: str, read: list[str]) -> None:
    assert [token.text for token in tokens(sql)] == read


@pytest.mark.parametrize(
    "sql", ["SELECT U&'a'", 'SELECT u&"a"(1)', "SELECT E'a' \n 'b'", "SELECT E'a' -- c\n'b'"]
)
def test_a_text_that_is_not_read_is_refused(sql: str) -> None:
    outcome = Refused(frozenset(), frozenset()).refusal(sql)
    assert outcome and outcome.status is Status.FORBIDDEN_STATEMENT


@pytest.fixture(scope="module", params=["postgres", pytest.param("debian_postgres", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> EmbeddedServer:
    found: EmbeddedServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return build("sqlite", tmp_path_factory.mktemp("postgres") / "club")


@pytest.fixture(scope="module")
def club(files: Database, server: EmbeddedServer) -> Database:
    return on_postgres(files, server)


STATUSES = [
    ("SELECT 1", Status.OK),
    ("((SELECT 1))", Status.OK),
    ("VALUES (1)", Status.OK),
    ("TABLE branch", Status.OK),
    ("SELECT 1;;", Status.OK),
    ("SELECT random(), pg_typeof(1)", Status.OK),
    ("SELECT 1 AS nextval", Status.OK),
    ("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'", Status.OK),
    ("", Status.NO_SQL),
    ("-- a", Status.NO_SQL),
    ("SELECT 1; SELECT 2", Status.MANY_STATEMENTS),
    ("SELEC 1", Status.SYNTAX_ERROR),
    ("SELECT FROM WHERE", Status.SYNTAX_ERROR),
    ("SELECT 'a\0'", Status.SYNTAX_ERROR),
    ("SELECT nothing", Status.EXECUTION_ERROR),
    ("SELECT 1 / 0", Status.EXECUTION_ERROR),
    ("SELECT $1", Status.EXECUTION_ERROR),
    ("SELECT * FROM generate_series(1, 1001)", Status.TOO_MANY_ROWS),
    ("SELECT repeat('x', 2000000)", Status.MEMORY),
    ("SELECT count(*) FROM generate_series(1, 100000000000)", Status.TIMEOUT),
    ("SELECT set_config('a.b', 'c', false)", Status.FORBIDDEN_STATEMENT),
    ("EXPLAIN SELECT 1", Status.FORBIDDEN_STATEMENT),
    ("WITH x AS (DELETE FROM member RETURNING *) SELECT * FROM x", Status.FORBIDDEN_STATEMENT),
    ("SELECT * INTO copy FROM member", Status.FORBIDDEN_STATEMENT),
]


def test_statuses(club: Database) -> None:
    executor = Executor(LIMITS)
    for sql, status in STATUSES:
        outcome = executor.run(club, 0, sql)
        assert outcome.status is status, (sql, outcome)
        assert executor.run(club, 0, "SELECT count(*) FROM branch").rows == ((6,),), sql


def test_the_same_verdicts_as_sqlite(files: Database, club: Database) -> None:
    check_same_verdicts(files, club)


def test_the_schema_and_values_of_a_question(club: Database) -> None:
    [branch] = [table for table in describe(club, rows=1).tables if table.name == "branch"]
    assert [(column.name, column.type, column.primary_key) for column in branch.columns] == [
        ("branch_id", "bigint", True),
        ("city", "text", False),
    ]
    assert branch.rows == ((1, "city1"),)
    assert branch.ddl.endswith("  city text,\n  PRIMARY KEY (branch_id)\n)")
    assert find_values(club, describe(club), "Who joined in city2?") == {"branch.city": ("city2",)}


def test_the_ddl_names_the_schema_and_rows_have_the_text_of_intervals(
    files: Database, server: EmbeddedServer
) -> None:
    import psycopg

    copy = on_postgres(replace(files, id="schemas"), server)
    name = str(copy.instances[0]).partition("://")[2]
    with psycopg.connect(server.login(name), autocommit=True) as connection:
        connection.execute(
            'CREATE SCHEMA "Other Schema"; CREATE TABLE users(id int, length interval(0));'
            "INSERT INTO users VALUES (1, '1 year 1 mon -2 days');"
            'SET search_path = "Other Schema"; CREATE TABLE users(id int PRIMARY KEY);'
            "CREATE TABLE orders(id int REFERENCES users); CREATE VIEW v AS SELECT id FROM users;"
            f'GRANT USAGE ON SCHEMA "Other Schema" TO {READER};'
            f'GRANT SELECT ON ALL TABLES IN SCHEMA public, "Other Schema" TO {READER}'
        )
        schema = describe(copy, rows=1)
    whole = render_schema(SchemaSpec(format="ddl"), schema)
    assert "CREATE TABLE users (\n" in whole and 'CREATE TABLE "Other Schema".users (\n' in whole
    assert 'CREATE VIEW "Other Schema".v AS' in whole and 'REFERENCES "Other Schema".users(id)' in whole
    assert all(block.count(";") == 1 and block.endswith(";") for block in whole.split("\n\n"))
    [users] = [table for table in schema.tables if table.name == "users" and not table.schema]
    assert users.rows == ((1, "1 year 1 mon -2 days"),)


def test_a_changed_row_changes_the_digest(files: Database, server: EmbeddedServer) -> None:
    import psycopg

    copy = on_postgres(files, server)
    before = database_digest(copy), database_digest(copy, 1)
    assert before == (database_digest(copy), database_digest(copy, 1))
    name = str(copy.instances[0]).partition("://")[2]
    with psycopg.connect(server.login(name), autocommit=True) as connection:
        connection.execute("UPDATE branch SET city = 'city9' WHERE branch_id = 6")
        assert database_digest(copy) != before[0] and database_digest(copy, 1) == before[1]
        connection.execute("UPDATE branch SET city = 'city2' WHERE branch_id = 6")
    assert database_digest(copy) == before[0]


def test_comments_are_described_and_part_of_the_content(files: Database, server: EmbeddedServer) -> None:
    import psycopg

    from tasks.databases.engines.postgres_content import describe_server

    copy = on_postgres(files, server)
    before = database_digest(copy)
    name = str(copy.instances[0]).partition("://")[2]
    with psycopg.connect(server.login(name), autocommit=True) as connection:
        connection.execute("COMMENT ON TABLE branch IS 'a  library'")
        connection.execute("COMMENT ON COLUMN branch.city IS 'where it is'")
        [branch] = [table for table in describe_server(copy, 0).tables if table.name == "branch"]
        assert (branch.comment, branch.columns[1].comment) == ("a library", "where it is")
        assert database_digest(copy) != before
        connection.execute("COMMENT ON TABLE branch IS NULL")
        connection.execute("COMMENT ON COLUMN branch.city IS NULL")
    assert database_digest(copy) == before


ROLES = [
    ("SUPERUSER", "is a superuser"),
    ("CREATEROLE", "may create roles"),
    ("CREATEDB", "may create databases"),
    ("IN ROLE pg_read_server_files", "is a member of pg_read_server_files"),
]


@pytest.mark.parametrize(("option", "why"), ROLES)
def test_a_role_that_may_do_more_than_read_is_refused(
    club: Database, server: EmbeddedServer, option: str, why: str
) -> None:
    import psycopg

    reader = club.instances[0]
    assert isinstance(reader, Server)
    with psycopg.connect(server.login("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE strong LOGIN {option}".encode())
        try:
            strong = Server(reader.url, reader.login.replace(READER, "strong"))
            database = Database("club", "postgres", (strong,))
            outcome = Executor(LIMITS).run(database, 0, "SELECT 1")
        finally:
            connection.execute("DROP ROLE strong")
    assert outcome.status is Status.INFRASTRUCTURE
    assert why in outcome.message and "harness db prepare" in outcome.message


@pytest.fixture
def doomed(server: EmbeddedServer) -> Iterator[int]:
    """The process id of the server, which a test kills; afterwards it runs again."""
    process = _server_process(server)
    assert process, "no server runs"  # to kill 0 would end these tests
    yield process
    end = time.monotonic() + 60
    while not _server_process(server):
        assert time.monotonic() < end, "the server does not come back"
        time.sleep(0.1)


def _server_process(server: EmbeddedServer) -> int:
    import psycopg

    try:
        with psycopg.connect(server.login("postgres")) as connection:
            [folder] = connection.execute("SHOW data_directory").fetchone() or ("",)
            return int((Path(folder) / "postmaster.pid").read_text().split()[0])
    except psycopg.OperationalError:
        return 0


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_server_that_is_killed_costs_no_verdict(club: Database, doomed: int, how: signal.Signals) -> None:
    slow = "SELECT count(*), {} FROM generate_series(1, 200000)"
    golds = [(slow.format(number), number) for number in range(60)]
    answers = [Answer(club, (gold,), slow.format(number + number % 2)) for gold, number in golds]
    killer = threading.Timer(0.8, os.kill, [doomed, how])
    killer.start()
    with Grader(ScoringSpec(), workers=2) as grader:
        grades = grader.grade_answers(answers)
    assert killer.finished.is_set()
    assert [grade.attempt.verdicts["strict"] for grade in grades] == [1.0 - number % 2 for _, number in golds]


def test_a_server_that_stays_away_leaves_answers_unscored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    away = Server("postgresql://reader@/club", f"postgresql://reader@/club?host={tmp_path}")
    database = Database("club", "postgres", (away,))
    check_stays_away(database, "postgresql://reader@/club", monkeypatch)


@pytest.mark.usefixtures("doomed")
def test_an_answer_whose_process_crashes_counts_as_wrong(club: Database, server: EmbeddedServer) -> None:
    """A process that dies takes down all others; those queries run again."""
    import psycopg

    crashing = "SELECT count(*) FROM generate_series(1, 100000000000) AS crash"
    done = threading.Event()

    def crash() -> None:
        while not done.wait(0.05):
            try:
                with psycopg.connect(server.login("postgres"), autocommit=True) as connection:
                    found = connection.execute(
                        "SELECT pid FROM pg_stat_get_activity(NULL) WHERE usesysid = %s::regrole", [READER]
                    ).fetchall()
            except psycopg.OperationalError:
                continue
            for (pid,) in found:
                os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=crash)
    thread.start()
    try:
        outcome = Executor(Limits(seconds=60)).run(club, 0, crashing)
    finally:
        done.set()
        thread.join()
    assert outcome.status is Status.EXECUTION_ERROR and "crashed twice" in outcome.message, outcome


SPECS = [
    ("url: postgresql://u:secret@h/{database}", "a password must come from the environment"),
    ("url: postgresql://u:${A}secret@h/{database}", "a password must come from the environment"),
    ("url: postgresql://h/x?password=secret", "a password must come from the environment"),
    ("url: oracle://h/x", "not the URL of a database"),
    ("{engine: duckdb, url: 'postgresql://h/x'}", "leave databases.engine out"),
    ("engine: postgres", "set databases.url too"),
    ("url: postgresql://h/x\n  path: a.sqlite", "leave out path and instances"),
    ("url: postgresql://u:${NOT_SET}@h/x", "the environment variable NOT_SET is not set"),
    ("url: postgresql://h/{table}", "no placeholder {table}"),
]


@pytest.mark.parametrize(("databases", "message"), SPECS)
def test_a_wrong_url_is_one_line(tmp_path: Path, databases: str, message: str) -> None:
    check_wrong_url(tmp_path, databases, message)


def test_a_password_reaches_the_server_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from tasks.databases.servers.address import server_at

    monkeypatch.setenv("WORD", "p@ss/word")
    server = server_at("postgresql://reader:${WORD}@host/{database}", "my pets")
    assert server.login == "postgresql://reader:p%40ss%2Fword@host/my%20pets"
    database = Database("pets", "postgres", (server,))
    assert "p@ss" not in repr(database) + str(server) + repr(database.key(0)) + repr(hash(database))
    assert "p%40" not in repr(database) + str(server) + repr(database.key(0))


TASK = """
name: pets
dataset: {path: rows.jsonl, splits: {dev: dev}}
databases: {url: "%s"}
prompt: {schema: {rows: 1, values: true}}
"""


def test_from_a_file_to_an_evaluation(
    tmp_path: Path,
    server: EmbeddedServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``db copy`` and ``db prepare``, then a task on the copy, with its own dialect."""
    import psycopg

    with sqlite3.connect(tmp_path / "Pets.sqlite") as source:
        source.executescript(
            "CREATE TABLE Owner(Id INTEGER PRIMARY KEY, Name TEXT NOT NULL, Note);"
            "CREATE TABLE Pet(Id INTEGER, OwnerId INT REFERENCES owner, Weight DECIMAL, Photo BLOB);"
            "CREATE TABLE Empty(a INTEGER, b DATE, c NUMERIC);"
            "CREATE VIEW Heavy AS SELECT Id FROM Pet WHERE Weight > 2;"
            "INSERT INTO Owner VALUES (1, 'Ann', 5), (2, 'Bob', 'x');"
            "INSERT INTO Pet VALUES (1, 1, 2.5, x'00ff'), (2, 7, 3, NULL), (2, 1, NULL, NULL)"
        )
    source.close()
    with psycopg.connect(server.login("postgres"), autocommit=True) as connection:
        connection.execute('CREATE DATABASE "Pets"')
    url = f"postgresql://${{ADMIN}}@/{{database}}?host={server.socket}"
    monkeypatch.setenv("ADMIN", "postgres")
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    assert main(["db", "copy", str(tmp_path / "Pets.sqlite"), url]) == 0
    assert "3 tables, 5 rows" in capsys.readouterr().out
    assert main(["db", "copy", str(tmp_path / "Pets.sqlite"), url]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["db", "prepare", url.replace("{database}", "Pets")]) == 0
    assert f"kept the role {READER}" in capsys.readouterr().out
    (tmp_path / "rows.jsonl").write_text(
        '{"question": "What does each pet of Ann weigh?", "db_id": "Pets", "query":'
        " \"SELECT weight::numeric(5,1) FROM pet JOIN owner ON owner.id = ownerid WHERE name ILIKE 'ANN'\"}\n"
        '{"question": "Which are heavy?", "db_id": "Pets", "query": "SELECT id FROM heavy"}\n'
    )
    (tmp_path / "pets.yaml").write_text(TASK % url.replace("${ADMIN}", READER))
    task = Task.named(str(tmp_path / "pets.yaml"))
    prompt = task.messages(task.samples()[0])[0]["content"]
    assert "owner(id bigint pk, name text, note text)" in prompt
    assert "pet(id bigint, ownerid bigint -> owner.id, weight double precision, photo bytea)" in prompt
    assert "empty(a bigint, b text, c double precision)" in prompt
    assert "owner.name: 'Ann'" in prompt
    assert main(["eval", "--model", "gold", "--task", str(tmp_path / "pets.yaml")]) == 0
    [run] = store.runs()
    assert (store.summary(run.id)["ex"], store.summary(run.id)["n"]) == (1.0, 2)


def test_prepare_makes_a_role_that_reads(
    server: EmbeddedServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import psycopg

    monkeypatch.setattr("tasks.databases.servers.prepare.READER", "other_reader")
    monkeypatch.setenv("HARNESS_READER_PASSWORD", "secret-word")
    with psycopg.connect(server.login("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE store")
    with psycopg.connect(server.login("store"), autocommit=True) as connection:
        connection.execute("CREATE SCHEMA sales; CREATE TABLE sales.t(a int); INSERT INTO sales.t VALUES (7)")
    assert main(["db", "prepare", server.login("store")]) == 0
    done = capsys.readouterr().out
    assert "made the role other_reader" in done and "schema sales" in done and "secret-word" not in done
    reader = Database(
        "store", "postgres", (Server("embedded://store", server.login("store", "other_reader")),)
    )
    executor = Executor(LIMITS)
    assert executor.run(reader, 0, "SELECT a FROM sales.t").rows == ((7,),)
    assert (
        executor.run(reader, 0, "WITH x AS (DELETE FROM sales.t) SELECT 1").status
        is Status.FORBIDDEN_STATEMENT
    )
    with psycopg.connect(server.login("store"), autocommit=True) as connection:
        connection.execute("ALTER TABLE sales.t OWNER TO other_reader")
        assert main(["db", "prepare", server.login("store")]) == 2
        assert "owns 1 objects" in capsys.readouterr().err
        connection.execute("DROP TABLE sales.t; DROP OWNED BY other_reader; DROP ROLE other_reader")


def test_the_quick_exploits_get_no_reward_and_change_nothing(club: Database) -> None:
    check_quick_exploits("postgres", club)


def test_no_answer_can_unscore_itself(club: Database) -> None:
    hostile = [
        "SELECT pg_terminate_backend(pg_backend_pid())",
        "SELECT 'server closed the connection unexpectedly'::int",
        "SELECT repeat('x', 1000000000)",
        "SELECT array_agg(repeat('x', 1000000)) FROM generate_series(1, 100000)",
        "SELECT count(*) FROM generate_series(1, 100000000000)",
    ]
    before = content(club)
    with Grader(ScoringSpec(seconds=1), workers=1) as grader:
        for grade in grader.grade_answers([Answer(club, (GOLDS["rows"],), sql) for sql in hostile]):
            assert grade.attempt.reason not in UNSCORED | {Reason.CORRECT}, grade.attempt
    assert content(club) == before
