"""Which of PostgreSQL's values are equal in ``strict``: pairs of expressions that are executed."""

from __future__ import annotations

import pytest
from value_checks import attempts_of, check_attempt, check_cells

from rewards.types import Attempt
from tasks.databases.servers.embedded import EmbeddedServer
from tasks.databases.servers.roles import READER
from tasks.types import Cell, Database, Server

CELLS: list[tuple[str, Cell]] = [
    ("true", 1),
    ("2::smallint", 2),
    ("9223372036854775807", 9223372036854775807),
    ("1.10", ("decimal", "1.1")),
    ("2.00", 2),
    ("1e50::numeric", 10**50),
    ("'NaN'::numeric IS NULL", 0),
    ("'-Infinity'::numeric", float("-inf")),
    ("0.1::float8", 0.1),
    ("0.1::real", 0.10000000149011612),
    ("'$1,234.50'::money", ("decimal", "1234.5")),
    ("'ab'::char(5)", "ab"),
    ("'a'::\"char\"", "a"),
    ("''", ""),
    (r"'\x00ff'::bytea", b"\x00\xff"),
    ("date '2020-01-02'", "2020-01-02"),
    ("date 'infinity'", "infinity"),
    ("time '01:02:03.500'", "01:02:03.5"),
    ("timestamp '2020-01-02 03:04:05.120'", "2020-01-02 03:04:05.12"),
    ("timestamptz '2020-01-02 03:04:05+02'", "2020-01-02 01:04:05+00:00"),
    ("timetz '01:02:03+05:30'", "01:02:03+05:30"),
    ("interval '1 year 2 mons 3 days 04:05:06.7'", "423 days, 4:05:06.700000"),
    ("interval '-1 day'", "-1 day, 0:00:00"),
    ("interval '-00:00:01'", "-1 day, 23:59:59"),
    ("ARRAY[1, NULL, 3]", ("list", 1, None, 3)),
    ("ARRAY[[1, 2], [3, 4]]", ("list", ("list", 1, 2), ("list", 3, 4))),
    ("'{}'::int[]", ("list",)),
    ("'[0:1]={7,8}'::int[]", ("list", 7, 8)),
    (
        r"""ARRAY['a b', 'c"d', 'e\f', 'NULL', '', 'g,h', '(i)']""",
        ("list", "a b", 'c"d', "e\\f", "NULL", "", "g,h", "(i)"),
    ),
    ("ARRAY[1.50, 2]", ("list", ("decimal", "1.5"), 2)),
    ("ARRAY[true]", ("list", 1)),
    ("ARRAY['happy'::mood]", ("list", "happy")),
    ("ARRAY[5::positive]", ("list", 5)),
    ("'happy'::mood", "happy"),
    ("5::positive", 5),
    ("ROW(1, 'a b', NULL, '', 'c\"d\\e')", ("tuple", "1", "a b", None, "", 'c"d\\e')),
    ("""'{"b": 1.50, "a": [1, {}]}'::json""", '{"a": [1, {}], "b": 1.5}'),
    ("""'{"aa": 1, "b": 2, "b": 3}'::json""", '{"b": 3, "aa": 1}'),
    ("""'"é\\u00e9"'::json""", '"éé"'),
    ("'null'::jsonb", "null"),
    ("'1e2'::json", "100"),
    ("'7b0c5f14-0000-4000-8000-000000000000'::uuid", "7b0c5f14-0000-4000-8000-000000000000"),
    ("B'0101'", "0101"),
    ("'10.0.0.1'::inet", "10.0.0.1"),
    ("'10.0.0.0/8'::cidr", "10.0.0.0/8"),
    ("int4range(1, 3)", "[1,3)"),
]
"""Expression -> cell."""
DUST = "0.1::float8 + 0.2::float8"
PAIRS: list[tuple[str, str, bool]] = [
    ("1.10::numeric", "1.1::numeric(4, 1)", True),
    ("1.00::numeric", "1", True),
    ("1.1::numeric", "1.1::float8", True),
    ("1.1::numeric", "'1.1'", False),
    ("1.0000000001", "1.0000000002", False),
    (
        "avg(x) FROM (VALUES (1), (2), (2)) AS v(x)",
        "sum(x)::float8 / count(*) FROM (VALUES (1), (2), (2)) AS v(x)",
        True,
    ),
    (DUST, "0.3::float8", True),
    (DUST, "0.31::float8", False),
    ("0.1::real", "0.1::float8", False),
    ("0.5::real", "0.5::float8", True),
    ("'nan'::float8", "'nan'::numeric", True),
    ("true", "1", True),
    ("true", "'t'", False),
    ("ARRAY[1, 2]", "ARRAY[1, 2]::bigint[]", True),
    ("ARRAY[1, 2]", "'{1,2}'", False),
    ("ARRAY[1, 2]", "ARRAY[2, 1]", False),
    ("ARRAY[1]", "1", False),
    (f"ARRAY[{DUST}]", "ARRAY[0.3::float8]", True),
    ("ROW(1, 2)", "'(1,2)'", False),
    ("ROW(1, 2)", "ARRAY['1', '2']", False),
    ("timestamptz '2020-01-01 12:00+02'", "timestamptz '2020-01-01 10:00+00'", True),
    ("timestamptz '2020-01-01 12:00+02'", "timestamptz '2020-01-01 12:00+00'", False),
    ("date '2020-01-02'", "'2020-01-02'", True),
    ("interval '1 year'", "interval '12 months'", True),
    ("interval '1 month'", "interval '30 days'", True),
    ("interval '1 month'", "interval '31 days'", False),
    ("interval '24 hours'", "interval '1 day'", True),
    ('\'{"a": 1, "b": 2}\'::json', '\'{"b": 2.0, "a": 1}\'::jsonb', True),
    ("'{\"a\": 1}'::jsonb", '\'{"a": "1"}\'::jsonb', False),
    ("'a'::char(3)", "'a'", True),
    ("'happy'::mood", "'happy'", True),
    (r"'\x41'::bytea", "'A'", False),
    ("'10.0.0.1/32'::inet", "'10.0.0.1'::inet", True),
    ("'10.0.0.1/8'::inet", "'10.0.0.1'::inet", False),
    ("B'01'", "B'1'", False),
    ("NULL", "''", False),
]


@pytest.fixture(scope="module", params=["postgres", pytest.param("debian_postgres", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest) -> EmbeddedServer:
    found: EmbeddedServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def database(server: EmbeddedServer) -> Database:
    import psycopg

    with psycopg.connect(server.login("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE facts")
    with psycopg.connect(server.login("facts"), autocommit=True) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")
        connection.execute("CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
    return Database("facts", "postgres", (Server("embedded://facts", server.login("facts", READER)),))


def test_cells(database: Database) -> None:
    check_cells(database, CELLS)


@pytest.fixture(scope="module")
def attempts(database: Database) -> list[Attempt]:
    return attempts_of(database, PAIRS)


@pytest.mark.parametrize("number", range(len(PAIRS)), ids=lambda number: " and ".join(PAIRS[number][:2]))
def test_pairs(number: int, attempts: list[Attempt]) -> None:
    check_attempt(PAIRS[number][2], attempts[number])
