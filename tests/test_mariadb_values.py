"""Which of MariaDB's values are equal in ``strict``: pairs of expressions that are executed."""

from __future__ import annotations

import pytest
from mariadb_server import PASSWORD, MariaServer
from value_checks import attempts_of, check_attempt, check_cells

from rewards.types import Attempt
from tasks.databases.servers.prepare_mariadb import prepare
from tasks.databases.servers.roles import READER
from tasks.types import Cell, Database

TABLE = (
    "CREATE TABLE t(tiny TINYINT(1), big BIGINT UNSIGNED, bits BIT(10), mood ENUM('sad', 'happy'),"
    " moods SET('sad', 'happy'), doc JSON, same JSON, short FLOAT, price DECIMAL(8, 3), born YEAR,"
    " raw BINARY(3), padded CHAR(5), filled INT ZEROFILL, at TIMESTAMP(3) NULL,"
    " latin VARCHAR(9) CHARSET latin1, place POINT, id UUID, address INET6, blobs BLOB, exact DECIMAL(30, 2))"
)
ROW = (
    "INSERT INTO t VALUES (1, 18446744073709551615, b'101', 'happy', 'sad,happy',"
    """ '{"b": 1.50, "a": [1, {}]}', '{"a":[1,{}],"b":1.5}', 0.1, 1.500, 2024, 'ab', 'ab', 5,"""
    " '2020-01-02 03:04:05.120', 'é', POINT(1, 2), '7b0c5f14-0000-4000-8000-000000000000', '::1', x'00ff',"
    " 12345678901234567890.10)"
)
CELLS: list[tuple[str, Cell]] = [
    ("TRUE", 1),
    ("tiny", 1),
    ("big", 18446744073709551615),
    ("-9223372036854775808", -9223372036854775808),
    ("bits", 5),
    ("mood", "happy"),
    ("moods", "sad,happy"),
    ("doc", '{"a": [1, {}], "b": 1.5}'),
    ("short", 0.10000000149011612),
    ("price", ("decimal", "1.5")),
    ("exact", ("decimal", "12345678901234567890.1")),
    ("2.00", 2),
    ("born", 2024),
    ("raw", b"ab\0"),
    ("padded", "ab"),
    ("filled", 5),
    ("at", "2020-01-02 03:04:05.12"),
    ("latin", "é"),
    ("id", "7b0c5f14-0000-4000-8000-000000000000"),
    ("address", "::1"),
    ("blobs", b"\x00\xff"),
    ("1.10", ("decimal", "1.1")),
    ("1e0 / 10", 0.1),
    ("1 / 4", 0.25),
    ("AVG(tiny)", 1.0),
    ("SUM(tiny)", 1),
    ("COUNT(*)", 1),
    ("''", ""),
    ("x'00ff'", b"\x00\xff"),
    ("DATE '2020-01-02'", "2020-01-02"),
    ("CAST('0000-00-00' AS DATE)", "0000-00-00"),
    ("TIME '01:02:03.500'", "01:02:03.5"),
    ("TIMEDIFF('01:00:00', '02:00:00')", "-01:00:00"),
    ("TIMESTAMP '2020-01-02 03:04:05.000'", "2020-01-02 03:04:05"),
    ("JSON_OBJECT('a', 1)", '{"a": 1}'),
    ("CHAR(0xEDA080 USING utf8mb4)", "\udced\udca0\udc80"),
]
"""Expression -> cell."""
DUST = "0.1e0 + 0.2e0"
PAIRS: list[tuple[str, str, bool]] = [
    ("1.10", "CAST(1.1 AS DECIMAL(4, 1))", True),
    ("1.00", "1", True),
    ("1.1", "1.1e0", True),
    ("1.1", "'1.1'", False),
    ("1.0000000001", "1.0000000002", False),
    ("AVG(x) FROM (SELECT 1 AS x UNION ALL SELECT 2 UNION ALL SELECT 2) AS v", "5 / 3", True),
    ("5 / 3", "5.0 / 3", True),
    ("5 / 3", "5e0 / 3", True),
    ("5 / 3", "1.6667", False),
    (DUST, "0.3e0", True),
    (DUST, "0.31e0", False),
    ("short FROM t", "0.1e0", False),
    ("short FROM t", "short + 0 FROM t", True),
    ("TRUE", "1", True),
    ("TRUE", "'1'", False),
    ("bits FROM t", "5", True),
    ("born FROM t", "2024", True),
    ("born FROM t", "'2024'", False),
    ("mood FROM t", "'happy'", True),
    ("mood FROM t", "mood + 0 FROM t", False),
    ("moods FROM t", "'sad,happy'", True),
    ("doc FROM t", "same FROM t", True),
    ("doc FROM t", "'{}'", False),
    ("padded FROM t", "'ab'", True),
    ("raw FROM t", "'ab'", False),
    ("filled FROM t", "5", True),
    ("blobs FROM t", "x'00ff'", True),
    ("x'41'", "'A'", False),
    ("DATE '2020-01-02'", "'2020-01-02'", True),
    ("at FROM t", "CAST(at AS DATETIME(6)) FROM t", True),
    ("TIME '01:00:00'", "TIME '01:00:00.000'", True),
    ("big FROM t", "18446744073709551614", False),
    ("'a'", "'A'", False),
    ("'a'", "'a '", False),
    ("NULL", "''", False),
]


@pytest.fixture(scope="module")
def database(mariadb: MariaServer) -> Database:
    mariadb.execute("CREATE OR REPLACE DATABASE facts CHARACTER SET utf8mb4")
    mariadb.execute("SET SESSION sql_mode = ''", TABLE, ROW, database="facts")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_READER_PASSWORD", PASSWORD)
        list(prepare(mariadb.server("facts")))
    return Database("facts", "mariadb", (mariadb.server("facts", READER),))


def test_cells(database: Database) -> None:
    check_cells(database, CELLS, "FROM t")


@pytest.fixture(scope="module")
def attempts(database: Database) -> list[Attempt]:
    return attempts_of(database, PAIRS)


@pytest.mark.parametrize("number", range(len(PAIRS)), ids=lambda number: " and ".join(PAIRS[number][:2]))
def test_pairs(number: int, attempts: list[Attempt]) -> None:
    check_attempt(PAIRS[number][2], attempts[number])
