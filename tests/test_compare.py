"""The rules of comparison by example: queries.yaml with real queries, results.yaml with rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from rewards.composite import is_scored
from rewards.grader import Grader
from rewards.matching.strict import strict
from rewards.types import Answer, Attempt
from tasks.spec import ScoringSpec
from tasks.types import Database, Mode, Outcome, Row, Status

FIXTURES = Path(__file__).parent / "fixtures" / "compare"
QUERIES = yaml.safe_load((FIXTURES / "queries.yaml").read_text())
RESULTS = yaml.safe_load((FIXTURES / "results.yaml").read_text())
DATABASE = Database("people", ddl=QUERIES["ddl"])
FACTS = QUERIES["facts"]
MODES = (Mode.STRICT, Mode.SPIDER, Mode.BIRD, Mode.BIRD_F1)


@pytest.fixture(scope="module")
def attempts() -> Iterator[dict[str, Attempt]]:
    """All examples, judged in one batch."""
    with Grader(ScoringSpec(modes=MODES), workers=1) as grader:
        grades = grader.grade_answers([Answer(DATABASE, (fact["gold"],), fact["answer"]) for fact in FACTS])
        yield {fact["name"]: grade.attempt for fact, grade in zip(FACTS, grades, strict=True)}


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact["name"])
def test_queries(fact: dict[str, Any], attempts: dict[str, Attempt]) -> None:
    attempt = attempts[fact["name"]]
    assert attempt.reason == fact["reason"], attempt.detail
    if not is_scored(attempt):
        assert set(attempt.verdicts.values()) == {None}
        return
    right = float(attempt.reason == "correct")
    assert attempt.verdicts[Mode.STRICT] == right
    assert fact.get("spider") == "any" or attempt.verdicts[Mode.SPIDER] == fact.get("spider", right)
    assert attempt.verdicts[Mode.BIRD] == fact.get("bird", right)
    if "bird_f1" in fact:
        assert attempt.verdicts[Mode.BIRD_F1] == pytest.approx(fact["bird_f1"])


def outcome(rows: list[list[Any]]) -> Outcome:
    table: tuple[Row, ...] = tuple(tuple(row) for row in rows)
    return Outcome(Status.OK, tuple("c" for _ in rows[0]), table)


@pytest.mark.parametrize("fact", RESULTS, ids=lambda fact: fact["name"])
def test_results(fact: dict[str, Any]) -> None:
    gold, answer = outcome(fact["gold"]), outcome(fact["answer"])
    assert strict(gold, answer, lambda: fact.get("groups")) == fact["reason"]
    if "groups" not in fact:
        assert (strict(answer, gold, lambda: None) == "correct") == (fact["reason"] == "correct"), "symmetric"


def test_a_wrong_answer_shows_its_first_differing_row(attempts: dict[str, Attempt]) -> None:
    assert attempts["a column more"].detail == "2 columns, expected 1"
    assert attempts["a row less"].detail == "5 rows, expected 6; expected ('Ann'), got no other row"
    assert attempts["another order"].detail == "row 2: expected ('Bob'), got ('Eva')"
    assert attempts["text in another case"].detail == "expected ('Ann'), got ('ann')"
    assert "no such column: nam" in attempts["no such column"].detail
