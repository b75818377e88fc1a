"""The order in which training reads rows and prompts that share a prefix."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence


def in_runs(
    rows: Sequence[int], groups: Iterable[Sequence[int]], size: int, generator: random.Random
) -> list[int]:
    """The rows in runs of up to ``size`` rows of one group; the runs in random order.

    Within a group rows stand as in ``rows``. Every row is in one of the ``groups``.
    """
    place = {row: number for number, row in enumerate(rows)}
    runs: list[list[int]] = []
    for group in groups:
        ordered = sorted(group, key=place.__getitem__)
        runs += [ordered[start : start + size] for start in range(0, len(ordered), size)]
    generator.shuffle(runs)
    return [row for run in runs for row in run]
