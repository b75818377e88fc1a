"""Judge an answer against its golds, in a worker process: run the queries, then collect the evidence.

The gold runs first. If it fails or the database cannot be opened, the answer does not run and the verdict is
None, because nothing is known about the answer.
"""

from __future__ import annotations

import traceback
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

from rewards.gold_cache import GoldCache
from rewards.query_pair import AnswerRuns, QueryPair
from rewards.results import preview, result_digest, row_overlap
from rewards.types import UNSCORED, Attempt, Flag, JudgeJob, Packed, Reason
from rewards.verdicts import explained, verdict
from tasks.databases.sandbox.executor import Executor
from tasks.types import Mode, Outcome, Status

_PARSED = frozenset({Status.OK, Status.EXECUTION_ERROR, Status.TIMEOUT, Status.MEMORY, Status.TOO_MANY_ROWS})
"""The statuses of one well-formed query."""
_SENT = tuple(field.name for field in fields(Attempt))[2:-1]
"""The fields that cross to the parent unchanged: all between ``reason`` and ``text``."""
_sent = attrgetter(*_SENT)


def judge(executor: Executor, plain_job: tuple[Any, ...]) -> Packed:
    """The attempt on the gold that the answer matches best, with the best verdict of each mode.

    ``plain_job``: the fields of a ``JudgeJob``, because a plain tuple is pickled several times as fast.
    """
    job = JudgeJob(*plain_job)
    gold_cache = GoldCache(job.settings.gold_cache, executor)
    attempt, _ = best_attempt(executor, job, gold_cache)
    return packed(attempt), gold_cache.new_files


def best_attempt(executor: Executor, job: JudgeJob, gold_cache: GoldCache) -> tuple[Attempt, QueryPair]:
    """The attempt as ``judge`` returns it, and the pair of the answer and the gold that it matches best."""
    runs = AnswerRuns(executor, job.database, job.sql, job.gold)
    best: tuple[Attempt, QueryPair] | None = None
    for gold in job.gold:
        pair = QueryPair(runs, gold, gold_cache)
        try:
            attempt = _attempt(pair, job)
        except Exception as error:
            if executor.heartbeat.at_gold:
                raise
            attempt = _failed(pair, job, error)
        best = _better(best, (attempt, pair), job.settings.metric) if best else (attempt, pair)
        if all(value == 1.0 for value in best[0].verdicts.values()):
            break
    assert best
    return best


def packed(attempt: Attempt) -> tuple[Any, ...]:
    """An attempt as the plain builtins that cross to the parent."""
    return (attempt.reason.value, *_sent(attempt))


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
        {mode.value: mode_verdict.value for mode, mode_verdict in verdicts.items()},
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
        flags=pair.flags(settings.security, answer) if settings.security else None,
        gold=job.gold.index(pair.gold_sql),
    )


def _failed(pair: QueryPair, job: JudgeJob, error: Exception) -> Attempt:
    """The attempt of an answer at which the comparison raised an error: it counts as wrong.

    Unless memory or stack ran out, the error is a bug of ours, and its traceback goes to stderr.
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
        flags=(Flag.UNREADABLE.value,) if job.settings.security else None,
        gold=job.gold.index(pair.gold_sql),
    )


def _better(
    first: tuple[Attempt, QueryPair], second: tuple[Attempt, QueryPair], metric: Mode
) -> tuple[Attempt, QueryPair]:
    """The better attempt by the metric, then by structure, with the best verdict of each mode."""

    def rank(judged: tuple[Attempt, QueryPair]) -> tuple[float, float]:
        value = judged[0].verdicts[metric]
        return (-1.0 if value is None else value), judged[0].clauses.get("overall", 0.0)

    verdicts = {}
    for mode, value in first[0].verdicts.items():
        scored = [value for value in (value, second[0].verdicts[mode]) if value is not None]
        verdicts[mode] = max(scored, default=None)
    attempt, pair = max(first, second, key=rank)
    return replace(attempt, verdicts=verdicts), pair
