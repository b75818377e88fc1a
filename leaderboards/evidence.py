"""The evidence for one question: its prompt, its answers and their verdicts."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from textwrap import shorten
from typing import Any

from leaderboards import store
from leaderboards.find import candidates
from leaderboards.types import Record, Run
from tasks.common.errors import DataError, nearest


@dataclass(frozen=True, slots=True)
class Evidence:
    """All the answers of one run to one question."""

    run: Run
    records: list[Record]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"run": self.run.id, "records": [asdict(record) for record in self.records]}


def show(run: str, sample_id: str) -> Evidence:
    """The evidence for one question. Raises DataError: no such run, or no such question in it."""
    evaluation, records = store.first_readable(candidates(run), sample_id)
    if not records:
        rows = store.query("SELECT DISTINCT sample_id FROM records", [evaluation.id])
        known = shorten(nearest(sample_id, {row["sample_id"] for row in rows}), 100, placeholder=" ...")
        raise DataError(f"run {evaluation.id} has no question '{sample_id}': {known}")
    return Evidence(evaluation, records)


def messages(prompt: str) -> list[tuple[str, str]]:
    """Role and content of each message; a prompt that is not a list of messages is one text."""
    try:
        return [(str(message["role"]), str(message["content"])) for message in json.loads(prompt)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return [("prompt", prompt)]


def parts(text: str) -> list[tuple[str, float | None]]:
    """Name and value of each part of a reward; empty if the text cannot be read."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(values, dict):
        return []
    return [(name, _figure(value)) for name, value in values.items() if isinstance(value, int | float | None)]


def _figure(value: float | None) -> float | None:
    """A number as a float: JSON has integers that are too large for one."""
    try:
        return None if value is None else float(value)
    except OverflowError:
        return math.inf if value and value > 0 else -math.inf
