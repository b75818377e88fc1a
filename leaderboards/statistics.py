"""Confidence intervals, tests and estimators over questions and answers. Every function is pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

Z95 = 1.959963984540054
"""The standard normal's 97.5 % quantile."""

Interval = tuple[float, float]

RESAMPLES = 10_000
CHUNK = 500
"""Resamples drawn at a time, which bounds the memory for any number of questions."""


def wilson(successes: float, n: int) -> Interval | None:
    """The 95 % score interval of a proportion, without continuity correction.

    Source: E. B. Wilson, JASA 22 (1927) 209-212; method 3 in R. G. Newcombe, Statistics in Medicine 17
    (1998) 857-872. ``successes`` may be a sum of fractions. Returns (low, high) in [0, 1]; None if n is 0.
    """
    if n == 0:
        return None
    share = successes / n
    centre = share + Z95**2 / (2 * n)
    margin = Z95 * math.sqrt(max(share * (1 - share), 0.0) / n + Z95**2 / (4 * n * n))
    scale = 1 + Z95**2 / n
    return max((centre - margin) / scale, 0.0), min((centre + margin) / scale, 1.0)


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


def bootstrap(differences: Sequence[float], seed: int = 0) -> Interval | None:
    """The 95 % percentile interval of the mean of paired differences, one for each question.

    Source: B. Efron, Annals of Statistics 7 (1979) 1-26; pairs are resampled whole, as P. Koehn (EMNLP 2004)
    does for translations. How often each distinct difference occurs among n pairs drawn with replacement is
    multinomial, so these counts are drawn. Returns (low, high); None if there are no differences.
    """
    import numpy as np

    n = len(differences)
    if n == 0:
        return None
    values, counts = np.unique(np.asarray(differences, dtype=float), return_counts=True)
    random = np.random.default_rng(seed)
    means = [random.multinomial(n, counts / n, size=CHUNK) @ values / n for _ in range(RESAMPLES // CHUNK)]
    low, high = np.quantile(np.concatenate(means), (0.025, 0.975))
    return float(low), float(high)


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The probability that at least one of k answers, drawn from n of which ``correct`` are right, is right.

    Source: M. Chen et al., "Evaluating Large Language Models Trained on Code" (2021), equation 1, unbiased:
    1 - C(n - correct, k) / C(n, k). Needs 1 <= k <= n and 0 <= correct <= n.
    """
    if not (1 <= k <= n and 0 <= correct <= n):
        raise ValueError(f"pass@{k} of {correct} right in {n} answers")
    return 1 - math.comb(n - correct, k) / math.comb(n, k)


def best_of_k(answers: Sequence[tuple[float, float]], k: int) -> float:
    """The expected value of the best-rewarded of k answers, drawn without replacement from these.

    ``answers`` are (reward, value); of equal rewards each is as likely to be picked. The i-th smallest reward
    (from 0) is the largest of C(i, k - 1) of the C(n, k) subsets. Needs 1 <= k <= n.
    """
    n = len(answers)
    if not 1 <= k <= n:
        raise ValueError(f"the best of {k} of {n} answers")
    groups: dict[float, list[float]] = {}
    for reward, value in answers:
        groups.setdefault(reward, []).append(value)
    total, i = 0.0, 0
    for reward in sorted(groups):
        share = sum(groups[reward]) / len(groups[reward])
        for _ in groups[reward]:
            total += math.comb(i, k - 1) * share
            i += 1
    return total / math.comb(n, k)
