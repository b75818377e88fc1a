"""The grader end to end: real queries in the real sandbox."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from rewards.grader import Grader
from rewards.types import Answer, Grade, Reason
from tasks.spec import ScoringSpec
from tasks.types import Database, Mode

DDL = """
CREATE TABLE singer (id INTEGER PRIMARY KEY, name TEXT, age INTEGER, country TEXT);
INSERT INTO singer VALUES (1, 'Ann', 30, 'DE'), (2, 'Bob', 25, 'FR'), (3, 'Cem', 41, 'DE');
CREATE TABLE song (id INTEGER PRIMARY KEY, singer_id INTEGER REFERENCES singer(id), title TEXT);
INSERT INTO song VALUES (1, 1, 'A'), (2, 1, 'B'), (3, 2, 'C');
"""
DATABASE = Database("music", ddl=DDL)
GOLD = "SELECT name FROM singer WHERE country = 'DE' AND age > 35"


@pytest.fixture(scope="module")
def grader() -> Iterator[Grader]:
    with Grader(ScoringSpec(modes=tuple(Mode), reward="gated"), workers=1) as grader:
        yield grader


def grade(grader: Grader, text: str, *gold: str, database: Database = DATABASE) -> Grade:
    return grader.grade_answers([Answer(database, gold or (GOLD,), text)])[0]


def test_a_grade_has_every_score(grader: Grader) -> None:
    got = grade(grader, f"```sql\n{GOLD}\n```")
    assert {name: score.value for name, score in got.scores.items()} == {
        "syntax": 1.0, "execution": 1.0, "structure": 1.0, "reward": 1.0,
    }  # fmt: skip
    assert got.attempt.sql == GOLD
    assert set(got.attempt.verdicts) == set(Mode)


LADDER = [
    "I do not know.",
    "SELECT 1",
    "SELECT * FROM song",
    "SELECT * FROM singer",
    "SELECT name FROM singer WHERE country = 'FR'",
    "SELECT name FROM singer WHERE country = 'DE'",
    GOLD,
]


def test_gated_gives_the_nearer_answer_more(grader: Grader) -> None:
    values = [grade(grader, text).scores["reward"].value or 0.0 for text in LADDER]
    assert values[:2] == [0.0, 0.0]
    assert all(one <= two for one, two in pairwise(values))
    assert all(one < two for one, two in pairwise(values[2:])), values
    assert values[-2] <= 0.3 and values[-1] == 1.0


SPECS = {
    "gated": ScoringSpec(),
    "classic": ScoringSpec(reward="classic"),
    "weights": ScoringSpec(weights={"execution": 2, "structure": 1}),
}


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_select_1_earns_less_than_an_honest_near_miss(spec: ScoringSpec) -> None:
    with Grader(spec, workers=1) as grader:
        lazy, honest = (grade(grader, text).scores["reward"].value for text in ("SELECT 1", LADDER[-2]))
    assert lazy is not None and honest is not None and lazy < honest


def test_an_answer_need_match_only_one_of_several_golds(grader: Grader) -> None:
    other = "SELECT country FROM singer"
    assert grade(grader, GOLD, other, GOLD).attempt.reason is Reason.CORRECT
    assert grade(grader, GOLD, "SELECT x FROM nowhere", GOLD).attempt.reason is Reason.CORRECT
    assert grade(grader, "SELECT title FROM song", other, GOLD).attempt.reason is Reason.WRONG_ROWS


def test_our_own_failures_are_unscored(grader: Grader) -> None:
    broken = grade(grader, GOLD, "SELECT x FROM nowhere")
    assert broken.attempt.reason is Reason.GOLD_FAILED
    assert {score.value for score in broken.scores.values()} == {None}
    assert "no such table" in broken.scores["reward"].detail
    lost = grade(grader, GOLD, database=Database("gone", ddl="CREATE TABLE ("))
    assert lost.attempt.reason is Reason.INFRASTRUCTURE
    assert set(lost.attempt.verdicts.values()) == {None}


def test_an_empty_gold_is_counted_but_not_rewarded(grader: Grader) -> None:
    gold = "SELECT name FROM singer WHERE age > 99"
    match = grade(grader, "SELECT title FROM song WHERE id > 99", gold)
    assert match.scores["execution"].value == 1.0
    assert match.scores["reward"].value is None
    miss = grade(grader, "SELECT name FROM singer", gold)
    assert miss.scores["execution"].value == 0.0
    assert 0 < (miss.scores["reward"].value or 0.0) <= 0.3


def test_identical_answers_are_judged_once(grader: Grader) -> None:
    answer = Answer(DATABASE, (GOLD,), "SELECT random() FROM singer")
    one, two = grader.grade_answers([answer, answer])
    assert one.attempt is two.attempt


def test_a_batch_keeps_its_order_and_may_be_empty(grader: Grader) -> None:
    assert grader.grade_answers([]) == []
    texts = [f"SELECT {number}" for number in range(50)]
    assert [
        g.attempt.sql for g in grader.grade_answers([Answer(DATABASE, (GOLD,), text) for text in texts])
    ] == texts


@pytest.fixture
def two_instances(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """The second instance has another German over 35."""
    folder = tmp_path_factory.mktemp("instances")
    for name, more in (("a", ""), ("b", "INSERT INTO singer VALUES (4, 'Dee', 50, 'DE');")):
        with sqlite3.connect(folder / f"{name}.sqlite") as connection:
            connection.executescript(DDL + more)
    return Database("music", instances=(folder / "a.sqlite", folder / "b.sqlite"))


@pytest.mark.parametrize(("instances", "verdict"), [(1, 1.0), (2, 0.0), (9, 0.0)])
def test_strict_compares_k_instances(two_instances: Database, instances: int, verdict: float) -> None:
    spec = ScoringSpec(instances=instances, modes=tuple(Mode))
    with Grader(spec, workers=1) as grader:
        lucky = grade(grader, "SELECT name FROM singer WHERE id = 3", database=two_instances).attempt
    assert lucky.verdicts[Mode.STRICT] == verdict
    assert lucky.verdicts[Mode.SPIDER] == lucky.verdicts[Mode.BIRD] == 1.0
    assert lucky.verdicts[Mode.SPIDER_TS] == 0.0
    assert lucky.detail.startswith("instance 2: 1 row, expected 2") == (verdict == 0.0)


def test_another_instance_can_make_an_empty_gold_scored(two_instances: Database) -> None:
    gold = "SELECT name FROM singer WHERE age > 45"
    for instances, value in ((1, None), (2, 1.0)):
        with Grader(ScoringSpec(instances=instances), workers=1) as grader:
            assert grade(grader, gold, gold, database=two_instances).scores["reward"].value == value


def test_a_missing_database_is_unscored() -> None:
    with Grader(ScoringSpec(), workers=1) as grader:
        attempt = grade(grader, GOLD, database=Database("x", instances=(Path("/nowhere/x.sqlite"),))).attempt
    assert attempt.reason is Reason.INFRASTRUCTURE


def test_without_structure_there_are_verdicts_only() -> None:
    with Grader(ScoringSpec(), workers=1, structure=False) as grader:
        assert set(grade(grader, GOLD).scores) == {"syntax", "execution"}
