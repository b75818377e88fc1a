"""95 % intervals of the mean difference of two runs on the same questions."""

from __future__ import annotations

import math
from collections.abc import Sequence

from leaderboards.statistics.intervals import Z95, Interval, without_spread

RESAMPLES = 10_000
CHUNK = 500
"""Resamples drawn at a time, which bounds the memory for any number of questions."""
HALVINGS = 60
"""Steps of a bisection, which leave 2^-59 of [-1, 1]."""


def paired_difference(differences: Sequence[float]) -> Interval | None:
    """The 95 % interval of the mean of paired differences in [-1, 1], one for each question.

    With one answer to a question all differences are 1, -1 or 0: ``tango``, which has a width also where no
    question is discordant. Else ``bootstrap``; where all differences are equal, which no bootstrap can
    widen, ``without_spread``. Returns (low, high); None if there are no differences.
    """
    n, values = len(differences), set(differences)
    if n == 0:
        return None
    if values <= {-1.0, 0.0, 1.0}:
        return tango(n, sum(one > 0 for one in differences), sum(one < 0 for one in differences))
    return bootstrap(differences) if len(values) > 1 else without_spread(differences[0], n, Z95)


def tango(n: int, wins: int, losses: int) -> Interval:
    """The 95 % score interval of the difference of two paired shares, (wins - losses) / n; n is at least 1.

    Source: T. Tango, Statistics in Medicine 17 (1998) 891-908, recommended by M. W. Fagerland, S. Lydersen
    and P. Laake, Statistics in Medicine 33 (2014) 2850-2875. Without discordant pairs it is
    +- z^2 / (n + z^2). Returns (low, high) in [-1, 1].
    """
    found = (wins - losses) / n

    def end(outside: float, z: float) -> float:
        """The difference between ``outside`` and the found one whose score is z."""
        inside = found
        for _ in range(HALVINGS):
            middle = (inside + outside) / 2
            beyond = abs(_score(n, wins, losses, middle)) > z
            inside, outside = (inside, middle) if beyond else (middle, outside)
        return inside

    return end(-1.0, Z95), end(1.0, Z95)


def _score(n: int, wins: int, losses: int, difference: float) -> float:
    """Tango's score statistic of the hypothesis of this difference, approximately standard normal."""
    b = (2 * n - wins + losses) * difference - wins - losses
    c = -losses * difference * (1 - difference)
    root = math.sqrt(max(b * b - 8 * n * c, 0.0))
    lost = -2 * c / (b + root) if b > 0 else (root - b) / (4 * n)  # most likely share of losses
    variance = n * (2 * lost + difference * (1 - difference))
    distance = wins - losses - n * difference
    return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)


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
