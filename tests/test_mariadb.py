"""MariaDB in the sandbox: what is refused, what ends a query, what a lost server does, and the accounts."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from attacked import GOLDS, build, content, on_mariadb
from mariadb_server import PASSWORD, MariaServer
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
from tasks.common.errors import DataError
from tasks.databases.engines.mariadb_text import Refused, folded, tokens
from tasks.databases.sandbox import executor as sandbox
from tasks.databases.sandbox.executor import Executor
from tasks.databases.schema import describe
from tasks.databases.servers.roles import READER
from tasks.databases.state import content_of, database_digest
from tasks.databases.values import find_values
from tasks.prompts import render_schema
from tasks.spec import SchemaSpec, ScoringSpec
from tasks.task import Task
from tasks.types import Database, Limits, Server, Status

WORDS = [
    ("SELECT 1 -- sleep", ["select", "1"]),
    ("SELECT 1 --", ["select", "1"]),
    ("SELECT 1--1", ["select", "1", "-", "-", "1"]),
    ("SELECT 1 --\x01 a\n, b", ["select", "1", ",", "b"]),
    ("SELECT 1 # a ' \n b", ["select", "1", "b"]),
    ("SELECT /* /* */ a */", ["select", "a", "*", "/"]),
    ("SELECT /* a", ["select"]),
    ("SELECT 'it''s' \"it\"\"s\" a", ["select", "", "", "a"]),
    (r"SELECT '\' a' b", ["select", "", "b"]),
    (r'SELECT "\" a" b', ["select", "", "b"]),
    (r"SELECT '\\' a", ["select", "", "a"]),
    ("SELECT x'f' n'a' _utf8'b' a", ["select", "x", "", "n", "", "_utf8", "", "a"]),
    ("SELECT `A``b` Ä a$b", ["select", "A`b", "Ä", "a$b"]),
    ("SELECT 1.5into", ["select", "1", ".", "5into"]),
    ("SELECT /*! a */", ["select", "/*!", "a", "*", "/"]),
]
"""A text and the tokens that the server's lexer reads; a string is ""."""
OWN = Refused(frozenset({"as", "count", "in", "max", "over", "select", "sleep", "values"}))
REFUSALS = [
    ("SELECT 1.into @a", Status.FORBIDDEN_STATEMENT),
    ("SELECT 1 .into", Status.FORBIDDEN_STATEMENT),
    ("SELECT a.5into", Status.FORBIDDEN_STATEMENT),
    ("SELECT .5into @a", Status.FORBIDDEN_STATEMENT),
    ("SELECT 1e5into @a", Status.FORBIDDEN_STATEMENT),
    ("SELECT t.into, `update` FROM t", None),
    ("SELECT mysql FROM mysql", None),
    ("SELECT 1 FROM Mysql . user", Status.FORBIDDEN_STATEMENT),
    ("SELECT INSERT('a', 1, 1, 'b')", Status.EXECUTION_ERROR),
    ("SELECT added(1)", Status.EXECUTION_ERROR),
    ("SELECT `added`(1)", Status.EXECUTION_ERROR),
    ("SELECT x.added(1)", Status.EXECUTION_ERROR),
    ("SELECT st_x(a), POINT(1, 2)", None),
    ("WITH c(x) AS (SELECT 1), d (y, `z`) AS (SELECT 1, 2) SELECT max(x) FROM c", None),
]


@pytest.mark.parametrize(("sql", "read"), WORDS)
def test_a_text_is_read_as_the_server_reads_it(sql: str, read: list[str]) -> None:
    assert [token.text for token in tokens(sql)] == read


@pytest.mark.parametrize(("sql", "status"), REFUSALS)
def test_what_is_refused_before_it_is_sent(sql: str, status: Status | None) -> None:
    outcome = OWN.refusal(sql)
    assert (outcome and outcome.status) is status, outcome


