"""Private tables and columns on PostgreSQL: a role that cannot read them, and when no query runs at all."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from clinic import PRIVATE, ROWS, TABLES, check_tricks

from harness.cli import main
from tasks.common.errors import DataError
from tasks.databases.private.reads import opened
from tasks.databases.private.roles import by_role
from tasks.databases.sandbox.executor import Executor
from tasks.databases.schema import describe
from tasks.databases.servers.embedded import SUPERUSER, EmbeddedServer
from tasks.databases.servers.private import private_login
from tasks.databases.servers.roles import PRIVATE_READER, READER
from tasks.types import Database, Limits, Server, Status

PLACE = 2
"""PostgreSQL's place in the outcomes of the tricks."""


@pytest.fixture(scope="module")
def clinic(postgres: EmbeddedServer) -> EmbeddedServer:
    """The server with the database."""
    with psycopg.connect(postgres.login("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS clinic WITH (FORCE)")
        connection.execute("CREATE DATABASE clinic TEMPLATE template1")
    run(postgres, TABLES.format(stored=" STORED") + ROWS + "ANALYZE")
    return postgres


def run(server: EmbeddedServer, statements: str) -> None:
    with psycopg.connect(server.login("clinic"), autocommit=True) as connection:
        connection.execute(statements.encode())


def as_role(login: str, *private: str) -> Database:
    """The database under a role of a server that is not embedded."""
    server = Server("postgresql://host/clinic", login)
    return by_role(Database("clinic", "postgres", (server,)), private or PRIVATE)


@pytest.fixture
def database(clinic: EmbeddedServer) -> Database:
    return as_role(private_login(clinic, "clinic", PRIVATE))


@pytest.fixture
def executor() -> Iterator[Executor]:
    found = Executor(Limits(seconds=5))
    yield found
    found.close()


def test_how_a_query_ends(database: Database, executor: Executor) -> None:
    with opened(database) as reads_private:
        check_tricks(executor, database, PLACE, reads_private)


def test_a_hint_names_no_private_column(database: Database, executor: Executor) -> None:
    outcome = executor.run(database, 0, "SELECT ssnn FROM person")
    assert outcome.status is Status.EXECUTION_ERROR
    assert outcome.message == 'column "ssnn" does not exist'


def test_the_schema_is_described_without_them(clinic: EmbeddedServer, database: Database) -> None:
    run(clinic, "COMMENT ON COLUMN person.name IS 'whose SSN is known'; COMMENT ON TABLE branch IS 'a place'")
    assert "SSN" not in repr(describe(database)) and "a place" in repr(describe(database))
    tables = {table.name: [column.name for column in table.columns] for table in describe(database, 2).tables}
    assert tables == {
        "branch": ["id", "city"],
        "person": ["id", "name", "branch_id"],
        "visit": ["day"],
        "named": ["id", "name"],
    }
    assert database.private and "ssn" in database.private.names and "salary" in database.private.names


def test_a_role_that_may_read_them_runs_no_query(clinic: EmbeddedServer, executor: Executor) -> None:
    run(clinic, f"GRANT SELECT ON person TO {READER}")
    outcome = executor.run(as_role(clinic.login("clinic", READER)), 0, "SELECT 1")
    assert outcome.status is Status.INFRASTRUCTURE
    assert "may read public.person.code, public.person.ssn" in outcome.message
    assert "harness db prepare --private" in outcome.message


WAYS = {
    "a view": ("CREATE VIEW way AS SELECT upper(ssn) AS x FROM person", "way"),
    "a view of a view": ("CREATE VIEW way AS SELECT number FROM other", "way"),
    "a view of a whole row": ("CREATE VIEW way AS SELECT person::text AS x FROM person", "way"),
    "a view of rows of a view": ("CREATE VIEW way AS SELECT row_to_json(every) AS x FROM every", "way"),
    "a view of a private table": ("CREATE VIEW way AS SELECT count(*) FROM salary", "way"),
    "a materialized view": ("CREATE MATERIALIZED VIEW way AS SELECT ssn AS x FROM person", "way"),
    "a child": ("CREATE TABLE way() INHERITS (person)", "way.ssn"),
    "a function with its owner's rights, in a view": (
        "CREATE FUNCTION way() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT max(ssn) FROM person';"
        "CREATE VIEW way AS SELECT way()",
        "way",
    ),
    "a public grant": ("GRANT SELECT (ssn) ON person TO PUBLIC", "person.ssn"),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_around_is_found(clinic: EmbeddedServer, executor: Executor, way: str) -> None:
    made, named = WAYS[way]
    login = private_login(clinic, "clinic", PRIVATE)
    role = login.partition("://")[2].partition("@")[0]
    try:
        run(clinic, made)
        if "VIEW" in made:
            run(clinic, f"GRANT SELECT ON way TO {role}")
        if "TABLE" in made:
            run(clinic, f"GRANT SELECT ON way TO {role}")
        outcome = executor.run(as_role(login), 0, "SELECT 1")
        assert outcome.status is Status.INFRASTRUCTURE, outcome
        assert f"public.{named}" in outcome.message
        if "PUBLIC" not in made:  # a new role is not let in
            after = executor.run(as_role(private_login(clinic, "clinic", PRIVATE)), 0, "SELECT 1")
            assert after.ok, after
    finally:
        run(
            clinic,
            "REVOKE ALL (ssn) ON person FROM PUBLIC; DROP TABLE IF EXISTS way CASCADE"
            if "TABLE" in made or "PUBLIC" in made
            else f"DROP {'MATERIALIZED ' * ('MATERIALIZED' in made)}VIEW way; DROP FUNCTION IF EXISTS way()",
        )


PARTITIONED = """
CREATE SCHEMA parts;
CREATE TABLE parts.pay(name text, amount int, plus int) PARTITION BY RANGE (amount);
CREATE TABLE parts.low PARTITION OF parts.pay FOR VALUES FROM (0) TO (100);
CREATE TABLE parts.high PARTITION OF parts.pay FOR VALUES FROM (100) TO (1000) PARTITION BY LIST (name);
CREATE TABLE parts.bob PARTITION OF parts.high FOR VALUES IN ('Bob');
CREATE TABLE parts.sums(name text, amount int) PARTITION BY RANGE ((amount * 2));
CREATE TABLE parts.small PARTITION OF parts.sums FOR VALUES FROM (0) TO (100);
CREATE TABLE parts.names(name text, amount int) PARTITION BY LIST (name);
CREATE TABLE parts.ann PARTITION OF parts.names FOR VALUES IN ('Ann');
INSERT INTO parts.pay VALUES ('Ann', 1), ('Bob', 500);
INSERT INTO parts.sums VALUES ('Ann', 1);
INSERT INTO parts.names VALUES ('Ann', 1);
"""
DIVIDED = [
    ("SELECT name FROM parts.pay ORDER BY 1", Status.OK),
    ("SELECT name FROM parts.sums", Status.OK),
    ("SELECT name FROM parts.ann", Status.OK),
    ("SELECT name FROM parts.high", Status.PRIVATE_DATA),
    ("SELECT count(*) FROM ONLY parts.low", Status.PRIVATE_DATA),
    ("SELECT name FROM parts.bob", Status.PRIVATE_DATA),
    ("SELECT name FROM parts.small", Status.PRIVATE_DATA),
    ("SELECT tableoid FROM parts.pay", Status.PRIVATE_DATA),
    ("SELECT amount FROM parts.ann", Status.PRIVATE_DATA),
]


def test_a_partition_does_not_tell_of_the_column_that_divides(
    clinic: EmbeddedServer, executor: Executor
) -> None:
    run(clinic, PARTITIONED)
    private = ("pay.amount", "sums.amount", "names.amount")
    try:
        database = as_role(private_login(clinic, "clinic", private), *private)
        assert {sql: executor.run(database, 0, sql).status for sql, _ in DIVIDED} == dict(DIVIDED)
        shown = {table.name for table in describe(database).tables if table.schema == "parts"}
        assert shown == {"pay", "sums", "names"}
    finally:
        run(clinic, "DROP SCHEMA parts CASCADE")


PEEK = (
    "CREATE FUNCTION peek(text, text DEFAULT '') RETURNS boolean LANGUAGE sql SECURITY DEFINER"
    " AS 'SELECT $1 IN (SELECT ssn FROM person)';"
)
CALLERS = {
    "an operator": ("CREATE OPERATOR ### (FUNCTION = peek, LEFTARG = text, RIGHTARG = text)", "'a' ### 'b'"),
    "a type": ("CREATE DOMAIN known AS text CHECK (peek(VALUE))", "'SECRET-1'::known"),
    "a type of a type": (
        "CREATE DOMAIN known AS text CHECK (peek(VALUE)); CREATE DOMAIN more AS known",
        "ARRAY['SECRET-1']::more[]",
    ),
}


@pytest.mark.parametrize("caller", CALLERS)
def test_a_hidden_call_with_the_owners_rights_runs_no_query(
    clinic: EmbeddedServer, executor: Executor, caller: str
) -> None:
    made, called = CALLERS[caller]
    run(clinic, PEEK + made)
    try:
        outcome = executor.run(as_role(private_login(clinic, "clinic", PRIVATE)), 0, f"SELECT {called}")
        assert outcome.status is Status.INFRASTRUCTURE and "it cannot be proven" in outcome.message
    finally:
        run(clinic, "DROP FUNCTION peek CASCADE; DROP DOMAIN IF EXISTS more, known")


def test_prepare_makes_a_role_without_them(
    clinic: EmbeddedServer, executor: Executor, capsys: pytest.CaptureFixture[str]
) -> None:
    url = clinic.login("clinic", SUPERUSER)
    names = [part for name in PRIVATE for part in ("--private", name)]
    assert main(["db", "prepare", url, *names]) == 0
    printed = capsys.readouterr().out
    assert f"the role {PRIVATE_READER}" in printed
    assert "it may read public.person, but not code, ssn" in printed
    assert "it may read public.salary, but not the whole of it" in printed
    database = as_role(clinic.login("clinic", PRIVATE_READER))
    assert executor.run(database, 0, "SELECT name FROM person").rows == (("Ann",), ("Bob",))
    assert executor.run(database, 0, "SELECT ssn FROM person").status is Status.PRIVATE_DATA
    assert main(["db", "prepare", url, "--private", "person.snn"]) == 2
    assert main(["db", "prepare", url, "--private", "a.b.c.d"]) == 2


def test_a_missing_database_is_an_error(clinic: EmbeddedServer) -> None:
    with pytest.raises(DataError, match="does not exist"):
        as_role(clinic.login("nothing"))
