"""Student's t distribution with a whole number of degrees of freedom."""

from __future__ import annotations

import math
from functools import lru_cache


def t_within(t: float, df: int) -> float:
    """The probability that |T| is at most |t|.

    Source: M. Abramowitz and I. A. Stegun, Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4: a
    finite series in the cosine of arctan(t / sqrt(df)). Raises ValueError: ``df`` is below 1.
    """
    if df < 1:
        raise ValueError(f"Student's t with {df} degrees of freedom")
    return _within_angle(math.atan2(abs(t), math.sqrt(df)), df)


@lru_cache
def t_quantile(df: int, level: float = 0.95) -> float:
    """The t that |T| exceeds with probability 1 - ``level``. Raises ValueError: ``df`` is below 1."""
    if df < 1:
        raise ValueError(f"Student's t with {df} degrees of freedom")
    low, high = 0.0, math.pi / 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _within_angle(middle, df) < level else (low, middle)
    return math.tan(middle) * math.sqrt(df)


def _within_angle(angle: float, df: int) -> float:
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = df % 2
    term, total = (cosine if odd else 1.0), 0.0
    for power in range(2 + odd, df + 1, 2):
        total += term
        term *= cosine * cosine * (power - 1) / power
    if odd:
        return 2 / math.pi * (angle + sine * total)
    return sine * total
