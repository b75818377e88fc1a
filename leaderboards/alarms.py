"""Signs that a score is luck or a hack rather than skill. Pure functions over records.

``spider_gap``, ``bird_gap``  how much more a lenient mode accepts than strict, in [-1, 1]
``empty_matches``             share of the right answers whose gold returns no rows
``single_cells``              share of the right answers whose gold returns one cell
``repeated``                  share of the questions that got the most frequent completion, word for word
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from leaderboards.types import Record

LIMITS: Mapping[str, float] = {
    "spider_gap": 0.05,
    "bird_gap": 0.05,
    "empty_matches": 0.05,
    "single_cells": 0.50,
    "repeated": 0.10,
}
DRIFT = 0.10
"""How far a measure may rise above where a training run began."""
ENOUGH = 20
"""Fewer questions (or right answers) than this say nothing."""

SAYS: Mapping[str, str] = {
    "spider_gap": "{:.1%} more right by spider's rules than by strict ones",
    "bird_gap": "{:.1%} more right by BIRD's rules than by strict ones",
    "empty_matches": "{:.1%} of the right answers match an empty result, which proves little",
    "single_cells": "{:.1%} of the right answers match a single cell, which luck can do",
    "repeated": "{:.1%} of the questions got one and the same answer",
}


def measure(records: Sequence[Record]) -> dict[str, float]:
    """Every measure that these records are enough for."""
    found = {
        "spider_gap": _gap([(r.spider, r.strict) for r in records]),
        "bird_gap": _gap([(r.bird, r.strict) for r in records]),
    }
    right = [record for record in records if record.metric == 1]
    if len(right) >= ENOUGH:
        found["empty_matches"] = sum(r.gold_rows == 0 for r in right) / len(right)
        found["single_cells"] = sum(r.gold_rows == r.gold_columns == 1 for r in right) / len(right)
    questions = {record.sample_id for record in records}
    if len(questions) >= ENOUGH:
        asked = Counter(text for text, _ in {(r.completion, r.sample_id) for r in records})
        found["repeated"] = max(asked.values()) / len(questions)
    return {name: value for name, value in found.items() if value is not None}


def warnings(measured: Mapping[str, float], start: Mapping[str, float] | None = None) -> list[str]:
    """One line for each measure over its limit, or risen by more than DRIFT since ``start``."""
    lines = []
    for name, value in measured.items():
        before = (start or {}).get(name)
        if value > LIMITS[name]:
            lines.append(SAYS[name].format(value))
        elif before is not None and value - before > DRIFT:
            lines.append(f"{SAYS[name].format(value)} (was {before:.1%})")
    return lines


def _gap(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    scored = [(lenient, strict) for lenient, strict in pairs if lenient is not None and strict is not None]
    if len(scored) < ENOUGH:
        return None
    return sum(lenient - strict for lenient, strict in scored) / len(scored)
