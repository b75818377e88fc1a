"""Intervals of paired differences: against their definition, and with a width where nothing differs."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from test_leaderboards import Evaluate, printed
from test_leaderboards import evaluate as evaluate
from test_leaderboards import home as home

from harness.render.compare import render_comparison
from leaderboards.compare import compare
from leaderboards.statistics import (
    bootstrap,
    clustered_difference,
    clustered_share,
    paired_difference,
    tango,
    totals,
    wilson,
)

Z = stats.norm.ppf(0.975)
COUNTS = st.tuples(st.integers(0, 30), st.integers(0, 30), st.integers(0, 60)).filter(sum)


def score(n: int, wins: int, losses: int, difference: float) -> float:
    """The score statistic, with the share of losses that maximises the likelihood found by scipy."""

    def improbable(lost: float) -> float:
        shares = (lost + difference, lost, 1 - 2 * lost - difference)
        counts = (wins, losses, n - wins - losses)
        return -sum(k * math.log(max(share, 1e-300)) for k, share in zip(counts, shares, strict=True) if k)

    bounds = (max(0.0, -difference), (1 - difference) / 2)
    found = optimize.minimize_scalar(improbable, bounds=bounds, method="bounded", options={"xatol": 1e-12})
    variance = n * (2 * found.x + difference * (1 - difference))
    return float((wins - losses - n * difference) / math.sqrt(variance))


@pytest.mark.parametrize(
    ("n", "wins", "losses"), [(50, 10, 3), (200, 1, 0), (200, 0, 7), (30, 15, 15), (1000, 90, 60)]
)
def test_at_the_ends_of_tangos_interval_the_score_is_the_normal_quantile(
    n: int, wins: int, losses: int
) -> None:
    low, high = tango(n, wins, losses)
    assert -1 < low < (wins - losses) / n < high < 1
    assert score(n, wins, losses, low) == pytest.approx(Z, rel=1e-3)
    assert score(n, wins, losses, high) == pytest.approx(-Z, rel=1e-3)


@given(COUNTS)
def test_tangos_interval_holds_the_difference_and_changes_its_sign_with_the_runs(
    counts: tuple[int, int, int],
) -> None:
    wins, losses, ties = counts
    n = sum(counts)
    low, high = tango(n, wins, losses)
    assert -1 <= low <= (wins - losses) / n <= high <= 1 and low < high
    assert tango(n, losses, wins) == pytest.approx((-high, -low), abs=1e-9)
    assert paired_difference([1.0] * wins + [-1.0] * losses + [0.0] * ties) == (low, high)


@pytest.mark.parametrize("n", [1, 20, 2000])
def test_without_discordant_questions_the_interval_is_as_wide_as_wilsons_of_none(n: int) -> None:
    bounds = wilson(0, n)
    assert bounds is not None
    assert paired_difference([0.0] * n) == pytest.approx((-bounds[1], bounds[1]))
    assert paired_difference([1.0] * n) == pytest.approx((1 - 2 * bounds[1], 1.0))


def test_of_several_answers_the_bootstrap_is_used_unless_all_differences_are_equal() -> None:
    differences = [0.25, -0.5, 1.0, 0.0] * 30
    assert paired_difference(differences) == bootstrap(differences)
    interval = paired_difference([0.25] * 40)
    share = Z**2 / (40 + Z**2)
    assert interval == pytest.approx((0.25 - 1.25 * share, 0.25 + 0.75 * share))
    assert paired_difference([]) is None


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.1])
def test_equal_differences_in_every_database_have_a_width_and_no_certainty(value: float) -> None:
    clusters = [i // 10 for i in range(80)]
    found = clustered_difference(totals([value] * 80, clusters))
    assert found is not None and -1 <= found.low <= value + 1e-9 and value - 1e-9 <= found.high <= 1
    t = stats.t.ppf(0.975, 7)
    assert found.high - found.low == pytest.approx(2 * t**2 / (80 + t**2))
    assert found.p == pytest.approx(2 * stats.t.sf(math.sqrt(80), 7) if value else 1.0)
    share = clustered_share(totals([0.0] * 80, clusters))
    assert share is not None and (value or found.high == pytest.approx(share.high))


def test_an_interval_of_differences_stays_within_its_bounds() -> None:
    found = clustered_difference(totals([1.0] * 9 + [0.0], [0, 1] * 5))
    assert found is not None and found.high == 1.0 and found.low >= -1.0


def test_a_comparison_of_equal_runs_has_intervals_with_a_width(evaluate: Evaluate) -> None:
    for model in ("a", "b"):
        evaluate(model, [1.0, 0.0] * 20)
    result: Any = compare("a", "b")
    assert result.test.interval == tango(40, 0, 0)
    lines = [line.split() for line in printed(render_comparison(result)).splitlines() if "interval" in line]
    assert [line[:3] for line in lines[:2]] == [["-8.8", "…", "+8.8"], ["-80.1", "…", "+80.1"]]
