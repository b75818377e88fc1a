"""Properties of all queries: rewritten they stay correct, with a wrong row never; scores are in range."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.composite import Gated
from rewards.grader import attempt_of
from rewards.judge import judge
from rewards.presets import PRESETS
from rewards.types import Attempt, JudgeJob, JudgeSettings
from tasks.databases.sandbox.executor import Executor
from tasks.types import Database, Limits, Mode

DDL = """
CREATE TABLE shop (id INTEGER PRIMARY KEY, name TEXT, city TEXT, area REAL);
CREATE TABLE sale (no INTEGER PRIMARY KEY, shop REFERENCES shop(id), item TEXT, price REAL, count INTEGER);
INSERT INTO shop VALUES (1, 'Nord', 'Oslo', 10.5), (2, 'Sud', 'Rome', 20), (3, 'Est', 'Oslo', NULL),
    (4, 'Ouest', 'Pisa', 10.5);
INSERT INTO sale VALUES (1, 1, 'pen', 1.5, 3), (2, 1, 'ink', 4.0, 1), (3, 2, 'pen', 1.5, 2),
    (4, 3, 'cup', 2.25, 7), (5, 4, 'pen', 1.75, 3), (6, 2, 'ink', 4.0, 1), (7, 3, 'pen', 1.5, NULL);
"""
SHOP = Database("shop", ddl=DDL)
COLUMNS = ("shop.name", "shop.city", "shop.area", "sale.item", "sale.price", "sale.count")
WHERES = (
    "",
    "sale.price > 1.5",
    "shop.city = 'Oslo'",
    "sale.item LIKE 'p%' AND shop.id < 4",
    "sale.count IS NULL",
)
SETTINGS = JudgeSettings(tuple(Mode), Mode.STRICT)


@cache
def executor() -> Executor:
    return Executor(Limits(seconds=10))


def judged(gold: str, sql: str) -> Attempt:
    job = JudgeJob(SHOP, (gold,), sql, SETTINGS)
    return attempt_of(job, judge(executor(), job))


def query(columns: Sequence[str], where: str, ordered: str = "") -> str:
    text = f"SELECT {', '.join(columns)} FROM sale JOIN shop ON sale.shop = shop.id"
    return text + f" WHERE {where}" * bool(where) + f" ORDER BY {ordered}" * bool(ordered)


@st.composite
def golds(draw: st.DrawFn, orders: bool = True) -> tuple[list[str], str, str]:
    """Columns, condition, order."""
    columns = draw(st.lists(st.sampled_from(COLUMNS), min_size=1, max_size=4, unique=True))
    ordered = draw(st.sampled_from(["", columns[0], f"{columns[-1]} DESC"])) if orders else ""
    return columns, draw(st.sampled_from(WHERES)), ordered


def rewritten(columns: Sequence[str], where: str, ordered: str, dice: random.Random) -> str:
    """The same question in other words: order and names of columns, aliases of tables, case, white space."""
    asked = [f"{one} AS c{place}" if dice.random() < 0.5 else one for place, one in enumerate(columns)]
    dice.shuffle(asked)
    text = query(asked, where, ordered)
    if dice.random() < 0.5:
        text = text.replace("FROM sale JOIN shop", "FROM sale AS v JOIN shop w")
        text = text.replace("sale.", "v.").replace("shop.", "w.")
    quoted = text.split("'")
    for place in range(0, len(quoted), 2):
        words = [dice.choice([word.lower(), word.upper(), word]) for word in quoted[place].split(" ")]
        quoted[place] = "".join(word + dice.choice([" ", "\n", "\t ", " /* a ' */ "]) for word in words)[:-1]
    return "'".join(part if place % 2 else part + " " for place, part in enumerate(quoted))


@settings(max_examples=150, deadline=None)
@given(golds(), st.randoms(use_true_random=False))
def test_a_rewritten_gold_is_correct(gold: tuple[list[str], str, str], dice: random.Random) -> None:
    columns, where, ordered = gold
    found = judged(query(*gold), rewritten(columns, where, ordered, dice))
    assert found.verdicts[Mode.STRICT] == 1.0, found
    assert found.verdicts[Mode.SPIDER] == 1.0 or ordered, "ties may differ for official Spider"
    assert Gated()(found).value == 1.0


@settings(max_examples=100, deadline=None)
@given(golds(), st.sampled_from(["1", "'no such value'", "NULL", "-1.25"]))
def test_one_more_wrong_row_is_never_correct(gold: tuple[list[str], str, str], cell: str) -> None:
    columns, where, _ = gold
    more = query(columns, where) + " UNION ALL SELECT " + ", ".join([cell] * len(columns))
    assert judged(query(*gold), more).verdicts[Mode.STRICT] == 0.0


@settings(max_examples=150, deadline=None)
@given(golds(orders=False), golds(orders=False))
def test_strict_is_symmetric_and_every_score_in_range(
    one: tuple[list[str], str, str], two: tuple[list[str], str, str]
) -> None:
    here, there = judged(query(*one), query(*two)), judged(query(*two), query(*one))
    for mode in (Mode.STRICT, Mode.SPIDER, Mode.BIRD):
        assert here.verdicts[mode] == there.verdicts[mode]
    assert all(value is not None and 0 <= value <= 1 for value in here.verdicts.values())
    assert all(0 <= value <= 1 for value in (*here.clauses.values(), here.row_overlap))


@settings(max_examples=100, deadline=None)
@given(golds(), golds(), st.randoms(use_true_random=False))
def test_no_composite_ranks_a_wrong_answer_over_a_right_one(
    gold: tuple[list[str], str, str], other: tuple[list[str], str, str], dice: random.Random
) -> None:
    columns, where, ordered = gold
    right = judged(query(*gold), rewritten(columns, where, ordered, dice))
    wrong = judged(query(*gold), query(*other))
    for make in PRESETS.values():
        values: Any = [make(Mode.STRICT)(attempt).value for attempt in (right, wrong)]
        assert wrong.verdicts[Mode.STRICT] == 1.0 or values[0] > values[1]
