"""The evidence for one question: its prompt, its answers and their verdicts."""

from __future__ import annotations

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
    evaluation, records = store.first_readable(candidates(run))
    chosen = [record for record in records if record.sample_id == sample_id]
    if not chosen:
        known = shorten(nearest(sample_id, {record.sample_id for record in records}), 100, placeholder=" ...")
        raise DataError(f"run {evaluation.id} has no question '{sample_id}': {known}")
    return Evidence(evaluation, chosen)