PIECES = (
    *(
        "'",
        '"',
        "`",
        "\\",
        "/*",
        "*/",
        "--",
        "-- ",
        "--\t",
        "#",
        "\n",
        "/*!",
        "/*M!",
        " ",
        ";",
        "1",
        ".",
        "e",
        "x",
        "b",
    ),
    *(
        "_utf8",
        "''",
        '""',
        "``",
        "+",
        ",",
        "(",
        ")",
        "select ",
        "union select ",
        "\r",
        "\x01",
        "\x0c",
        "0x",
        "é",
        "-",
    ),
    *("/", "!", "*", "--\x01", "1e5", "{fn ", "}", " as ", "a"),
)


def test_no_text_hides_a_call(mariadb: MariaServer) -> None:
    """A text that is let through does not call LAST_INSERT_ID, whatever quotes and comments are around it."""
    from pymysql import Error

    from tasks.databases.engines.mariadb_open import SQL_MODE, connect

    random, reader, ran = Random(0), Refused(), 0
    with closing(connect(mariadb.server(""))) as connection:
        connection.execute(f"SET sql_mode = '{SQL_MODE}'")
        for _ in range(10_000):
            parts = random.choices(PIECES, k=random.randint(1, 12))
            parts.insert(random.randint(0, len(parts)), "last_insert_id(7)")
            sql = f"SELECT {random.choice(('', '1,', '1+', '1 '))}{''.join(parts)}"
            if reader.refusal(sql):
                continue
            with suppress(Error):
                connection.execute(sql)
                ran += 1
            assert connection.execute("SELECT LAST_INSERT_ID()").fetchall() == [(0,)], sql
    assert ran > 50


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Database:
    return build("sqlite", tmp_path_factory.mktemp("mariadb") / "club")


@pytest.fixture(scope="module")
def club(files: Database, mariadb: MariaServer) -> Database:
    return on_mariadb(files, mariadb)


NUMBERS = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {}) "
STATUSES = [
    ("SELECT 1", Status.OK),
    ("((SELECT 1))", Status.OK),
    ("VALUES (1)", Status.OK),
    ("SELECT 1;;", Status.OK),
    ("SELECT RAND(), UUID(), VERSION()", Status.OK),
    ("SELECT 1 AS sleep", Status.OK),
    (NUMBERS.format(1000) + "SELECT x FROM c", Status.OK),
    ("", Status.NO_SQL),
    ("-- a", Status.NO_SQL),
    ("SELECT 1; SELECT 2", Status.MANY_STATEMENTS),
    ("SELEC 1", Status.SYNTAX_ERROR),
    ("SELECT FROM WHERE", Status.SYNTAX_ERROR),
    ("SELECT 'a\0'", Status.SYNTAX_ERROR),
    ("SELECT nothing", Status.EXECUTION_ERROR),
    ("SELECT strftime('%Y', 1)", Status.EXECUTION_ERROR),
    ("SELECT 1e308 * 10", Status.EXECUTION_ERROR),
    (NUMBERS.format(1001) + "SELECT x FROM c", Status.TOO_MANY_ROWS),
    ("SELECT REPEAT('x', 2000000)", Status.MEMORY),
    ("SELECT REPEAT('x', 200000000)", Status.MEMORY),
    ("SELECT REPEAT('x', 3000000)", Status.MEMORY),
    ("SELECT JSON_ARRAYAGG(a.name) FROM member a, member b, member c, member d", Status.TIMEOUT),
    (NUMBERS.format(10**9) + "SELECT COUNT(*) FROM c", Status.TIMEOUT),
    ("SELECT @a", Status.FORBIDDEN_STATEMENT),
    ("EXPLAIN SELECT 1", Status.FORBIDDEN_STATEMENT),
    ("SELECT * INTO OUTFILE '/tmp/harness-written' FROM member", Status.FORBIDDEN_STATEMENT),
]


def test_statuses(club: Database) -> None:
    executor = Executor(LIMITS)
    for sql, status in STATUSES:
        outcome = executor.run(club, 0, sql)
        assert outcome.status is status, (sql, outcome)
        assert executor.run(club, 0, "SELECT COUNT(*) FROM branch").rows == ((6,),), sql


