"""Penalties for efficiency, format, length and forbidden constructs, and custom rewards."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from test_scorers import PERFECT, right, wrong

from rewards.composite import cost_ratio, r_ves_tier
from rewards.grader import Grader
from rewards.presets import MARGINS, PRESETS, reward_scorer
from rewards.structure.constructs import CONSTRUCTS, forbidden_in
from rewards.types import Answer, Attempt, Reason
from tasks.common.errors import SpecError
from tasks.common.parse import parse
from tasks.spec import ScoringSpec
from tasks.types import Database, Mode

ALL_TERMS = {"efficiency": {"weight": 0.1}, "format": {"weight": 0.1}, "length": {"weight": 0.1}}
ALL_TERMS["forbidden"] = {"weight": 0.1}


def scoring(**keys: object) -> ScoringSpec:
    return parse(ScoringSpec, keys)


@pytest.mark.parametrize("name", PRESETS)
@given(one=right, two=wrong)
def test_correct_strictly_dominates_under_all_penalties(name: str, one: Attempt, two: Attempt) -> None:
    """The worst correct answer (slow, wrong format, long, forbidden) against the best wrong one."""
    scorer = reward_scorer(scoring(reward=name, terms=ALL_TERMS))
    lost = {"constructs": ("select_star",), "text": "` " * 9999, "steps": 10**9, "gold_steps": 1}
    worst = replace(one, parses=True, **lost)  # type: ignore[arg-type]
    values = [scorer(attempt).value for attempt in (worst, replace(two, text="SELECT 1"))]
    assert values[0] is not None and values[1] is not None and values[0] > values[1]


@pytest.mark.parametrize("name", MARGINS)
def test_weights_that_reach_the_margin_raise(name: str) -> None:
    with pytest.raises(SpecError, match="set weights with a smaller sum, or wrong answers could win"):
        reward_scorer(scoring(reward=name, terms={"length": {"weight": MARGINS[name]}}))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"terms": {"forbidden": {"constructs": ["select_str"]}}}, "did you mean 'select_star'"),
        ({"terms": {"format": {"pattern": "("}}}, "terms.format.pattern: missing"),
        ({"terms": ALL_TERMS, "weights": {"execution": 1}}, "scoring.terms needs a preset"),
        ({"terms": ALL_TERMS, "reward": "test_scorers:Own"}, "scoring.terms needs a preset"),
    ],
)
def test_invalid_terms_raise(keys: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        reward_scorer(scoring(**keys))
    with pytest.raises(SpecError, match=r"most \(5\) must be greater than free \(500\)"):
        scoring(terms={"length": {"most": 5}})


@pytest.mark.parametrize(
    ("ratio", "worth"),
    [
        (9, 1.25),
        (2, 1.25),
        (1.99, 1),
        (1, 1),
        (0.99, 0.75),
        (0.5, 0.75),
        (0.3, 0.5),
        (0.25, 0.5),
        (0.1, 0.25),
    ],
)
def test_the_tiers_are_those_of_bird_r_ves(ratio: float, worth: float) -> None:
    assert r_ves_tier(ratio) == worth


def test_a_cost_ratio_uses_steps_where_they_are_counted() -> None:
    slow = replace(PERFECT, steps=9000, gold_steps=4000, seconds=1, gold_seconds=4)
    assert cost_ratio(slow) == 0.5 and cost_ratio(slow, "seconds") == pytest.approx(4, rel=1e-2)
    assert cost_ratio(replace(PERFECT, seconds=1, gold_seconds=4)) == pytest.approx(4, rel=1e-2)
    short = replace(PERFECT, steps=0, gold_steps=0, seconds=1, gold_seconds=4)
    assert cost_ratio(short) == 1, "two queries shorter than the unit cost the same, whatever the clock says"


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({}, {}),
        ({"steps": 3000, "gold_steps": 1000}, {"efficiency": 0.05}),
        ({"steps": 1000, "gold_steps": 3000}, {}),
        ({"text": "Sure:\n```sql\nSELECT 1\n```"}, {"format": 0.1}),
        ({"text": "\n```sql\nSELECT 1\n```\n"}, {}),
        ({"text": "x" * 1250}, {"length": 0.05}),
        ({"text": "x" * 5000}, {"length": 0.1}),
        ({"constructs": ("select_star",)}, {"forbidden": 0.1}),
    ],
)
def test_the_penalty_of_each_term(changes: dict[str, object], lost: dict[str, float]) -> None:
    attempt = replace(replace(PERFECT, text="SELECT 1"), **changes)  # type: ignore[arg-type]
    score = reward_scorer(scoring(terms=ALL_TERMS))(attempt)
    assert {name: -part for name, part in score.parts.items() if part < 0} == pytest.approx(lost)
    assert score.value == pytest.approx(1 - sum(lost.values()))


def test_a_slow_wrong_answer_has_no_efficiency_penalty() -> None:
    attempt = replace(PERFECT, reason=Reason.WRONG_ROWS, verdicts={Mode.STRICT: 0.0}, steps=10**9, text="x")
    assert reward_scorer(scoring(terms=ALL_TERMS))(attempt).value == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT COUNT(*) FROM a", []),
        ("SELECT * FROM a", ["select_star"]),
        ("SELECT x FROM a, b", ["cross_join"]),
        ("SELECT x FROM a JOIN b ON a.i = b.i JOIN c USING (i)", []),
        ("SELECT x FROM a NATURAL JOIN b", []),
        ("SELECT x FROM a LIMIT 3", ["limit_without_order"]),
        ("SELECT x FROM a ORDER BY x LIMIT 3", []),
        ("SELECT x FROM a WHERE y = (SELECT MAX(y) FROM a)", ["subquery"]),
        ("SELECT x FROM a UNION SELECT y FROM b", ["subquery", "set_operation"]),
        ("SELECT CASE WHEN x THEN 1 END, SUM(y) OVER () FROM a", ["case", "window"]),
        ("SELECT 'SELECT * FROM a, b' FROM a -- CASE", []),
        ("SELECT x FROM a JOIN b ON 1", ["cross_join"]),
        ("SELECT x FROM a JOIN b ON a.x = a.x", ["cross_join"]),
        ("SELECT x FROM a JOIN b ON (b.x >= b.x) AND 1", ["cross_join"]),
        ("SELECT x FROM a JOIN b ON a.x = a.x AND a.y = b.y", []),
        ("SELECT x FROM a ORDER BY NULL LIMIT 1", ["limit_without_order"]),
        ("SELECT x FROM a ORDER BY 1 LIMIT 1", []),
        ("SELECT COUNT(*) FROM a GROUP BY x ORDER BY COUNT(*) LIMIT 1", []),
        ("VALUES (1)", []),
        ("SELECT a.x, [a].* FROM [a];; -- end", ["select_star"]),
    ],
)
def test_constructs_are_found_in_the_tree(sql: str, found: list[str]) -> None:
    assert forbidden_in(sql, CONSTRUCTS, "sqlite") == found


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("FROM a", ["select_star"]),
        ("TABLE a", ["select_star"]),
        ("SELECT COLUMNS(*) FROM a", ["select_star"]),
        ("SELECT * EXCLUDE (x) FROM a", ["select_star"]),
        ("FROM a SELECT x, [1, 2]", []),
        ("SELECT x FROM a LIMIT 10%", ["limit_without_order"]),
        ("SELECT x FROM a QUALIFY row_number() OVER (ORDER BY x) = 1", ["window"]),
    ],
)
def test_constructs_are_found_in_the_dialect_of_the_engine(sql: str, found: list[str]) -> None:
    assert forbidden_in(sql, CONSTRUCTS, "duckdb") == found


HIDDEN = [
    "{} -- " + "(" * 50_000,
    "/* " + "[{(" * 20_000 + " */ {}",
    "-- )\n{}",
    "{} /* never closed",
    ";; {} ;;",
    "{} WHERE x IN (" + "1, " * 20_000 + "1)",
    "{} WHERE " + "(" * 60 + "1" + ")" * 60,
    "{} WHERE 1" + " AND 1" * 5000,
    "{} WHERE '(((' <> 'x' AND \"x\" = x",
    "{} WHERE CAST(x AS UNSIGNED BIG INT) >= 0",
    "{} WHERE x " + " " * 60_000,
]


@pytest.mark.parametrize("form", HIDDEN, ids=range(len(HIDDEN)))
def test_no_construct_can_be_hidden(form: str) -> None:
    names = ("select_star", "cross_join", "case")
    assert forbidden_in(form.replace("{}", "sElEcT t.* FrOm t CROSS join u"), names, "sqlite") == list(
        names[:2]
    )
    assert forbidden_in(form.replace("{}", "SELECT x FROM t"), ("window", "case"), "sqlite") == []


def test_hidden_constructs_lower_the_reward(database: Database, home: Path) -> None:
    gold = "SELECT x FROM t"
    texts = [gold, *(form.replace("{}", "SELECT * FROM t") for form in HIDDEN)]
    terms = {"forbidden": {"weight": 0.3}}
    with Grader(scoring(terms=terms), workers=1) as grader:
        grades = grader.grade_answers([Answer(database, (gold,), text) for text in texts])
    values = [grade.scores["reward"].value or 0.0 for grade in grades]
    right = [grade.attempt.verdicts[Mode.STRICT] == 1 for grade in grades]
    assert values[0] == 1.0 and right.count(True) >= 9
    assert all(value == pytest.approx(0.7) for value, one in zip(values[1:], right[1:], strict=True) if one)


def test_hostile_text_is_matched_in_time() -> None:
    attempt = replace(PERFECT, text=" " * 100_000 + "`" + "```sql\n" * 10_000)
    assert reward_scorer(scoring(terms=ALL_TERMS))(attempt).value is not None


@pytest.fixture
def database(tmp_path: Path) -> Database:
    path = tmp_path / "d.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(3000)])
    return Database("d", instances=(path,))


def test_an_inefficient_query_lowers_the_reward(database: Database, home: Path) -> None:
    gold = "SELECT COUNT(*) FROM t WHERE x < 10"
    wasteful = "SELECT COUNT(*) FROM t WHERE x IN (SELECT a.x FROM t a JOIN t b ON a.x <= b.x WHERE a.x < 10)"
    answers = [Answer(database, (gold,), text) for text in (gold, wasteful, f"{gold};", "SELECT 1")]
    for section in ({"reward": "r_ves"}, {"reward": "gated", "terms": {"efficiency": {"weight": 0.3}}}):
        with Grader(scoring(**section), workers=1) as grader:
            values = [grade.scores["reward"].value or 0.0 for grade in grader.grade_answers(answers)]
        assert values[0] == values[2] > values[1] > values[3]


def test_the_same_sql_in_another_text_is_scored_by_its_own_text(database: Database, home: Path) -> None:
    gold = "SELECT COUNT(*) FROM t"
    answers = [Answer(database, (gold,), text) for text in (gold, f"Sure!\n```sql\n{gold}\n```")]
    with Grader(scoring(terms={"format": {"weight": 0.2}}), workers=1) as grader:
        assert [grade.scores["reward"].value for grade in grader.grade_answers(answers)] == [1.0, 0.8]


def test_the_example_of_a_custom_reward(
    database: Database, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "docs" / "examples")
    gold = "SELECT COUNT(*) FROM t"
    joined = "SELECT COUNT(*) FROM t AS a JOIN t AS b ON a.x = b.x"
    answers = [Answer(database, (gold,), text) for text in (gold, joined, "SELECT 2")]
    with Grader(scoring(reward="short_reward:FewTables"), workers=1) as grader:
        assert [grade.scores["reward"].value for grade in grader.grade_answers(answers)] == [1.0, 0.9, 0.0]
