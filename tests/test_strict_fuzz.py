"""``strict`` against a slow matcher written from its docstring alone: random tables, all orders tried.

100,000 tables by ``pytest tests/test_strict_fuzz.py -m slow``; STRICT_FUZZ sets another number.
"""

from __future__ import annotations

import math
import os
import random
from collections import Counter
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import permutations

import pytest

from rewards.matching.strict import LimitCut, strict
from rewards.types import Reason
from tasks.types import Cell, Outcome, Row, Status

FEW = 3000
MANY = int(os.environ.get("STRICT_FUZZ", "100000"))
Draw = Callable[[random.Random], Cell]
Table = list[Row]


# --- the slow matcher ---------------------------------------------------------------------------------------


def value(cell: Cell) -> float | int | Decimal | None:
    if isinstance(cell, tuple) and cell[0] == "decimal":
        return Decimal(str(cell[1]))
    return cell if isinstance(cell, int | float) else None


def magnitude(cells: Sequence[Cell]) -> float:
    """The largest finite number in these cells or inside them."""
    found = [0.0]
    for cell in cells:
        number = value(cell)
        if number is not None:
            found += [abs(float(number))] if math.isfinite(number) else []
        elif isinstance(cell, tuple):
            found.append(magnitude(cell[1:]))
    return max(found)


def equal(one: Cell, other: Cell, tolerance: float) -> bool:
    x, y = value(one), value(other)
    if x is None and y is None:
        if isinstance(one, tuple) and isinstance(other, tuple):
            parts = zip(one, other, strict=False)
            return len(one) == len(other) and all(equal(a, b, tolerance) for a, b in parts)
        return type(one) is type(other) and one == other
    if x is None or y is None:
        return False
    if not isinstance(x, float) and not isinstance(y, float):
        return x == y
    x, y = float(x), float(y)
    if math.isnan(x) or math.isnan(y):
        return math.isnan(x) and math.isnan(y)
    if math.isinf(x) or math.isinf(y):
        return x == y
    return abs(x - y) <= max(1e-9 * max(abs(x), abs(y)), tolerance)


def slowly(
    gold: Table, groups: Sequence[int], other: Table, places: Sequence[int], order: Sequence[int]
) -> bool:
    """Whether each row of ``other``, its columns in this order, has a row of its own in its group."""
    tolerances = []
    for mine, theirs in enumerate(order):
        sizes = magnitude([row[mine] for row in gold]), magnitude([row[theirs] for row in other])
        tolerances.append(1e-12 * (max(sizes) if min(sizes) > 0 else 1.0))

    def place(index: int, taken: frozenset[int]) -> bool:
        if index == len(other):
            return True
        row = [other[index][column] for column in order]
        return any(
            place(index + 1, taken | {candidate})
            for candidate in range(len(gold))
            if candidate not in taken
            and groups[candidate] == places[index]
            and all(map(equal, gold[candidate], row, tolerances))
        )

    return place(0, frozenset())


def allowed(gold: Table, groups: Sequence[int], other: Table, places: Sequence[int]) -> bool:
    orders = permutations(range(len(gold[0])))
    return any(slowly(gold, groups, other, places, order) for order in orders)


# --- random tables ------------------------------------------------------------------------------------------


def of(*cells: Cell) -> Draw:
    return lambda dice: dice.choice(cells)


DRAWS: list[Draw] = [
    of(-1, -2),
    of(0, 2**61 - 1, 1),
    of("a", "b", None),
    of(0, 1, 1.0, "1", b"1", None),
    of(0.0, 0.1 + 0.2 - 0.3, 1e-13, -1e-13, 1e-11),
    of(0.0, 1e-10, 1e-7, 1e5),
    of(1e-20, 2e-20, 1e-20 * (1 + 1e-10)),
    of(float("nan"), float("inf"), -float("inf"), 1.0, None),
    of(("decimal", "1.1"), ("decimal", "1.10000000001"), 1.1, 1.10000000001, 1),
    of(("list", 1, 2), ("list", 1.0, 2), "[1, 2]", ("list", 1, 2.0000000001), ("list", 1, 2.1)),
    of(("map", 1, 0.1), ("map", "1", 0.1), ("struct", "a", 0.1), ("struct", "a", 0.1 + 1e-17), None),
    lambda dice: 2459215.5 * (1 + 6e-10 * dice.randint(0, 4)),
    lambda dice: 100 * (1 + 8e-10 * dice.randint(0, 3)),
    lambda dice: 5 * 10**9 + dice.randint(0, 6) * dice.choice([1, 1.0]),
    lambda dice: dice.choice([0.3, 0.1 + 0.2, 0.7, -0.3]),
    lambda dice: round(dice.random(), 1),
]