def test_a_query_leaves_nothing_behind(club: Database) -> None:
    """Also where a word would get past the reader of texts: the connection is reset after each query."""
    from tasks.databases.engines.mariadb_open import connect_reader

    server = club.instances[0]
    assert isinstance(server, Server)
    with closing(connect_reader(server, 5).connection) as connection:
        connection.execute("SET @a = 5, sql_mode = 'ANSI_QUOTES'")
        connection.execute("SELECT GET_LOCK('a', 0), LAST_INSERT_ID(7)")
        connection.reset()
        left = "SELECT @a, @@sql_mode LIKE '%ANSI%', IS_USED_LOCK('a'), LAST_INSERT_ID(), DATABASE() IS NULL"
        assert connection.execute(left).fetchall() == [(None, 0, None, 0, 0)]
        for statement in ("DELETE FROM member", "CREATE TABLE a(a int)", "CREATE TEMPORARY TABLE a(a int)"):
            with pytest.raises(Exception, match="denied"):
                connection.execute(statement)


def test_the_server_s_small_letters_are_ours(mariadb: MariaServer) -> None:
    """Table names are equal to it where their small letters are: no letter may fall outside of ours."""
    letters = [chr(code) for code in range(0x80, 0x10000) if not 0xD800 <= code < 0xE000]
    for part in (letters[start : start + 4000] for start in range(0, len(letters), 4000)):
        lower = "CONVERT(LOWER(CONVERT(x'{}' USING utf8mb3)) USING utf8mb4)"
        columns = ", ".join(lower.format(letter.encode().hex()) for letter in part)
        [small] = mariadb.execute(f"SELECT {columns}")
        assert [folded(letter) for letter in small] == [folded(letter) for letter in part]


def test_a_server_that_is_silent_or_slow_does_not_hold_a_connection(mariadb: MariaServer) -> None:
    from tasks.databases.engines.mariadb_connection import PastDeadline
    from tasks.databases.engines.mariadb_open import connect

    for sql in ("SELECT SLEEP(20)", "SELECT SLEEP(2) FROM information_schema.ENGINES"):
        with closing(connect(mariadb.server(""))) as connection:
            began = time.monotonic()
            connection.until(began + 0.5)
            with pytest.raises(PastDeadline):
                connection.execute(sql)
            assert time.monotonic() - began < 10


def test_the_same_verdicts_as_sqlite(files: Database, club: Database) -> None:
    check_same_verdicts(files, club)


def test_rows_that_tie_under_a_collation_may_come_in_any_order(mariadb: MariaServer) -> None:
    mariadb.execute(
        "CREATE OR REPLACE DATABASE cases CHARACTER SET utf8mb4",
        "CREATE TABLE cases.t(a VARCHAR(9), b INT)",
        "INSERT INTO cases.t VALUES ('x', 1), ('X', 2), ('y', 3)",
        f"GRANT SELECT ON cases.* TO {READER}",
    )
    database = Database("cases", "mariadb", (mariadb.server("cases", READER),))
    golds = ["SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a LIMIT 1"]
    pairs = [("b", "b DESC"), ("b", "a DESC")]
    answers = [
        Answer(database, (gold,), gold.replace("BY a", f"BY {'a, ' * (key != 'a DESC')}{key}"))
        for gold in golds
        for keys in pairs
        for key in keys
    ]
    with Grader(ScoringSpec(), workers=1) as grader:
        reasons = [grade.attempt.reason for grade in grader.grade_answers(answers)]
    assert reasons[:3] == ["correct"] * 3 and reasons[3] == "wrong_order"
    assert reasons[4:7] == ["correct"] * 3 and reasons[7] == "wrong_rows"


