"""95 % confidence intervals: of shares, of paired differences, over databases and over seeds."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import NamedTuple

from leaderboards.statistics.student import t_quantile, t_within

Z95 = 1.959963984540054
"""The standard normal's 97.5 % quantile."""

LARGEST = 1e300
"""From here on, sums and squares of floats may overflow."""

Interval = tuple[float, float]


def wilson(successes: float, n: int) -> Interval | None:
    """The 95 % score interval of a proportion, without continuity correction.

    Source: E. B. Wilson, JASA 22 (1927) 209-212; method 3 in R. G. Newcombe, Statistics in Medicine 17
    (1998) 857-872. ``successes`` may be a sum of fractions. Returns (low, high) in [0, 1]; None if n is 0.
    """
    return _score_interval(successes / n, n, Z95) if n else None


def _score_interval(share: float, n: float, z: float) -> Interval:
    centre = share + z**2 / (2 * n)
    margin = z * math.sqrt(max(share * (1 - share), 0.0) / n + z**2 / (4 * n * n))
    scale = 1 + z**2 / n
    return max((centre - margin) / scale, 0.0), min((centre + margin) / scale, 1.0)


def without_spread(value: float, n: int, quantile: float) -> Interval:
    """The interval of a mean of n differences in [-1, 1] that are all equal, which have no variance.

    Wilson's interval of none in n says that up to a share w = z^2 / (n + z^2) of all questions may be other
    than those seen. These may have any difference, so the mean may be from value - w (1 + value) to value +
    w (1 - value). For differences of 0, 1 and -1 that is Tango's interval (``statistics.paired``).
    """
    w = quantile**2 / (n + quantile**2)
    return value - w * (1 + value), value + w * (1 - value)


class Total(NamedTuple):
    """The values of the questions of one cluster, such as a database, added up."""

    n: int
    total: float
    squares: float
    """Sum of the values' squares."""


def totals(values: Iterable[float], clusters: Iterable[Hashable]) -> list[Total]:
    """The totals of each cluster. ``clusters`` has the cluster of each value."""
    found: dict[Hashable, Total] = {}
    for value, cluster in zip(values, clusters, strict=True):
        n, total, squares = found.get(cluster, (0, 0.0, 0.0))
        found[cluster] = Total(n + 1, total + value, squares + value * value)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class ClusteredInterval:
    """A 95 % interval for questions of other databases, where questions of one database are alike."""

    low: float
    high: float
    clusters: int
    effective: float
    """Kish's effective number of clusters: as many of equal size would say as much."""
    design_effect: float
    """How many times the variance is that of as many independent questions."""
    p: float | None = None
    """Of a difference: two-sided p-value of the hypothesis that it is 0."""


def clustered_share(clusters: Sequence[Total]) -> ClusteredInterval | None:
    """The 95 % interval of a share of questions in clusters; None with fewer than two effective clusters.

    Wilson's interval with n divided by the design effect (L. Kish, Survey Sampling (1965), section 8.2):
    the variance by a jackknife that leaves out one cluster at a time (J. Shao and D. Tu, The Jackknife and
    Bootstrap (1995), section 2.4) over share (1 - share) / n, at least 1. Student's t takes the place of the
    normal quantile, with one degree of freedom less than Kish's effective number of clusters, rounded.
    ``benchmarks/coverage.py`` measures how often it holds the true share.
    """
    n, effective = _sizes(clusters)
    if round(effective) < 2:
        return None
    share = min(max(sum(cluster.total for cluster in clusters) / n, 0.0), 1.0)
    simple = share * (1 - share) / n
    design = max(_jackknife(clusters) / simple, 1.0) if simple else 1.0
    low, high = _score_interval(share, n / design, t_quantile(round(effective) - 1))
    return ClusteredInterval(low, high, len(clusters), effective, design)


def clustered_difference(clusters: Sequence[Total]) -> ClusteredInterval | None:
    """The 95 % interval of the mean of paired differences in clusters, and the p-value that the mean is 0.

    Mean +- t times the jackknife's standard error, with clusters and degrees of freedom as in
    ``clustered_share``; cut to [-1, 1]. Where all clusters have the same mean, the variance is that of
    independent questions. Where all differences are equal, such as without discordant questions, nothing
    shows how alike those of a cluster are: it is ``without_spread`` with the quantile of t, as E. L. Korn and
    B. I. Graubard (Survey Methodology 24 (1998) 193-201) take a design effect of 1 for a share of 0.
    Returns None with fewer than two effective clusters.
    """
    n, effective = _sizes(clusters)
    if round(effective) < 2:
        return None
    mean = sum(cluster.total for cluster in clusters) / n
    simple = max(sum(cluster.squares for cluster in clusters) - n * mean * mean, 0.0) / (n * (n - 1))
    error = math.sqrt(_jackknife(clusters) or (simple if simple > 1e-15 else 0.0))  # as in _jackknife
    df = round(effective) - 1
    if error:
        half = t_quantile(df) * error
        low, high, t = mean - half, mean + half, mean / error
    else:
        low, high = without_spread(mean, n, t_quantile(df))
        t = math.sqrt(n) if mean else 0.0  # with the variance that 0 as the mean would have: mean^2 / n
    p = max(1 - t_within(t, df), 0.0)
    design = error * error / simple if simple else 1.0
    return ClusteredInterval(max(low, -1.0), min(high, 1.0), len(clusters), effective, design, p)


def _sizes(clusters: Sequence[Total]) -> tuple[int, float]:
    """The number of questions, and Kish's effective number of clusters: n^2 / (sum of squared sizes)."""
    n = sum(cluster.n for cluster in clusters)
    return n, n * n / sum(cluster.n**2 for cluster in clusters) if n else 0.0


def _jackknife(clusters: Sequence[Total]) -> float:
    """The variance of the mean over all questions, by leaving out one cluster at a time."""
    n, total = sum(cluster.n for cluster in clusters), sum(cluster.total for cluster in clusters)
    means = [(total - cluster.total) / (n - cluster.n) for cluster in clusters]
    centre = fmean(means)
    variance = (len(means) - 1) / len(means) * sum((mean - centre) ** 2 for mean in means)
    return variance if variance > 1e-18 else 0.0  # what rounding leaves of equal means


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over several runs of one recipe that differ in their seeds."""

    n: int
    mean: float
    deviation: float | None
    """Standard deviation between runs (n - 1); None of one run."""
    low: float | None
    """Lower end of the 95 % interval of the mean over seeds; None of one run."""
    high: float | None
    """Upper end."""


def spread(values: Sequence[float]) -> Spread | None:
    """Mean, standard deviation and Student's 95 % interval of the mean over runs; None without values.

    Source: "Student", Biometrika 6 (1908) 1-25: mean +- t(n - 1) deviation / sqrt(n). It says how much seeds
    change the figure, not how much other questions would. Values that are infinite, no numbers or over
    ``LARGEST`` have no deviation.
    """
    n = len(values)
    if n < 2 or not all(abs(value) < LARGEST for value in values):
        return Spread(n, sum(values) / n, None, None, None) if values else None
    mean, deviation = fmean(values), stdev(values)
    half = t_quantile(n - 1) * deviation / math.sqrt(n)
    return Spread(n, mean, deviation, mean - half, mean + half)
