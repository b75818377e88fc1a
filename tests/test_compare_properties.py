"""Properties of comparison: equal to brute force, independent of order, fast enough."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise, permutations

import pytest
from cpu_time import takes_less
from hypothesis import given, settings
from hypothesis import strategies as st

from rewards.matching import bird, spider
from rewards.matching.strict import strict
from rewards.types import Reason
from tasks.types import Cell, Outcome, Row, Status

Table = list[Row]
exact = st.sampled_from([None, 0, 1, 2, "a", "b", "1", b"a"])
mixed = exact | st.sampled_from([1.0, 0.5, -0.0, 2.5])


def tables(cells: st.SearchStrategy[Cell]) -> st.SearchStrategy[Table]:
    def of_width(width: int) -> st.SearchStrategy[Table]:
        return st.lists(st.tuples(*[cells] * width), min_size=1, max_size=6)

    return st.integers(1, 4).flatmap(of_width)


def result(rows: Sequence[Row]) -> Outcome:
    return Outcome(Status.OK, tuple("c" for _ in rows[0]), tuple(rows))


def judged(gold: Sequence[Row], other: Sequence[Row], groups: list[int] | None = None) -> Reason:
    return strict(result(gold), result(other), lambda: groups)


def shuffled(rows: Sequence[Row], chance: random.Random) -> Table:
    """The rows and columns in another order."""
    order = list(range(len(rows[0])))
    chance.shuffle(order)
    moved = [tuple(row[i] for i in order) for row in rows]
    chance.shuffle(moved)
    return moved


def brute_force(gold: Table, other: Table, classes: Sequence[int]) -> bool:
    """Whether some order of columns makes the rows equal, by brute force."""
    if len(gold) != len(other) or len(gold[0]) != len(other[0]):
        return False
    bag = Counter(zip(classes, gold, strict=True))
    for order in permutations(range(len(gold[0]))):
        if bag == Counter(zip(classes, [tuple(row[i] for i in order) for row in other], strict=True)):
            return True
    return False


@given(tables(mixed), st.randoms(use_true_random=False))
def test_a_result_equals_itself_in_any_order(rows: Table, chance: random.Random) -> None:
    assert judged(rows, shuffled(rows, chance)) is Reason.CORRECT


@given(tables(mixed), st.randoms(use_true_random=False))
def test_near_floats_are_equal_in_any_order(rows: Table, chance: random.Random) -> None:
    near = [tuple(c * (1 + 9e-10) if isinstance(c, float) else c for c in row) for row in rows]
    assert judged(rows, shuffled(near, chance)) is Reason.CORRECT


@given(tables(mixed), st.randoms(use_true_random=False))
def test_one_more_row_is_never_correct(rows: Table, chance: random.Random) -> None:
    more = [*rows, chance.choice(rows)]
    assert judged(rows, shuffled(more, chance)) is Reason.WRONG_ROWS
    assert judged(more, rows) is Reason.WRONG_ROWS


@given(tables(mixed), tables(mixed))
def test_symmetry(one: Table, two: Table) -> None:
    assert (judged(one, two) is Reason.CORRECT) == (judged(two, one) is Reason.CORRECT)


@settings(max_examples=300)
@given(tables(exact), st.randoms(use_true_random=False), st.data())
def test_agrees_with_brute_force(rows: Table, chance: random.Random, data: st.DataObject) -> None:
    """A shuffled copy with one cell replaced, under random tie groups."""
    other = [list(row) for row in shuffled(rows, chance)]
    other[0][0] = data.draw(exact)
    changed = [tuple(row) for row in other]
    steps = data.draw(st.lists(st.booleans(), min_size=len(rows) - 1, max_size=len(rows) - 1))
    groups = [sum(steps[:index]) for index in range(len(rows))]
    same_bag = brute_force(rows, changed, [0] * len(rows))
    assert (judged(rows, changed) is Reason.CORRECT) == same_bag
    in_order = brute_force(rows, changed, groups)
    expected = Reason.CORRECT if in_order else Reason.WRONG_ORDER if same_bag else Reason.WRONG_ROWS
    assert judged(rows, changed, groups) is expected


def official_result_eq(one: Table, two: Table, ordered: bool) -> bool:
    """``result_eq`` of the test-suite evaluator, for few columns: it tries all their orders."""
    if len(one) != len(two) or len(one[0]) != len(two[0]):
        return False
    key = lambda cell: str(cell) + str(type(cell))  # noqa: E731
    bags = [[tuple(sorted(row, key=key)) for row in rows] for rows in (one, two)]
    if (bags[0] != bags[1]) if ordered else (set(bags[0]) != set(bags[1])):
        return False
    for order in permutations(range(len(one[0]))):
        moved = [tuple(row[i] for i in order) for row in two]
        if (one == moved) if ordered else (Counter(one) == Counter(moved)):
            return True
    return False


@settings(max_examples=300)
@given(tables(mixed), st.randoms(use_true_random=False), st.data(), st.booleans())
def test_spider_agrees_with_the_official_search(
    rows: Table, chance: random.Random, data: st.DataObject, ordered: bool
) -> None:
    other = [list(row) for row in (rows if ordered else shuffled(rows, chance))]
    other[0][0] = data.draw(mixed)
    changed = [tuple(row) for row in other]
    assert spider.equal(rows, changed, ordered) == official_result_eq(rows, changed, ordered)


@given(tables(mixed), tables(mixed))
def test_soft_f1_is_a_fraction_and_1_for_itself(one: Table, two: Table) -> None:
    assert 0 <= bird.soft_f1(one, two) <= 1
    assert bird.soft_f1(one, one) == 1


# --- time ---------------------------------------------------------------------------------------------------

ROWS, COLUMNS = 10_000, 40
CHANCE = random.Random(0)


def balanced_bits() -> Table:
    """Columns with the same bag of cells, which only their rows distinguish."""
    columns = [[i % 2 for i in range(ROWS)] for _ in range(COLUMNS)]
    for column in columns:
        CHANCE.shuffle(column)
    return list(zip(*columns, strict=True))


def circulant(size: int) -> Table:
    """All rows and columns look the same: colours alone decide nothing."""
    squares = {i * i % size for i in range(1, size)}
    return [tuple(int((i - j) % size in squares) for j in range(size)) for i in range(size)]


def one_apart(size: int, most: int, one: int) -> Table:
    """All cells ``most``, but ``one`` once in each row and column; both may have the same hash."""
    return [(*(one if i == j else most for j in range(size)), i) for i in range(size)]


def rings(*sizes: int) -> Table:
    """Rows and columns of the same degree, in rings of these sizes."""
    rows = []
    for start, size in zip([sum(sizes[:i]) for i in range(len(sizes))], sizes, strict=True):
        for i in range(size):
            rows.append(tuple(int(j in (start + i, start + (i + 1) % size)) for j in range(sum(sizes))))
    return rows


def random_integers() -> Table:
    return [tuple(CHANCE.choices(range(2**60, 2**60 + 5000), k=COLUMNS)) for _ in range(ROWS)]


WIDE: dict[str, Callable[[], Table]] = {
    "random integers": random_integers,
    "balanced bits": balanced_bits,
    "equal columns": lambda: [(i,) * COLUMNS for i in range(ROWS)],
    "2000 columns": lambda: [tuple(range(2000)), tuple(reversed(range(2000)))] * 5,
    "circulant": lambda: circulant(37),
    "-1 and -2": lambda: one_apart(7, -1, -2),
    "0 and 2^61-1": lambda: one_apart(9, 0, 2**61 - 1),
    "one-hot": lambda: one_apart(200, 0, 1),
    "latin square": lambda: [tuple((3 * i + j * j + i + j) % 20 for j in range(20)) for i in range(20)],
    "group table": lambda: [tuple(i ^ j for j in range(32)) for i in range(32)],
    "all bits": lambda: [tuple((i >> j) & 1 for j in range(10)) for i in range(1024)],
    "two rings": lambda: rings(20, 28),
    "eight rings": lambda: rings(*[6] * 8),
}


@pytest.mark.parametrize("name", WIDE)
def test_wide_results_take_well_under_a_second(name: str) -> None:
    rows = WIDE[name]()
    other = shuffled(rows, CHANCE)

    def compare() -> None:
        assert judged(rows, other) is Reason.CORRECT

    assert takes_less(compare, seconds=1)
    assert spider.equal(rows, other, ordered=False)


def test_the_search_is_bounded() -> None:
    """Two different tables with the same colours: the search over the orders of 40 columns ends."""
    one, two = balanced_bits(), balanced_bits()
    ring = [tuple(int(j in (i, (i + 1) % 24)) for j in range(24)) for i in range(24)]
    two_rings = [tuple(int(j in (i, i // 12 * 12 + (i + 1) % 12)) for j in range(24)) for i in range(24)]

    def compare() -> None:
        assert judged(one, two) is judged(ring, two_rings) is Reason.WRONG_ROWS

    assert takes_less(compare, seconds=2)


def test_tie_groups_count_up() -> None:
    rows = [(i // 3, i) for i in range(12)]
    groups = [i // 3 for i in range(12)]
    backwards = [rows[3 * group + 2 - place] for group in range(4) for place in range(3)]
    assert judged(rows, backwards, groups) is Reason.CORRECT
    assert all(one <= two for one, two in pairwise(groups))
