"""The scorer ``security``: which tables an answer reads, by its text and its engine, and what it earns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import get_args

import psycopg
import pytest
from clinic import ROWS, TABLES, build, build_on
from mariadb_server import PASSWORD, MariaServer

from rewards.composite import SCORERS, Security, Weighted
from rewards.grader import Grader
from rewards.security.rules import COMPILED
from rewards.types import Answer, Attempt, Flag, Reason
from tasks.common.errors import SpecError
from tasks.databases.servers.embedded import EmbeddedServer
from tasks.databases.servers.roles import READER
from tasks.spec import ScoringSpec, TaskSpec
from tasks.types import Database, Engine, Mode, Server

GOLD = "SELECT name FROM person ORDER BY id"
DENIED = ("salary", "*.branch")
READS: list[tuple[str, str]] = [
    # the query, and whether it reads a denied table on SQLite, DuckDB, PostgreSQL, MariaDB (-: not asked)
    ("SELECT name FROM person", "nnnn"),
    ("SELECT name FROM named", "nnnn"),
    ("SELECT amount FROM salary", "yyyy"),
    ("SELECT count(*) FROM salary", "yyyy"),
    ("SELECT 1 FROM SaLaRy", "yyyy"),
    ('SELECT 1 FROM "salary"', "yyy-"),
    ("SELECT 1 FROM [salary]", "y---"),
    ("SELECT 1 FROM main.salary", "yy--"),
    ("SELECT 1 FROM public.salary", "--y-"),
    ("SELECT * FROM amounts", "yyyy"),
    ("SELECT x.id FROM (SELECT * FROM salary) AS x", "yyyy"),
    ("SELECT name FROM person WHERE id IN (SELECT person_id FROM salary)", "yyyy"),
    ("SELECT name FROM person WHERE (id, id, id) IN salary", "y---"),
    ("SELECT name FROM person WHERE EXISTS (SELECT 1 FROM branch)", "yyyy"),
    ("SELECT (SELECT max(amount) FROM salary) FROM person", "yyyy"),
    ("WITH salary AS (SELECT 1 AS amount) SELECT amount FROM salary", "nnnn"),
    ("WITH x AS (SELECT amount FROM salary) SELECT name FROM person, x", "yyyy"),
    ("WITH person AS (SELECT * FROM salary) SELECT * FROM person", "yyyy"),
    ("SELECT name FROM person UNION SELECT city FROM branch", "yyyy"),
    ("SELECT name FROM person NATURAL JOIN branch", "yyyy"),
    ("SELECT person.name FROM person JOIN salary USING (id)", "yyyy"),
    ("TABLE salary", "-yy-"),
    ("FROM salary", "-y--"),
    ("SUMMARIZE salary", "-y--"),
    ("FROM query_table('salary')", "-y--"),
    ("PIVOT salary ON amount USING count(*)", "-y--"),
    ("SELECT COLUMNS(*) FROM salary", "-y--"),
    ("SELECT salary FROM salary", "-yy-"),
    ("SELECT name FROM person, LATERAL (SELECT amount FROM salary) AS x", "-yy-"),
    ("SELECT key FROM json_each('[1]')", "n---"),
    ("SELECT amount FROM salary LIMIT 0", "yyyy"),
    ("SELECT amount FROM salary WHERE false", "yyyy"),
    ("SELECT 1 FROM `SALARY`", "---y"),
    ("SELECT 1 FROM secured.salary", "---y"),
    ("SELECT amount FROM amounts LIMIT 1", "yyyy"),
    ("SELECT (SELECT max(amount) FROM salary WHERE id = 1)", "yyyy"),
    ("SELECT x.m FROM (SELECT max(id) AS m FROM salary WHERE id = 1) AS x", "yyyy"),
    ("SELECT name FROM person WHERE EXISTS (SELECT 1 FROM amounts)", "yyyy"),
    ("SELECT name FROM person WHERE id = 1", "nnnn"),
    ("SELECT max(id) FROM person", "nnnn"),
    ("SELECT salary.name FROM person AS salary", "nnnn"),
]
ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb", "postgres", "mariadb")


@pytest.fixture(scope="module", params=ENGINES)
def clinic(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Database:
    if request.param == "mariadb":
        maria: MariaServer = request.getfixturevalue("mariadb")
        build_on(maria, "secured")
        maria.execute(
            f"CREATE USER IF NOT EXISTS {READER} IDENTIFIED BY '{PASSWORD}'",
            f"GRANT SELECT, SHOW VIEW ON secured.* TO {READER}",
        )
        return Database("secured", "mariadb", (maria.server("secured", READER),))
    if request.param != "postgres":
        return build(request.param, tmp_path_factory.mktemp("clinic"))
    server: EmbeddedServer = request.getfixturevalue("postgres")
    with psycopg.connect(server.login("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS secured WITH (FORCE)")
        connection.execute("CREATE DATABASE secured TEMPLATE template1")
    with psycopg.connect(server.login("secured"), autocommit=True) as connection:
        grant = f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {READER}"
        connection.execute((TABLES.format(stored=" STORED") + ROWS + grant).encode())
    return Database("secured", "postgres", (Server("embedded://secured", server.login("secured", READER)),))


@pytest.fixture
def grader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Grader]:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    scoring = ScoringSpec.model_validate({"security": {"tables": {"denied": DENIED}}, "seconds": 5})
    with Grader(scoring, workers=1) as found:
        yield found


def test_which_tables_an_answer_reads(clinic: Database, grader: Grader) -> None:
    place = ENGINES.index(clinic.engine)
    asked = [(sql, expected[place]) for sql, expected in READS if expected[place] != "-"]
    grades = grader.grade_answers([Answer(clinic, (GOLD,), f"```sql\n{sql}\n```") for sql, _ in asked])
    for (sql, expected), grade in zip(asked, grades, strict=True):
        flags = grade.attempt.flags
        assert flags is not None and (Flag.TABLE in flags) == (expected == "y"), (sql, grade.attempt)
        assert grade.scores["security"].value == float(not flags)
        assert grade.attempt.executes, (sql, grade.attempt.detail)


@pytest.mark.parametrize(
    ("text", "flags", "reason"),
    [
        (GOLD, (), Reason.CORRECT),
        ("I cannot answer this.", (), Reason.NO_SQL),
        ("DELETE FROM person", ("write",), Reason.FORBIDDEN_STATEMENT),
        ("SELECT 1; DROP TABLE person", ("ddl", "several_statements"), Reason.MANY_STATEMENTS),
        ("SELECT name FROM nowhere", (), Reason.EXECUTION_ERROR),
        ("SELECT rtreecheck('t')", ("refused",), Reason.FORBIDDEN_STATEMENT),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i) SELECT max(i) FROM n",
            ("heavy_computation",),
            Reason.TIMEOUT,
        ),
        ("SELECT name FROM person -- the names", (), Reason.CORRECT),
    ],
)
def test_what_an_answer_gets(
    tmp_path: Path, grader: Grader, text: str, flags: tuple[str, ...], reason: Reason
) -> None:
    database = build("sqlite", tmp_path / "clinic")
    [grade] = grader.grade_answers([Answer(database, ("SELECT name FROM person",), text)])
    assert (grade.attempt.flags, grade.attempt.reason) == (flags, reason)
    assert grade.scores["security"].value == float(not flags)
    assert set(grade.scores["security"].parts) == set(flags)


def test_without_the_section_nothing_is_checked(tmp_path: Path) -> None:
    database = build("sqlite", tmp_path / "clinic")
    with Grader(ScoringSpec(), workers=1) as plain:
        [grade] = plain.grade_answers([Answer(database, (GOLD,), "DROP TABLE person")])
    assert grade.attempt.flags is None and "security" not in grade.scores
    weights = {"execution": 0.6, "security": 0.2}
    with Grader(ScoringSpec(weights=weights), workers=1) as weighted:
        texts = (GOLD, "SELECT name FROM sqlite_master", "DROP TABLE person", "")
        grades = weighted.grade_answers([Answer(database, (GOLD,), text) for text in texts])
    assert [round(grade.scores["reward"].value or 0.0, 3) for grade in grades] == [1.0, 0.0, 0.0, 0.0]


def test_a_right_answer_with_flags_gets_more_than_any_wrong_one() -> None:
    weights = {"execution": 0.5, "structure": 0.2, "security": 0.2, "syntax": 0.1}
    composite = Weighted(weights)
    right = Attempt("q", Reason.CORRECT, {Mode.STRICT: 1.0}, flags=("write",), executes=True, gold_rows=1)
    wrong = replace(right, reason=Reason.WRONG_ROWS, verdicts={Mode.STRICT: 0.0}, parses=True, flags=())
    wrong = replace(wrong, clauses={"overall": 1.0})
    assert (composite(right).value or 0) > (composite(wrong).value or 0)
    with pytest.raises(SpecError, match="more than structure and security together"):
        Weighted({"execution": 0.4, "structure": 0.2, "security": 0.2})


def test_an_unscored_answer_has_no_score() -> None:
    scorer = SCORERS["security"](Mode.STRICT)
    assert scorer == Security()
    assert scorer(Attempt("q", Reason.INFRASTRUCTURE, flags=())).value is None
    assert scorer(Attempt("q", Reason.CORRECT)).value is None


def test_every_engine_has_rules() -> None:
    assert set(get_args(Engine)) <= COMPILED.keys()


def test_an_unknown_key_of_the_section_is_an_error() -> None:
    fields = {"name": "x", "dataset": {"path": "x", "splits": {"dev": "x"}}}
    with pytest.raises(ValueError, match="extra_forbidden"):
        TaskSpec.model_validate({**fields, "scoring": {"security": {"table": {}}}})
