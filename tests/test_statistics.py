"""Statistics against published or hand-computed values, and against scipy and statsmodels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_statsmodels
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from leaderboards.statistics import (
    Spread,
    bootstrap,
    clustered_difference,
    clustered_share,
    detectable,
    holm,
    mcnemar,
    pass_at_k,
    spread,
    totals,
    wilson,
)
from leaderboards.statistics.student import t_quantile, t_within


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


# against scipy and statsmodels


@pytest.mark.parametrize(("right", "n"), [(0, 1), (3, 9), (150, 200), (999, 1000), (20_000, 20_000)])
def test_wilson_equals_statsmodels(right: int, n: int) -> None:
    assert wilson(right, n) == pytest.approx(proportion_confint(right, n, method="wilson"), rel=1e-12)


@pytest.mark.parametrize(("wins", "losses"), [(0, 3), (7, 2), (31, 18), (200, 240), (1000, 1000)])
def test_mcnemar_equals_statsmodels_and_scipys_binomial(wins: int, losses: int) -> None:
    theirs = mcnemar_of_statsmodels([[5, losses], [wins, 9]], exact=True).pvalue
    assert mcnemar(wins, losses) == pytest.approx(theirs, rel=1e-9)
    assert mcnemar(wins, losses) == pytest.approx(stats.binomtest(wins, wins + losses).pvalue, rel=1e-9)


@pytest.mark.parametrize("values", [[0.0, 1.0] * 40 + [-1.0] * 20, [0.25, -0.5, 1.0, 0.0, 0.75] * 30])
def test_bootstrap_agrees_with_scipys(values: list[float]) -> None:
    theirs = stats.bootstrap((values,), lambda x, axis: x.mean(axis), method="percentile", rng=1)
    assert bootstrap(values) == pytest.approx(
        tuple(theirs.confidence_interval), abs=0.0101
    )  # one question of 100


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_equals_statsmodels(ps: list[float]) -> None:
    theirs = multipletests(ps, method="holm")[1] if ps else []
    assert holm(ps) == pytest.approx(list(theirs), rel=1e-12)


@pytest.mark.parametrize("df", [1, 2, 3, 4, 9, 30, 101, 2000])
def test_students_t_equals_scipys(df: int) -> None:
    for level in (0.5, 0.8, 0.95, 0.999):
        assert t_quantile(df, level) == pytest.approx(stats.t.ppf((1 + level) / 2, df), rel=1e-9)
    for t in (0.0, 0.3, -2.0, 40.0):
        assert t_within(t, df) == pytest.approx(1 - 2 * stats.t.sf(abs(t), df), abs=1e-12)


@pytest.mark.parametrize("of", [t_quantile, lambda df: t_within(1.0, df)])
def test_students_t_needs_a_degree_of_freedom(of: Callable[[int], float]) -> None:
    with pytest.raises(ValueError, match="0 degrees of freedom"):
        of(0)


# clusters


def test_one_question_a_cluster_is_the_interval_of_independent_questions() -> None:
    values = [1.0] * 130 + [0.0] * 70
    found = clustered_share(totals(values, range(200)))
    assert found is not None and (found.clusters, found.effective) == (200, 200)
    assert found.design_effect == pytest.approx(200 / 199)  # the jackknife divides by n - 1
    assert (found.low, found.high) == pytest.approx(wilson(130, 200), abs=0.002)


def test_difference_with_one_question_a_cluster_is_scipys_t_test() -> None:
    values = [1.0] * 20 + [-1.0] * 9 + [0.0] * 50 + [0.5] * 3
    found = clustered_difference(totals(values, range(len(values))))
    theirs = stats.ttest_1samp(values, 0)
    assert found is not None and found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(theirs.confidence_interval(), rel=1e-9)
    assert found.design_effect == pytest.approx(1)


def test_difference_of_equal_clusters_is_scipys_t_test_of_their_means() -> None:
    clusters = [[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, -1.0], [1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 1.0]]
    values = [value for cluster in clusters for value in cluster]
    found = clustered_difference(totals(values, [i // 4 for i in range(16)]))
    theirs = stats.ttest_1samp([sum(cluster) / 4 for cluster in clusters], 0)
    assert found is not None and found.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx(theirs.confidence_interval(), rel=1e-9)


def test_a_cluster_of_equal_answers_counts_as_one_question() -> None:
    clusters = [i // 10 for i in range(200)]  # 20 databases, each all right or all wrong
    values = [float(cluster % 2) for cluster in clusters]
    found = clustered_share(totals(values, clusters))
    assert found is not None and found.design_effect == pytest.approx(10 * 20 / 19)
    n, z = 200 / found.design_effect, stats.t.ppf(0.975, 19)
    theirs = proportion_confint(n / 2, n, alpha=2 * stats.norm.sf(z), method="wilson")
    assert (found.low, found.high) == pytest.approx(theirs, rel=1e-9)


def test_clusters_of_different_sizes_by_hand() -> None:
    values, clusters = [1.0, 1.0, 0.0, 0.0, 0.0, 1.0], ["a", "a", "a", "a", "b", "b"]
    found = clustered_difference(totals(values, clusters))
    # n^2 / sum of squares = 36 / 20; means without a and without b: 1/2 and 1/2, so the variance of
    # independent questions is used: 1/2 * 1/2 * 6 / 5 / 6
    assert found is not None and found.effective == pytest.approx(1.8)
    error = math.sqrt(0.05)
    assert (found.low, found.high) == (-1.0, 1.0)  # 0.5 +- 12.7 error, cut
    assert found.p == pytest.approx(2 * stats.t.sf(0.5 / error, 1))


@pytest.mark.parametrize("clusters", [[], ["a"] * 9, ["a"] * 30 + ["b"]])
def test_too_few_clusters_have_no_interval(clusters: list[str]) -> None:
    found = totals([1.0] * len(clusters), clusters)
    assert clustered_share(found) is None and clustered_difference(found) is None


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 5)), min_size=1, max_size=60))
def test_clustered_share_holds_the_share_and_is_no_narrower_than_wilson(
    cases: list[tuple[float, int]],
) -> None:
    values = [value for value, _ in cases]
    found = clustered_share(totals(*zip(*cases, strict=True)))
    plain = wilson(sum(values), len(values))
    if found is not None and plain is not None:
        assert 0 <= found.low <= plain[0] + 1e-9 and plain[1] - 1e-9 <= found.high <= 1
        assert found.design_effect >= 1


@given(st.lists(st.tuples(st.sampled_from([-1.0, 0.0, 0.5, 1.0]), st.integers(0, 5)), min_size=1))
def test_clustered_difference_changes_its_sign_with_the_runs(cases: list[tuple[float, int]]) -> None:
    values, clusters = [value for value, _ in cases], [cluster for _, cluster in cases]
    there = clustered_difference(totals(values, clusters))
    back = clustered_difference(totals([-value for value in values], clusters))
    if there is not None and back is not None:
        assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
        assert there.p is not None and 0 <= there.p <= 1
        assert (there.p < 0.05) == (there.low > 0 or there.high < 0 or there.low == there.high != 0)


# what a test can detect, and seeds


@pytest.mark.parametrize(("n", "discordant"), [(100, 0.3), (300, 0.1), (1034, 0.2), (1034, 1.0)])
def test_detectable_solves_connors_equation(n: int, discordant: float) -> None:
    found = detectable(n, discordant)
    assert found is not None and found <= discordant
    a, b = stats.norm.ppf(0.975), stats.norm.ppf(0.8)
    needed = (a * math.sqrt(discordant) + b * math.sqrt(discordant - found**2)) ** 2 / found**2
    assert needed == pytest.approx(n)


@pytest.mark.parametrize(("n", "discordant"), [(50, 0.0), (300, 0.01), (1034, 0.0)])
def test_detectable_raises_the_share_of_discordant_questions_where_it_is_too_small(
    n: int, discordant: float
) -> None:
    found = detectable(n, discordant)
    assert found is not None and found > discordant
    a, b = stats.norm.ppf(0.975), stats.norm.ppf(0.8)
    needed = (a * math.sqrt(found) + b * math.sqrt(found - found**2)) ** 2 / found**2
    assert needed == pytest.approx(n)


def test_mcnemar_finds_the_detectable_difference_with_the_promised_power() -> None:
    n, discordant = 250, 0.2
    difference = detectable(n, discordant)
    assert difference is not None
    count, won = stats.binom(n, discordant), (discordant + difference) / 2 / discordant
    power = sum(
        count.pmf(k) * stats.binom(k, won).pmf(wins)
        for k in range(30, 73)
        for wins in range(k + 1)
        if mcnemar(wins, k - wins) < 0.05
    )
    assert power == pytest.approx(0.8, abs=0.06)  # the exact test is conservative


@pytest.mark.parametrize("n", [0, 1, 3])
def test_with_very_few_questions_nothing_is_detectable(n: int) -> None:
    assert detectable(n, 0.5) is None


def test_spread_is_scipys_t_interval_over_runs() -> None:
    values = [0.61, 0.63, 0.58]
    found = spread(values)
    assert found is not None and (found.n, found.mean) == (3, pytest.approx(0.60666667))
    assert found.deviation == pytest.approx(stats.tstd(values))
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    assert (found.low, found.high) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf, 1.7e308])
def test_what_is_no_finite_number_has_no_deviation(odd: float) -> None:
    for values in ([odd, odd], [odd, 1.0], [odd, -odd]):
        found = spread(values)
        assert found is not None and found.n == 2 and found.deviation is found.low is found.high is None


def test_one_run_has_no_spread() -> None:
    assert spread([]) is None
    assert spread([0.5]) == Spread(1, 0.5, None, None, None)