def test_the_schema_and_values_of_a_question(mariadb: MariaServer, club: Database) -> None:
    [branch] = [table for table in describe(club, rows=1).tables if table.name == "branch"]
    assert [(column.name, column.type, column.primary_key) for column in branch.columns] == [
        ("branch_id", "bigint(20)", True),
        ("city", "varchar(16)", False),
    ]
    assert branch.rows == ((1, "city1"),)
    assert branch.ddl.endswith("  city varchar(16),\n  PRIMARY KEY (branch_id)\n)")
    assert find_values(club, describe(club), "Who joined in city2?") == {"branch.city": ("city2",)}
    mariadb.execute(
        "CREATE OR REPLACE DATABASE odd",
        "CREATE TABLE odd.`order`(a INT PRIMARY KEY, `b c` JSON COMMENT 'it''s', k INT UNIQUE) COMMENT 'all'",
        "CREATE TABLE odd.u(x INT NOT NULL, a INT, FOREIGN KEY (a) REFERENCES odd.`order`(a))",
        "CREATE VIEW odd.v AS SELECT a FROM odd.u",
        f"GRANT SELECT, SHOW VIEW ON odd.* TO {READER}",
    )
    schema = describe(Database("odd", "mariadb", (mariadb.server("odd", READER),)))
    order, u, view = schema.tables
    assert order.ddl == (
        "CREATE TABLE `order` (\n  a int(11) NOT NULL,\n  `b c` json COMMENT 'it''s',\n  k int(11),\n"
        "  PRIMARY KEY (a),\n  UNIQUE (k)\n) COMMENT 'all'"
    )
    assert u.ddl.endswith("  FOREIGN KEY (a) REFERENCES `order`(a)\n)") and u.columns[0].not_null
    assert (order.comment, order.columns[1].comment) == ("all", "it's")
    assert [(key.column, key.other_table, key.other_column) for key in u.foreign_keys] == [
        ("a", "order", "a")
    ]
    assert (view.kind, view.ddl) == ("view", "CREATE VIEW v AS select `u`.`a` AS `a` from `u`")
    whole = render_schema(SchemaSpec(format="ddl"), schema)
    assert whole.split("\n\n") == [f"{table.ddl};" for table in schema.tables]


def test_a_changed_row_changes_the_digest(files: Database, mariadb: MariaServer) -> None:
    copy = on_mariadb(replace(files, id="digest"), mariadb)
    before = database_digest(copy), database_digest(copy, 1)
    assert before == (database_digest(copy), database_digest(copy, 1))
    name = str(copy.instances[0]).rpartition("/digest_0")[2].partition("?")[0]
    table = f"digest_0{name}.branch"
    mariadb.execute(f"UPDATE {table} SET city = 'city9' WHERE branch_id = 6")
    assert database_digest(copy) != before[0] and database_digest(copy, 1) == before[1]
    mariadb.execute(f"UPDATE {table} SET city = 'city2' WHERE branch_id = 6")
    assert database_digest(copy) == before[0]


def test_a_missing_database_is_missing(mariadb: MariaServer, club: Database) -> None:
    exists = content_of("mariadb").exists
    assert exists(club)
    assert not exists(Database("no", "mariadb", (mariadb.server("no", READER),)))
    assert not exists(Database("no", "mariadb", (mariadb.server("no"),)))


RIGHTS = [
    ("ALL ON *.*", "ALL PRIVILEGES on *.*"),
    ("SELECT ON *.*", "may SELECT on *.*"),
    ("SELECT ON mysql.*", "may SELECT on mysql.*"),
    ("FILE ON *.*", "may FILE on *.*"),
    ("INSERT ON {}.*", "may INSERT on "),
    ("SELECT, UPDATE (city) ON {}.branch", "may UPDATE on "),
    ("SELECT ON {}.* WITH GRANT OPTION", "may grant rights on "),
    ("readers", "has the role readers"),
]


