"""Tables with near, not equal numbers: the verdict agrees with trying all orders."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import permutations

import pytest
from cpu_time import takes_less_than
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.matching.near_tables import NearTables
from rewards.matching.numbers import ColumnFacts, absolute_tolerance, same_cell
from rewards.matching.strict import strict
from rewards.types import Reason
from tasks.types import Cell, Outcome, Row, Status

NUMBER = st.sampled_from(
    [0, 1, 2, 1.0, 1.0000000004, 1.0000000008, 1.0000000012, 2.0, 2.5, -1.0, 2**60, 2.0**60, "1"]
)
WIDTH, ROWS = 40, 10_000
MOST_TEXTS = 4
"""How often all cells of ``table`` may be written as text in the time of a comparison: about a second."""


def tables(rows: int, columns: int) -> st.SearchStrategy[list[Row]]:
    return st.lists(st.tuples(*[NUMBER] * columns), min_size=rows, max_size=rows)


def tried(gold: Sequence[Row], other: Sequence[Row], groups: Sequence[int] | None) -> bool:
    """Whether some order of columns and of rows makes the tables equal, by brute force."""
    groups = groups or [0] * len(gold)

    left, right = ([ColumnFacts(cells) for cells in zip(*rows, strict=True)] for rows in (gold, other))

    def tolerances(columns: Sequence[int]) -> list[float]:
        return [absolute_tolerance(mine, right[column]) for mine, column in zip(left, columns, strict=True)]

    def fits(columns: Sequence[int], rows: Sequence[int]) -> bool:
        return all(
            groups[here] == groups[there]
            and all(
                map(same_cell, gold[here], [other[there][column] for column in columns], tolerances(columns))
            )
            for here, there in enumerate(rows)
        )

    orders = list(permutations(range(len(gold))))
    return any(fits(columns, rows) for columns in permutations(range(len(gold[0]))) for rows in orders)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_agrees_with_trying_all_orders(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    gold = data.draw(tables(rows, columns))
    dice = data.draw(st.randoms(use_true_random=False))
    other = [tuple(nudged(cell, dice) for cell in row) for row in gold]
    dice.shuffle(other)
    groups = data.draw(st.none() | st.just([number // 2 for number in range(rows)]))
    assert NearTables(gold, other).equal(groups) == tried(gold, other, groups)


def nudged(cell: Cell, dice: random.Random) -> Cell:
    if not isinstance(cell, float):
        return cell
    return dice.choice(
        [cell, cell * (1 + 3e-10), cell * (1 - 9e-10), cell * (1 + 3e-9) if dice.random() < 0.2 else cell]
    )


def table() -> list[tuple[float, ...]]:
    dice = random.Random(1)
    return [tuple(dice.random() * 1000 for _ in range(WIDTH)) for _ in range(ROWS)]


def check(gold: list[tuple[float, ...]], other: list[tuple[float, ...]], reason: Reason) -> None:
    """The verdict, which takes at most a few times as long as writing all cells of ``table`` as text."""
    names = tuple(map(str, range(len(gold[0]))))
    expected, found = (Outcome(Status.OK, names, tuple(rows)) for rows in (gold, other))

    def compare() -> None:
        assert strict(expected, found, lambda: None) is reason

    texts = table()
    assert takes_less_than(compare, MOST_TEXTS, lambda: [tuple(map(repr, row)) for row in texts])


def disturbed(rows: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    dice = random.Random(2)
    order = dice.sample(range(WIDTH), WIDTH)
    return [
        tuple(row[place] * (1 + dice.uniform(-3e-10, 3e-10)) for place in order)
        for row in dice.sample(rows, ROWS)
    ]


@pytest.mark.parametrize("wrong", [False, True])
def test_a_large_table_of_different_floats_takes_well_under_a_second(wrong: bool) -> None:
    gold = table()
    other = disturbed(gold)
    if wrong:
        other[5] = tuple(cell + 1 for cell in other[5])
    check(gold, other, Reason.WRONG_ROWS if wrong else Reason.CORRECT)


def chain(rows: int) -> list[tuple[float, ...]]:
    """Times so close that each is near the next, prices that repeat, and a number of its own."""
    return [(2459215.5 + row / 2000, round(row % 97 / 7, 2), float(row)) for row in range(rows)]


@pytest.mark.parametrize("wrong", [False, True])
def test_a_large_cluster_of_near_numbers_is_decided(wrong: bool) -> None:
    gold = chain(ROWS)
    dice = random.Random(3)
    other = [(price * (1 + 1e-15), time, key) for time, price, key in dice.sample(gold, ROWS)]
    if wrong:
        one, two = other[0], other[1]
        other[:2] = [(one[0], two[1], one[2]), (two[0], one[1], two[2])]
    check(gold, other, Reason.WRONG_ROWS if wrong else Reason.CORRECT)


def test_two_clusters_whose_rows_match_in_no_sorted_order_are_decided() -> None:
    dice = random.Random(4)
    gold = [(1 + dice.randint(0, 900) * 5e-10, 5 + dice.randint(0, 900) * 2e-9) for _ in range(300)]
    other = [(a * (1 + dice.uniform(-9e-10, 9e-10)), b * (1 + dice.uniform(-9e-10, 9e-10))) for a, b in gold]
    dice.shuffle(other)
    names = tuple("ab")
    expected, found = (Outcome(Status.OK, names, tuple(rows)) for rows in (gold, other))
    assert strict(expected, found, lambda: None) is Reason.CORRECT