def nudged(cell: Cell, dice: random.Random) -> Cell:
    """The cell, or one that is near it or just too far from it."""
    if isinstance(cell, tuple) and cell[0] != "decimal":
        return (cell[0], *(nudged(part, dice) for part in cell[1:]))
    if isinstance(cell, float) and dice.random() < 0.5:
        return cell * (1 + dice.choice([1e-15, 4e-10, -8e-10, 1.5e-9])) + dice.choice([0, 0, 1e-17])
    return cell


def a_pair(dice: random.Random) -> tuple[Table, Table, list[int]]:
    """A table, a similar one, and tie groups."""
    rows, width = dice.randint(1, 6), dice.randint(1, 4)
    draws = dice.choices(DRAWS, k=dice.randint(1, 2))
    columns = [dice.choice(draws) for _ in range(width)]
    gold = [tuple(draw(dice) for draw in columns) for _ in range(rows)]
    groups = [0]
    for _ in gold[1:]:
        groups.append(groups[-1] + (dice.random() < 0.4))
    order = dice.sample(range(width), width)
    places = list(range(rows))
    if dice.random() < 0.8:
        places.sort(key=lambda row: (groups[row], dice.random()))
    else:
        dice.shuffle(places)
    other = [[nudged(gold[row][column], dice) for column in order] for row in places]
    for _ in range(dice.choice([0, 0, 1, 2])):
        row, column = dice.randrange(rows), dice.randrange(width)
        other[row][column] = dice.choice([columns[order[column]](dice), other[dice.randrange(rows)][column]])
    return gold, [tuple(row) for row in other], groups


def result(rows: Sequence[Row]) -> Outcome:
    return Outcome(Status.OK, tuple("c" for _ in rows[0]), tuple(rows))


def check_a_pair(dice: random.Random) -> Reason:
    gold, other, groups = a_pair(dice)
    ordered = dice.random() < 0.5
    free = [0] * len(gold)
    expected = Reason.CORRECT
    if not allowed(gold, free, other, free):
        expected = Reason.WRONG_ROWS
    elif ordered and not allowed(gold, groups, other, groups):
        expected = Reason.WRONG_ORDER
    found = strict(result(gold), result(other), lambda: groups if ordered else None)
    assert found is expected, f"{gold=} {other=} {groups=} {ordered=}"
    return expected


def check_a_cut(dice: random.Random) -> Reason:
    """The gold's LIMIT and OFFSET leave out some rows of its first and last tie groups."""
    rows, near, groups = a_pair(dice)
    first = dice.randint(0, groups.count(0) - 1)
    last = len(rows) - dice.randint(0, groups.count(groups[-1]) - 1)
    if first >= last:
        return Reason.CORRECT
    gold, places = rows[first:last], groups[first:last]
    other = near[first:last]
    cut = LimitCut(rows, groups, places)
    right = allowed(gold, places, other, places) or allowed(rows, groups, other, places)
    found = strict(result(gold), result(other), lambda: places, lambda: cut)
    assert (found is Reason.CORRECT) == right, f"{rows=} {groups=} {places=} {other=}"
    return Reason.CORRECT if right else Reason.WRONG_ROWS


def checked(seed: int, count: int) -> Counter[Reason]:
    dice = random.Random(seed)
    checks = check_a_pair, check_a_pair, check_a_cut
    return Counter(checks[number % 3](dice) for number in range(count))


def test_agrees_with_a_slow_matcher() -> None:
    reasons = checked(1, FEW)
    assert min(reasons[one] for one in (Reason.CORRECT, Reason.WRONG_ROWS, Reason.WRONG_ORDER)) > FEW // 100


@pytest.mark.slow
def test_agrees_with_a_slow_matcher_on_many() -> None:
    assert checked(2, MANY).total() == MANY