@pytest.mark.parametrize(("right", "why"), RIGHTS)
def test_an_account_that_may_do_more_than_read_is_refused(
    club: Database, mariadb: MariaServer, right: str, why: str
) -> None:
    name = club.instances[0].login.rpartition("/club")[2].partition("?")[0]  # type: ignore[union-attr]
    what, option, _ = right.replace("{}", f"club{name}").partition(" WITH")
    mariadb.execute(
        "CREATE ROLE IF NOT EXISTS readers",
        "CREATE USER strong",
        f"GRANT SELECT ON club{name}.* TO strong",
        f"GRANT {what} TO strong{option}{right.partition(' WITH')[2]}",
    )
    try:
        database = Database("club", "mariadb", (mariadb.server(f"club{name}", "strong"),))
        outcome = Executor(LIMITS).run(database, 0, "SELECT 1")
    finally:
        mariadb.execute("DROP USER strong")
    assert outcome.status is Status.INFRASTRUCTURE
    assert why in outcome.message and "harness db prepare" in outcome.message


def test_a_right_of_all_users_is_named() -> None:
    from tasks.databases.engines.mariadb_open import powers_of

    statements = ["GRANT USAGE ON *.* TO `r`@`%`", "GRANT SELECT, INSERT ON `test\\_%`.* TO PUBLIC"]
    assert powers_of(statements) == "like all users (PUBLIC) may INSERT on test_%.*"


@pytest.fixture
def doomed(mariadb: MariaServer) -> Iterator[MariaServer]:
    """The server, which a test kills; afterwards it runs again."""
    yield mariadb
    if not mariadb.runs:
        mariadb.start()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_that_is_killed_costs_no_verdict(
    club: Database, doomed: MariaServer, how: signal.Signals
) -> None:
    slow = "SELECT COUNT(*), {} FROM member a, member b, branch c, branch d WHERE a.name <> b.name"
    golds = [(slow.format(number), number) for number in range(60)]
    answers = [Answer(club, (gold,), slow.format(number + number % 2)) for gold, number in golds]

    def restart() -> None:
        doomed.stop(how)
        doomed.start()

    killer = threading.Timer(0.3, restart)
    killer.start()
    with Grader(ScoringSpec(), workers=2) as grader:
        grades = grader.grade_answers(answers)
    assert killer.finished.is_set()
    killer.join()
    assert [grade.attempt.verdicts["strict"] for grade in grades] == [1.0 - number % 2 for _, number in golds]


def test_a_function_that_the_server_cannot_stop_is_given_up(club: Database) -> None:
    executor = Executor(Limits(seconds=0.3))
    assert executor.run(club, 0, "SELECT 1").ok
    began = time.monotonic()
    outcome = executor.run(club, 0, "SELECT LENGTH(REPLACE(REPEAT('x', 1000000), 'x', REPEAT('y', 1000)))")
    assert outcome.status is Status.TIMEOUT and time.monotonic() - began < 5, outcome
    assert executor.run(club, 0, "SELECT COUNT(*) FROM branch").rows == ((6,),)


def test_a_server_without_room_gets_its_connections_back(club: Database, mariadb: MariaServer) -> None:
    account = f"{READER}@'%'"
    mariadb.execute(f"ALTER USER {account} WITH MAX_USER_CONNECTIONS 1")
    executor = Executor(LIMITS)
    try:
        for number in (0, 1, 0):
            assert executor.run(club, number, "SELECT COUNT(*) FROM branch").rows == ((6,),)
    finally:
        executor.close()
        mariadb.execute(f"ALTER USER {account} WITH MAX_USER_CONNECTIONS 0")


def test_a_server_that_stays_away_leaves_answers_unscored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    away = Server("mariadb://reader@h/club", f"mariadb://reader@h/club?unix_socket={tmp_path}/none")
    database = Database("club", "mariadb", (away,))
    check_stays_away(database, "mariadb://reader@h/club", monkeypatch)


