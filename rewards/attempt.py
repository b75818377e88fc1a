"""What crosses to a worker and back: a job (one query against its golds) and the attempt it became."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rewards.types import Attempt, Reason
from tasks.databases.sandbox.pool import CRASHED, OVERDUE
from tasks.databases.sandbox.worker import EXHAUSTED
from tasks.types import Database, Mode

WORK = "rewards.judge:judge"
"""The function that workers run on a job."""
_FAULTS = {
    OVERDUE: (Reason.TIMEOUT, "no verdict within the deadline"),
    CRASHED: (Reason.EXECUTION_ERROR, "comparing the result crashed the worker twice"),
    EXHAUSTED: (Reason.MEMORY, "no memory was left to compare the result"),
}
"""What ``sandbox.FAULTS`` say of an answer."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How a batch is judged."""

    modes: tuple[Mode, ...]
    metric: Mode
    """The mode that the attempt's reason is about; one of ``modes``."""
    instances: int = 1
    """Strict mode asks for agreement on this many instances."""
    structure: bool = True
    digests: bool = False
    """Note a digest of what the query returned."""
    preview: int = 0
    """Keep this many rows of what the query returned, to be shown between turns."""
    constructs: tuple[str, ...] = ()
    """Look for these constructs in the answer's query (``rewards.structure.constructs``)."""
    cuts: bool = False
    """Note whether the gold's LIMIT cuts through rows that tie."""
    golds: str = ""
    """Folder of slow golds' results; "": none are read or kept."""


@dataclass(frozen=True, slots=True)
class Job:
    """One query to be judged. ``sql`` may be empty: no SQL was found."""

    database: Database
    gold: tuple[str, ...]
    sql: str
    rules: Rules

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled by its fields: half the time of what dataclasses do."""
        return Job, (self.database, self.gold, self.sql, self.rules)


def attempt_of(job: Job, result: Mapping[str, Any] | str | None) -> Attempt:
    """The attempt that a worker described in plain builtins.

    ``None``: the worker was lost at a gold, or stopped from outside. FAULTS: the answer kept the judge busy,
    or cost it its memory or its life, and is wrong.
    """
    if result is None:
        lost: dict[str, float | None] = dict.fromkeys(job.rules.modes)
        return Attempt(job.sql, Reason.INFRASTRUCTURE, lost, "the worker was lost")
    if not isinstance(result, Mapping):
        reason, detail = _FAULTS[result]
        wrong: dict[str, float | None] = dict.fromkeys(job.rules.modes, 0.0)
        return Attempt(job.sql, reason, wrong, detail)
    fields = {
        **result,
        "reason": Reason(result["reason"]),
        "preview": tuple(result["preview"]),
        "constructs": tuple(result["constructs"]),
    }
    del fields["kept"]
    return Attempt(job.sql, **fields)
