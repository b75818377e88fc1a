"""Tables whose numbers are near, not equal: what is decided by columns is what trying all orders finds."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.cells import same_cell
from rewards.compare import strict
from rewards.near import Near
from rewards.types import Reason
from tasks.types import Cell, Outcome, Row, Status

NUMBER = st.sampled_from([0, 1, 2, 1.0, 1.0000004, 1.0000008, 1.0000012, 2.0, 2.5, -1.0, 2**60, 2.0**60, "1"])
WIDTH, ROWS = 40, 10_000


def tables(rows: int, columns: int) -> st.SearchStrategy[list[Row]]:
    return st.lists(st.tuples(*[NUMBER] * columns), min_size=rows, max_size=rows)


def tried(gold: Sequence[Row], other: Sequence[Row], groups: Sequence[int] | None) -> bool:
    """Every order of columns and of rows."""
    groups = groups or [0] * len(gold)

    def fits(columns: Sequence[int], rows: Sequence[int]) -> bool:
        return all(
            groups[here] == groups[there]
            and all(map(same_cell, gold[here], [other[there][column] for column in columns]))
            for here, there in enumerate(rows)
        )

    orders = list(permutations(range(len(gold))))
    return any(fits(columns, rows) for columns in permutations(range(len(gold[0]))) for rows in orders)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_is_decided_is_right(data: st.DataObject) -> None:
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 3))
    gold = data.draw(tables(rows, columns))
    dice = data.draw(st.randoms(use_true_random=False))
    other = [tuple(nudged(cell, dice) for cell in row) for row in gold]
    dice.shuffle(other)
    groups = data.draw(st.none() | st.just([number // 2 for number in range(rows)]))
    decided = Near(gold, other).same(groups)
    if decided is not None and any(isinstance(cell, float) for row in (*gold, *other) for cell in row):
        assert decided == tried(gold, other, groups)


def nudged(cell: Cell, dice: random.Random) -> Cell:
    if not isinstance(cell, float):
        return cell
    return dice.choice(
        [cell, cell * (1 + 3e-7), cell * (1 - 9e-7), cell * (1 + 3e-6) if dice.random() < 0.2 else cell]
    )


def table() -> list[tuple[float, ...]]:
    dice = random.Random(1)
    return [tuple(dice.random() * 1000 for _ in range(WIDTH)) for _ in range(ROWS)]


def disturbed(rows: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
    dice = random.Random(2)
    order = dice.sample(range(WIDTH), WIDTH)
    return [
        tuple(row[place] * (1 + dice.uniform(-3e-7, 3e-7)) for place in order)
        for row in dice.sample(rows, ROWS)
    ]


@pytest.mark.parametrize("wrong", [False, True])
def test_a_large_table_of_different_floats_takes_well_under_a_second(wrong: bool) -> None:
    gold = table()
    other = disturbed(gold)
    if wrong:
        other[5] = tuple(cell + 1 for cell in other[5])
    names = tuple(map(str, range(WIDTH)))
    expected, found = (Outcome(Status.OK, names, tuple(rows)) for rows in (gold, other))
    times = []
    for _ in range(2):
        began = time.process_time()
        assert strict(expected, found, lambda: None) is (Reason.WRONG_ROWS if wrong else Reason.CORRECT)
        times.append(time.process_time() - began)
    assert min(times) < 1
