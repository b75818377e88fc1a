"""Statistics against published or hand-computed values."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboards.statistics import bootstrap, mcnemar, pass_at_k, wilson


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe (1998), table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
        # by hand: z^2 / (n + z^2) = 3.8415 / 13.8415 is the low end for all right
        (10, 10, 0.7225, 1.0000),
    ],
)
def test_wilson_equals_the_published_intervals(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


def test_wilson_of_nothing_is_nothing() -> None:
    assert wilson(0, 0) is None


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.floats(0, n), st.just(n))))
def test_wilson_holds_the_share_and_stays_in_bounds(case: tuple[float, int]) -> None:
    interval = wilson(*case)
    assert interval is not None
    assert 0 <= interval[0] <= case[0] / case[1] + 1e-9
    assert case[0] / case[1] - 1e-9 <= interval[1] <= 1


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (5, 5, 1.0),
        (9, 1, 22 / 1024),  # 2 (1 + 10) / 2^10
        (0, 6, 2 / 64),
        (8, 2, 112 / 1024),  # 2 (1 + 10 + 45) / 2^10
        (150, 86, 3.716e-05),  # Agresti's presidents' approval ratings; R: exact2x2::mcnemar.exact
    ],
)
def test_mcnemar_equals_the_known_p(wins: int, losses: int, p: float) -> None:
    assert mcnemar(wins, losses) == pytest.approx(p, rel=2e-4)
    assert mcnemar(losses, wins) == mcnemar(wins, losses)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_equals_the_binomial_summed_in_fractions(wins: int, losses: int) -> None:
    n = wins + losses
    tail = sum(Fraction(math.comb(n, i), 2**n) for i in range(min(wins, losses) + 1))
    assert mcnemar(wins, losses) == pytest.approx(float(min(2 * tail, Fraction(1))), rel=1e-12)


def test_mcnemar_of_very_many_questions_neither_overflows_nor_underflows() -> None:
    assert 0 <= mcnemar(20_000, 1_000) < 1e-300
    assert mcnemar(5_000, 5_000) == 1.0


def test_bootstrap_equals_enumeration_on_a_tiny_sample() -> None:
    differences = [0.0, 0.0, 1.0]
    means = sorted(sum(draw) / 3 for draw in itertools.product(differences, repeat=3))
    assert bootstrap(differences) == (means[0], means[-1])  # both ends have probability > 2.5 %


def test_bootstrap_agrees_with_the_normal_limit() -> None:
    differences = [1.0] * 300 + [-1.0] * 200 + [0.0] * 500
    mean, variance = 0.1, 0.5 - 0.1**2
    margin = 1.96 * math.sqrt(variance / 1000)
    assert bootstrap(differences) == pytest.approx((mean - margin, mean + margin), abs=0.002)


def test_bootstrap_is_seeded_and_ignores_the_order_of_the_questions() -> None:
    differences = [0.5, -1.0, 0.0, 1.0, 0.25] * 20
    assert bootstrap(differences, 1) == bootstrap(differences[::-1], 1)
    assert bootstrap(differences, 1) != bootstrap(differences, 2)


@pytest.mark.parametrize(
    ("differences", "interval"), [([], None), ([0.5], (0.5, 0.5)), ([0.0] * 9, (0.0, 0.0))]
)
def test_bootstrap_of_no_spread(differences: list[float], interval: tuple[float, float] | None) -> None:
    assert bootstrap(differences) == interval


@pytest.mark.parametrize(
    ("n", "correct", "k", "value"),
    [
        (5, 2, 2, 1 - 3 / 10),
        (10, 0, 10, 0.0),
        (10, 3, 8, 1.0),
        (4, 1, 1, 0.25),
        (200, 1, 100, 0.5),
        (1, 1, 1, 1.0),
    ],
)
def test_pass_at_k_equals_the_hand_computed(n: int, correct: int, k: int, value: float) -> None:
    assert pass_at_k(n, correct, k) == pytest.approx(value)


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer(case: tuple[int, int, int]) -> None:
    n, correct, k = case
    subsets = list(itertools.combinations([True] * correct + [False] * (n - correct), k))
    assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


@pytest.mark.parametrize("case", [(0, 0, 1), (5, 6, 1), (5, -1, 1), (5, 2, 6), (5, 2, 0)])
def test_pass_at_k_refuses_what_has_no_meaning(case: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(*case)
