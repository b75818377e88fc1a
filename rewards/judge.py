"""Judge an answer against its golds, in a worker process: run the queries, then collect the evidence.

The gold runs first. Where it fails or the database cannot be opened, the verdict is None, because that says
nothing about the answer; the answer does not run then.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass, fields, replace
from operator import attrgetter
from typing import Any

from rewards.gold_cache import CacheFile, GoldCache
from rewards.query_pair import AnswerRuns, QueryPair
from rewards.results import preview, result_digest, row_overlap
from rewards.types import UNSCORED, Attempt, Reason
from rewards.verdicts import explained, verdict
from tasks.databases.sandbox.executor import Executor
from tasks.types import Database, Mode, Outcome, Status

WORK = "rewards.judge:judge"
"""The function that the sandbox's workers call."""
_PARSED = frozenset({Status.OK, Status.EXECUTION_ERROR, Status.TIMEOUT, Status.MEMORY, Status.TOO_MANY_ROWS})
"""The statuses of one well-formed query."""


@dataclass(frozen=True, slots=True)
class JudgeSettings:
    """What a batch of answers is judged by."""

    modes: tuple[Mode, ...]
    metric: Mode
    """The mode that the attempt's reason is about; one of ``modes``."""
    instances: int = 1
    """How many instances strict mode compares."""
    structure: bool = True
    """Compute ``clauses`` and ``row_overlap``."""
    digests: bool = False
    """Compute ``result_digest``."""
    preview_rows: int = 0
    """How many rows ``preview`` shows."""
    constructs: tuple[str, ...] = ()
    """The constructs to look for (``rewards.structure.constructs``)."""
    ties_at_limit: bool = False
    """Compute ``ties_at_limit``."""
    gold_cache: str = ""
    """Folder of the gold cache; "": no cache."""


@dataclass(frozen=True, slots=True)
class JudgeJob:
    """One answer to judge. ``sql`` is empty where the answer has no SQL."""

    database: Database
    gold: tuple[str, ...]
    sql: str
    settings: JudgeSettings

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the fields as a tuple: twice as fast as what dataclasses do."""
        return JudgeJob, (self.database, self.gold, self.sql, self.settings)


Packed = tuple[tuple[Any, ...], list[CacheFile]]
"""An attempt as a tuple of plain builtins, and new files of the gold cache for the parent to write."""
_SENT = tuple(field.name for field in fields(Attempt))[2:-1]
"""The fields that cross to the parent unchanged: all between ``reason`` and ``text``."""
_sent = attrgetter(*_SENT)


def judge(executor: Executor, job: JudgeJob) -> Packed:
    """The attempt on the gold that the answer matches best, with the best verdict of each mode."""
    gold_cache = GoldCache(job.settings.gold_cache, executor)
    runs = AnswerRuns(executor, job.database, job.sql, job.gold)
    best: Attempt | None = None
    for gold in job.gold:
        pair = QueryPair(runs, gold, gold_cache)
        try:
            attempt = _attempt(pair, job)
        except Exception as error:
            if executor.heartbeat.at_gold:
                raise
            attempt = _failed(pair, job, error)
        best = _better(best, attempt, job.settings.metric) if best else attempt
        if all(value == 1.0 for value in best.verdicts.values()):
            break
    assert best
    return (best.reason.value, *_sent(best)), gold_cache.new_files


def unpack(job: JudgeJob, packed: Packed) -> Attempt:
    """The attempt that ``judge`` returned to the parent."""
    reason, *sent = packed[0]
    return Attempt(job.sql, Reason(reason), *sent)


def _attempt(pair: QueryPair, job: JudgeJob) -> Attempt:
    settings = job.settings
    instances = min(settings.instances, max(1, len(job.database.instances)))
    verdicts = {mode: verdict(pair, mode, instances) for mode in settings.modes}
    metric = explained(pair, verdicts[settings.metric], settings.metric)
    unscored = metric.reason in UNSCORED
    if settings.metric in (Mode.BIRD, Mode.BIRD_F1) and not unscored:
        gold, answer = pair.distinct
    else:
        gold = pair.gold(0, pair.gold_sql)
        answer = Outcome(Status.INFRASTRUCTURE) if unscored else pair.answer(0, pair.sql)
    compared = range(instances) if metric.value == 1.0 and not gold.rows else range(1)
    base = pair.gold(0, pair.gold_sql)
    return Attempt(
        job.sql,
        metric.reason,
        {mode.value: found.value for mode, found in verdicts.items()},
        metric.detail,
        parses=answer.status in _PARSED,
        executes=answer.ok,
        clauses=pair.similarity() if settings.structure else {},
        constructs=pair.constructs(settings.constructs),
        columns=len(answer.columns),
        gold_columns=len(gold.columns),
        rows=len(answer.rows),
        gold_rows=max(len(pair.gold(instance, pair.gold_sql).rows) for instance in compared),
        row_overlap=row_overlap(gold, answer) if settings.structure and gold.ok and answer.ok else 0.0,
        seconds=answer.seconds,
        steps=answer.steps,
        gold_steps=gold.steps,
        gold_seconds=gold.seconds,
        result_digest=result_digest(answer.rows) if settings.digests and answer.ok else "",
        ties_at_limit=settings.ties_at_limit and base.ok and pair.limit_cut(0, pair.gold_sql) is not None,
        preview=preview(answer, settings.preview_rows) if settings.preview_rows and answer.rows else (),
    )


def _failed(pair: QueryPair, job: JudgeJob, error: Exception) -> Attempt:
    """The attempt where the answer made the comparison itself raise: the answer is wrong.

    An error that is not for lack of memory or stack is a bug of ours: its traceback goes to stderr.
    """
    if not isinstance(error, MemoryError | RecursionError):
        traceback.print_exception(error)
    return Attempt(
        job.sql,
        Reason.MEMORY if isinstance(error, MemoryError) else Reason.EXECUTION_ERROR,
        {mode.value: 0.0 for mode in job.settings.modes},
        f"could not be compared: {type(error).__name__}",
        clauses=pair.similarity() if job.settings.structure else {},
        constructs=pair.constructs(job.settings.constructs),
    )


def _better(one: Attempt, two: Attempt, metric: Mode) -> Attempt:
    """The better attempt by the metric, then by structure, with the best verdict of each mode."""

    def rank(attempt: Attempt) -> tuple[float, float]:
        value = attempt.verdicts[metric]
        return (-1.0 if value is None else value), attempt.clauses.get("overall", 0.0)

    verdicts = {}
    for mode, value in one.verdicts.items():
        scored = [value for value in (value, two.verdicts[mode]) if value is not None]
        verdicts[mode] = max(scored, default=None)
    return replace(max(one, two, key=rank), verdicts=verdicts)