def test_a_server_that_does_not_answer_is_not_the_querys_fault(
    club: Database, mariadb: MariaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "PATIENCE", 0.5)
    executor = Executor(LIMITS)
    assert executor.run(club, 0, "SELECT 1").ok
    mariadb.signal(signal.SIGSTOP)
    try:
        outcome = executor.run(club, 0, "SELECT COUNT(*) FROM member")
    finally:
        mariadb.signal(signal.SIGCONT)
    assert outcome.status is Status.INFRASTRUCTURE, outcome
    assert executor.run(club, 0, "SELECT COUNT(*) FROM branch").rows == ((6,),)


def test_an_answer_that_crashes_the_server_each_time_counts_as_wrong(
    club: Database, doomed: MariaServer
) -> None:
    """The server is killed whenever this query runs, also when it runs alone."""
    crashing = NUMBERS.format(10**9) + "SELECT COUNT(*) AS crash FROM c"
    processes = "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE '%AS crash%'"
    done = threading.Event()

    def crash() -> None:
        while not done.is_set():
            found = doomed.execute(processes)
            if found[0][0] > 1:  # this query finds itself
                doomed.stop(signal.SIGKILL)
                doomed.start()
            time.sleep(0.05)

    thread = threading.Thread(target=crash)
    thread.start()
    try:
        outcome = Executor(Limits(seconds=60)).run(club, 0, crashing)
    finally:
        done.set()
        thread.join()
    assert outcome.status is Status.EXECUTION_ERROR and "crashed" in outcome.message, outcome
    assert Executor(LIMITS).run(club, 0, "SELECT 1").ok


SPECS = [
    ("url: mariadb://u:secret@h/{database}", "a password must come from the environment"),
    ("url: mysql://u:${A}secret@h/{database}", "a password must come from the environment"),
    ("{engine: postgres, url: 'mariadb://h/x'}", "leave databases.engine out"),
    ("engine: mariadb", "set databases.url too"),
    ("url: mysql://u:${NOT_SET}@h/x", "the environment variable NOT_SET is not set"),
]


@pytest.mark.parametrize(("databases", "message"), SPECS)
def test_a_wrong_url_is_one_line(tmp_path: Path, databases: str, message: str) -> None:
    check_wrong_url(tmp_path, databases, message)


PLACES = [
    ("mariadb://h:port/x", "not a URL of MariaDB"),
    ("mariadb://h/x?charset=latin1", "unknown option 'charset'"),
    ("mariadb://h/mysql", "the server's own"),
    ("mariadb://nobody:wrong@h/x?unix_socket={}", "Access denied"),
]


@pytest.mark.parametrize(("login", "message"), PLACES)
def test_a_server_that_cannot_be_used_is_one_line(mariadb: MariaServer, login: str, message: str) -> None:
    server = Server("mariadb://${USER}:${WORD}@h/x", login.format(mariadb.socket))
    with pytest.raises(DataError, match=message) as caught:
        describe(Database("x", "mariadb", (server,)))
    assert "nobody" not in str(caught.value) and "wrong" not in str(caught.value)


TASK = """
name: pets
dataset: {path: rows.jsonl, splits: {dev: dev}}
databases: {url: "%s"}
prompt: {schema: {rows: 1, values: true}}
"""


