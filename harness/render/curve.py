"""A training curve on one line of the terminal: sparklines with their last values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isfinite, nan
from statistics import fmean

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 16
"""Characters of a sparkline."""
SHOWN = {"reward": "reward", "dev": "EX dev", "no_spread": "no spread", "loss": "loss", "seconds": "s"}
"""Figure of the curve -> its name in the terminal."""


def sparkline(values: Sequence[float], width: int = WIDTH) -> str:
    """A line of bars from the least to the largest value; many values become means of ``width`` parts.

    >>> sparkline([0, 1, 2, 3])
    '▁▃▆█'
    """
    if len(values) > width:
        edges = [i * len(values) // width for i in range(width + 1)]
        values = [fmean(values[low:high]) for low, high in pairwise(edges)]
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in values)


class CurveLine:
    """The figures so far as one line of sparklines with their last values."""

    def __init__(self, rows: Sequence[Mapping[str, float]] = ()) -> None:
        self._rows = list(rows)

    def add(self, row: Mapping[str, float]) -> str:
        """The line after a further row."""
        self._rows.append(row)
        return "  ".join(filter(None, (self._part(name) for name in SHOWN)))

    def _part(self, name: str) -> str:
        values = [row[name] for row in self._rows if isfinite(row.get(name, nan))]
        return f"{SHOWN[name]} {sparkline(values)} {values[-1]:.3g}" if values else ""
