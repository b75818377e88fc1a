"""Tests of paired runs: McNemar's test, Holm's correction, and the difference that a test can detect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

ALPHA = 0.05
"""Level of every test."""
POWER = 0.8
"""Probability with which a test finds the difference that ``detectable`` returns."""


def mcnemar(wins: int, losses: int) -> float:
    """The exact two-sided p-value of McNemar's test that ``wins`` and ``losses`` are equally likely.

    Source: Q. McNemar, Psychometrika 12 (1947) 153-157, in its exact binomial form: twice the smaller tail of
    Binomial(wins + losses, 1/2), at most 1. Ties do not count. The computation uses integers, so p is exact.
    """
    n = wins + losses
    term = tail = 1
    for i in range(min(wins, losses)):
        term = term * (n - i) // (i + 1)
        tail += term
    return min(2 * tail / (1 << n), 1.0)


def holm(ps: Sequence[float]) -> list[float]:
    """The p-values of several tests, corrected so that any false positive has a probability of at most alpha.

    Source: S. Holm, Scandinavian Journal of Statistics 6 (1979) 65-70, as adjusted p-values: the i-th
    smallest of m (from 0) times m - i, at least the one before, at most 1. The tests may be
    dependent.
    """
    corrected = [1.0] * len(ps)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(ps[index] * (len(ps) - rank), 1.0))
        corrected[index] = largest
    return corrected


def detectable(n: int, discordant: float) -> float | None:
    """The smallest difference of two shares that McNemar's test finds with 80 % power at the 5 % level.

    ``n``: questions; ``discordant``: share of them that only one of the two gets right. The share is raised
    to the difference where it is smaller, since a difference needs as many discordant questions. Returns None
    if no difference can be found with so few questions.

    Source: R. J. Connor, Biometrics 43 (1987) 207-211, solved for the difference d: with the normal quantiles
    a = z(1 - alpha / 2) and b = z(power), and s discordant, n d^2 = (a sqrt(s) + b sqrt(s - d^2))^2.
    """
    a, b = NormalDist().inv_cdf(1 - ALPHA / 2), NormalDist().inv_cdf(POWER)
    if n <= a * a:
        return None
    root = a * a * n - (n + b * b) * (a * a - b * b)
    difference = math.sqrt(discordant) * (a * math.sqrt(n) + math.sqrt(root)) / (n + b * b)
    if 0 < difference <= discordant:
        return difference
    # s = d: with y = sqrt(1 - d) the equation becomes (n + b^2) y^2 + 2 a b y + a^2 - n = 0.
    y = (math.sqrt(a * a * b * b + (n + b * b) * (n - a * a)) - a * b) / (n + b * b)
    return 1 - y * y
