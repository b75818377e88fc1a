"""Which of DuckDB's values are equal in ``strict``: pairs of expressions that are executed."""

from __future__ import annotations

import pytest
from value_checks import attempts_of, check_attempt

from rewards.types import Attempt
from tasks.types import Database

DATABASE = Database("values", "duckdb", ddl="CREATE TABLE t(a INTEGER);")
DUST = "0.1::DOUBLE + 0.2::DOUBLE"
PAIRS: list[tuple[str, str, bool]] = [
    ("[1, 2]", "[1, 2]::BIGINT[]", True),
    ("[1, 2]", "[1, 2]::INTEGER[2]", True),
    ("[1, 2]", "'[1, 2]'", False),
    ("[1, 2]", "[2, 1]", False),
    ("[1, 2]", "[1, 2, 3]", False),
    ("[1, 2]", "row(1, 2)", False),
    ("[1]", "1", False),
    ("[1, NULL]", "[1, 0]", False),
    (f"[{DUST}]", "[0.3::DOUBLE]", True),
    (f"[{DUST}]", "[0.31::DOUBLE]", False),
    (f"[[{DUST}], []]", "[[0.3::DOUBLE], []]", True),
    (f"{{'a': {DUST}, 'b': 'x'}}", "{'a': 0.3::DOUBLE, 'b': 'x'}", True),
    ("{'a': 1}", "{'b': 1}", False),
    ("{'a': 1}", "'{''a'': 1}'", False),
    ("{'a': 1}", "MAP {'a': 1}", False),
    ("MAP {1: 'x'}", "MAP {'1': 'x'}", False),
    ("MAP {1: 'x'}", "MAP {1: 'x'}", True),
    (f"MAP {{'a': {DUST}}}", "MAP {'a': 0.3::DOUBLE}", True),
    ("1.10::DECIMAL(10, 2)", "1.1::DECIMAL(4, 1)", True),
    ("1.00::DECIMAL(10, 2)", "1", True),
    ("1.1::DECIMAL(4, 1)", "1.1::DOUBLE", True),
    ("12345678901234567890.1::DECIMAL(38, 1)", "12345678901234567890.2::DECIMAL(38, 1)", False),
    ("1.0000000001::DECIMAL(20, 10)", "1.0000000002::DECIMAL(20, 10)", False),
    ("1.1::DECIMAL(4, 1)", "'1.1'", False),
    (
        "170141183460469231731687303715884105727::HUGEINT",
        "170141183460469231731687303715884105726::HUGEINT",
        False,
    ),
    ("0.1::FLOAT", "0.1::DOUBLE", False),
    ("0.5::FLOAT", "0.5::DOUBLE", True),
    ("CAST(0.1::FLOAT AS DOUBLE)", "0.1::FLOAT", True),
    ("'2021-01-01 00:00:00.123456789'::TIMESTAMP_NS", "'2021-01-01 00:00:00.123456788'::TIMESTAMP_NS", False),
    ("'2021-01-01 00:00:00.123456'::TIMESTAMP_NS", "'2021-01-01 00:00:00.123456'::TIMESTAMP", True),
    ("'infinity'::DATE", "'9999-12-31'::DATE", False),
    ("'infinity'::DATE", "'infinity'::DATE", True),
    ("'infinity'::TIMESTAMP", "'-infinity'::TIMESTAMP", False),
    ("['infinity'::DATE]", "['9999-12-31'::DATE]", False),
    ("DATE '2021-01-02'", "'2021-01-02'", True),
    ("INTERVAL 1 YEAR", "INTERVAL 12 MONTHS", True),
    ("INTERVAL 1 MONTH", "INTERVAL 31 DAYS", False),
    ("'nan'::DOUBLE", "'nan'::FLOAT", True),
    ("true", "1", True),
]


@pytest.fixture(scope="module")
def attempts() -> list[Attempt]:
    return attempts_of(DATABASE, PAIRS)


@pytest.mark.parametrize("number", range(len(PAIRS)), ids=lambda number: " and ".join(PAIRS[number][:2]))
def test_pairs(number: int, attempts: list[Attempt]) -> None:
    check_attempt(PAIRS[number][2], attempts[number])


def test_a_difference_is_written_as_duckdb_writes_it(attempts: list[Attempt]) -> None:
    details = {PAIRS[number][:2]: attempt.detail for number, attempt in enumerate(attempts)}
    assert details["[1, 2]", "'[1, 2]'"] == "expected ([1, 2]), got ('[1, 2]')"
    assert details["{'a': 1}", "MAP {'a': 1}"] == "expected ({'a': 1}), got (MAP {'a': 1})"
    assert details["1.1::DECIMAL(4, 1)", "'1.1'"] == "expected (1.1), got ('1.1')"