def test_from_a_file_to_an_evaluation(
    tmp_path: Path,
    mariadb: MariaServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``db copy`` and ``db prepare``, then a task on the copy, with its own dialect."""
    with sqlite3.connect(tmp_path / "Pets.sqlite") as source:
        source.executescript(
            "CREATE TABLE Pet(Id INTEGER, OwnerId INT REFERENCES owner, Weight DECIMAL, Photo BLOB);"
            "CREATE TABLE Owner(Id INTEGER PRIMARY KEY, Name TEXT NOT NULL, Note);"
            'CREATE TABLE Tag(Word TEXT PRIMARY KEY, Far REAL, "Order" TEXT REFERENCES Tag(Word));'
            "CREATE TABLE Empty(a INTEGER, b DATE, c NUMERIC);"
            "CREATE VIEW Heavy AS SELECT Id FROM Pet WHERE Weight > 2;"
            "CREATE VIEW Julian AS SELECT julianday(Name) FROM Owner;"
            "INSERT INTO Owner VALUES (1, 'Ann', 5), (2, 'B''o\\b', 'x');"
            "INSERT INTO Pet VALUES (1, 1, 2.5, x'00ff'), (2, 7, 3, NULL), (2, 1, NULL, NULL);"
            "INSERT INTO Tag VALUES (NULL, 9e999, NULL), ('a', 1e-7, 'a')"
        )
    source.close()
    mariadb.execute("DROP DATABASE IF EXISTS Pets")
    url = f"mysql://${{ADMIN}}@localhost/{{database}}?unix_socket={mariadb.socket}"
    monkeypatch.setenv("ADMIN", "root")
    monkeypatch.setenv("HARNESS_READER_PASSWORD", PASSWORD)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    assert main(["db", "copy", str(tmp_path / "Pets.sqlite"), url]) == 0
    done = capsys.readouterr().out
    assert "4 tables, 7 rows" in done and "1 numbers that are infinite" in done and "view Julian" in done
    assert "table Tag: primary key" in done and "Pet: " not in done
    assert main(["db", "copy", str(tmp_path / "Pets.sqlite"), url]) == 2
    assert "not empty" in capsys.readouterr().err
    assert main(["db", "prepare", url.replace("{database}", "Pets")]) == 0
    assert f"the account '{READER}'@'%'" in capsys.readouterr().out
    (tmp_path / "rows.jsonl").write_text(
        '{"question": "What does each pet of Ann weigh?", "db_id": "Pets", "query":'
        ' "SELECT CAST(weight AS DECIMAL(5, 1)) FROM `Pet` JOIN owner ON owner.id = ownerid'
        " WHERE name LIKE 'Ann'\"}\n"
        '{"question": "Which are heavy?", "db_id": "Pets", "query": "SELECT id FROM heavy"}\n'
    )
    (tmp_path / "pets.yaml").write_text(
        TASK % url.replace("${ADMIN}", f"{READER}:${{HARNESS_READER_PASSWORD}}")
    )
    task = Task.named(str(tmp_path / "pets.yaml"))
    prompt = task.messages(task.samples()[0])[0]["content"]
    assert "owner(id bigint(20) pk, name varchar(16), note varchar(16))" in prompt
    assert "pet(id bigint(20), ownerid bigint(20) -> owner.id, weight double, photo longblob)" in prompt
    assert "owner.name: 'Ann'" in prompt
    assert main(["eval", "--model", "gold", "--task", str(tmp_path / "pets.yaml")]) == 0
    [run] = store.runs()
    assert (store.summary(run.id)["ex"], store.summary(run.id)["n"]) == (1.0, 2)
    assert PASSWORD not in "".join(
        path.read_text(errors="replace") for path in (tmp_path / "home").rglob("*") if path.is_file()
    )


def test_a_duckdb_file_is_copied_with_its_types(tmp_path: Path, mariadb: MariaServer, club: Database) -> None:
    """``club``: the account exists, so it may read this copy too."""
    import duckdb

    from tasks.databases.copying.mariadb import load as copy_to

    types = (
        "CREATE TABLE t(a BOOLEAN, b DECIMAL(9, 3), c DATE, d TIME, e TIMESTAMP, f TIMESTAMPTZ, g INTERVAL,"
        " h UUID, i INTEGER[], j HUGEINT, k DOUBLE, l VARCHAR, m BLOB)"
    )
    row = (
        "INSERT INTO t VALUES (true, 1.5, '2020-01-02', '01:02:03.5', '2020-01-02 03:04:05.25',"
        " '2020-01-02 03:04:05+02', INTERVAL 1 DAY, '7b0c5f14-0000-4000-8000-000000000000', [1, 2],"
        " 170141183460469231731687303715884105727, 'nan', 'it''s', '\\x00')"
    )
    with duckdb.connect(str(tmp_path / "types.duckdb")) as connection:
        connection.execute("SET TimeZone = 'UTC'").execute(types).execute(row)
    mariadb.execute("DROP DATABASE IF EXISTS types")
    copied = copy_to(Database("types", "duckdb", (tmp_path / "types.duckdb",)), mariadb.server("types"))
    assert (copied.rows, len(copied.left_out)) == (1, 1)
    copy = Database("types", "mariadb", (mariadb.server("types", READER),))
    [cells] = Executor(LIMITS).run(copy, 0, "SELECT * FROM t").rows
    assert cells[:6] == (
        1,
        ("decimal", "1.5"),
        "2020-01-02",
        "01:02:03.5",
        "2020-01-02 03:04:05.25",
        "2020-01-02 01:04:05",
    )
    uuid = "7b0c5f14-0000-4000-8000-000000000000"
    assert cells[6:] == ("1 day, 0:00:00", uuid, "[1, 2]", 2**127 - 1, None, "it's", b"\0")


def test_prepare_makes_an_account_that_reads(
    mariadb: MariaServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tasks.databases.servers.prepare_mariadb.READER", "other_reader")
    mariadb.execute(
        "CREATE OR REPLACE DATABASE a_b",
        "CREATE TABLE a_b.t(a INT)",
        "INSERT INTO a_b.t VALUES (7)",
        "CREATE OR REPLACE DATABASE aXb",
        "CREATE TABLE aXb.t(a INT)",
    )
    url = mariadb.server("a_b").login
    monkeypatch.delenv("HARNESS_READER_PASSWORD", raising=False)
    assert main(["db", "prepare", url]) == 2
    assert "set HARNESS_READER_PASSWORD" in capsys.readouterr().err
    monkeypatch.setenv("HARNESS_READER_PASSWORD", "secret'word")
    assert main(["db", "prepare", url]) == 0
    done = capsys.readouterr().out
    assert "made the account 'other_reader'@'%'" in done and "secret" not in done
    login = mariadb.server("a_b").login.replace("root@", "other_reader:secret%27word@")
    reader = Database("a_b", "mariadb", (Server("mariadb://h/a_b", login),))
    executor = Executor(LIMITS)
    assert executor.run(reader, 0, "SELECT a FROM t").rows == ((7,),)
    assert executor.run(reader, 0, "SELECT a FROM aXb.t").status is Status.FORBIDDEN_STATEMENT
    mariadb.execute("GRANT INSERT ON a_b.* TO other_reader")
    assert main(["db", "prepare", url]) == 2
    assert "may INSERT on a_b.*" in capsys.readouterr().err
    mariadb.execute("DROP USER other_reader")


def test_the_quick_exploits_get_no_reward_and_change_nothing(club: Database) -> None:
    check_quick_exploits("mariadb", club)


def test_no_answer_can_unscore_itself_or_keep_the_server_busy(club: Database, mariadb: MariaServer) -> None:
    hostile = [
        "SELECT EXTRACTVALUE(1, CONCAT(0x7e, 'MySQL server has gone away'))",
        "SELECT REPEAT('x', 1000000000)",
        "SELECT JSON_ARRAYAGG(REPEAT('x', 1000000)) FROM member a, member b",
        "SELECT SUM(LENGTH(SHA2(REPEAT(a.name, 1000000), 512))) FROM member a, member b, member c",
        NUMBERS.format(10**9) + "SELECT COUNT(*) FROM c",
    ]
    before = content(club)
    with Grader(ScoringSpec(seconds=1), workers=1) as grader:
        for grade in grader.grade_answers([Answer(club, (GOLDS["rows"],), sql) for sql in hostile]):
            assert grade.attempt.reason not in UNSCORED | {Reason.CORRECT}, grade.attempt
    assert content(club) == before
    running = f"SELECT INFO FROM information_schema.PROCESSLIST WHERE USER = '{READER}' AND INFO IS NOT NULL"
    end = time.monotonic() + 30
    while left := [row for row in mariadb.execute(running) if row[0] in hostile]:
        assert time.monotonic() < end, left
        time.sleep(0.1)
