"""Judge one query against its golds, in a worker: each runs once on an instance, then every rule reads it.

The gold runs first and by itself; its results are kept in the worker, by database instance and SQL. Where the
gold fails or a database is broken, the verdict is None: that says nothing about the answer.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import Any

from rewards.answers import Answers
from rewards.attempt import Job
from rewards.matching import bird
from rewards.results import difference, first_out_of_order, preview, result_digest
from rewards.trial import Trial
from rewards.types import UNSCORED, Reason
from tasks.databases.sandbox.executor import Executor
from tasks.types import Mode, Outcome, Status

Compared = tuple[int, str, str]
"""An instance, and the gold and the answer as they ran there."""
_READABLE = frozenset(
    {Status.OK, Status.EXECUTION_ERROR, Status.TIMEOUT, Status.MEMORY, Status.TOO_MANY_ROWS}
)
"""Endings of a query that is one well-formed SELECT."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One mode's verdict and why."""

    value: float | None
    reason: Reason
    detail: str = ""
    differs: Compared | None = None
    """What differed, where that is not told yet: only the metric's finding is explained."""


RIGHT = Finding(1.0, Reason.CORRECT)


def judge(executor: Executor, job: Job) -> dict[str, Any]:
    """The fields of the ``Attempt`` as plain builtins, without ``sql``; of several golds, the best's.

    And ``kept``: files of golds for the parent to write (``rewards.golds``).
    """
    best: dict[str, Any] = {}
    answers = Answers(executor, job.database, job.sql, job.gold)
    for gold in job.gold:
        trial = Trial(executor, job, gold, answers)
        try:
            found = _against(trial, job)
        except Exception as error:
            if executor.heartbeat.at_gold:
                raise
            found = _failed(trial, job, error)
        best = _better(best, found, job.rules.metric.value) if best else found
        if all(value == 1.0 for value in best["verdicts"].values()):
            break
    return best


def _failed(trial: Trial, job: Job, error: Exception) -> dict[str, Any]:
    """The finding where an answer made the comparison itself fail: it is wrong, and the rest is judged.

    What is not for lack of memory or of stack is a bug of ours that an answer has found: its traceback is on
    stderr.
    """
    if not isinstance(error, MemoryError | RecursionError):
        traceback.print_exception(error)
    reason = Reason.MEMORY if isinstance(error, MemoryError) else Reason.EXECUTION_ERROR
    return {
        "reason": reason.value,
        "verdicts": {mode.value: 0.0 for mode in job.rules.modes},
        "detail": f"could not be compared: {type(error).__name__}",
        "clauses": trial.similarity() if job.rules.structure else {},
        "constructs": trial.constructs(job.rules.constructs),
        "preview": [],
        "kept": trial.gold_cache.new_files,
    }


def _better(one: dict[str, Any], two: dict[str, Any], metric: str) -> dict[str, Any]:
    """The better of two findings, with the best verdict of each mode."""

    def rank(found: dict[str, Any]) -> tuple[float, float]:
        value = found["verdicts"][metric]
        return (-1.0 if value is None else value), found["clauses"].get("overall", 0.0)

    best = max(one, two, key=rank)
    pairs = {mode: (value, two["verdicts"][mode]) for mode, value in one["verdicts"].items()}
    verdicts = {
        mode: max((value for value in pair if value is not None), default=None)
        for mode, pair in pairs.items()
    }
    return {**best, "verdicts": verdicts, "kept": one["kept"] + two["kept"]}


def _against(trial: Trial, job: Job) -> dict[str, Any]:
    rules = job.rules
    many = max(1, len(job.database.instances))
    findings = {mode: _verdict(trial, mode, min(rules.instances, many), many) for mode in rules.modes}
    metric = _explained(trial, findings[rules.metric], rules.metric)
    ours = metric.reason in UNSCORED
    if rules.metric in (Mode.BIRD, Mode.BIRD_F1) and not ours:
        gold, answer = trial.distinct
    else:
        gold = trial.gold(0, trial.gold_sql)
        answer = Outcome(Status.INFRASTRUCTURE) if ours else trial.answer(0, trial.sql)
    examined = range(min(rules.instances, many)) if metric.value == 1.0 and not gold.rows else range(1)
    return {
        "reason": metric.reason.value,
        "verdicts": {mode.value: finding.value for mode, finding in findings.items()},
        "detail": metric.detail,
        "parses": answer.status in _READABLE,
        "executes": answer.ok,
        "clauses": trial.similarity() if rules.structure else {},
        "constructs": trial.constructs(rules.constructs),
        "columns": len(answer.columns),
        "gold_columns": len(gold.columns),
        "rows": len(answer.rows),
        "gold_rows": max(len(trial.gold(instance, trial.gold_sql).rows) for instance in examined),
        "row_overlap": overlap(gold, answer) if rules.structure and gold.ok and answer.ok else 0.0,
        "seconds": answer.seconds,
        "steps": answer.steps,
        "gold_steps": gold.steps,
        "gold_seconds": gold.seconds,
        "result": result_digest(answer.rows) if rules.digests and answer.ok else "",
        "cut": rules.cuts and trial.gold(0, trial.gold_sql).ok and trial.cut(0, trial.gold_sql) is not None,
        "preview": preview(answer, rules.preview) if rules.preview and answer.rows else [],
        "kept": trial.gold_cache.new_files,
    }


def _verdict(trial: Trial, mode: Mode, instances: int, many: int) -> Finding:
    if mode is Mode.STRICT:
        return _all(_strict(trial, instance) for instance in range(instances))
    if mode is Mode.SPIDER:
        return _spider(trial, 0)
    if mode is Mode.SPIDER_TS:
        given = max(1, many - trial.database.generated)
        return _all(_spider(trial, instance) for instance in range(given))
    return _bird(trial, mode)


def _all(findings: Iterable[Finding]) -> Finding:
    """The first finding that is not right."""
    return next((finding for finding in findings if finding.value != 1.0), RIGHT)


def _strict(trial: Trial, instance: int) -> Finding:
    compared = instance, trial.gold_sql, trial.sql
    if failed := _ran(trial, *compared):
        return failed
    reason = trial.strictly(*compared)
    return RIGHT if reason is Reason.CORRECT else Finding(0.0, reason, differs=compared)


def _spider(trial: Trial, instance: int) -> Finding:
    gold_sql, sql = trial.prepared
    gold = trial.gold(instance, gold_sql)
    if not _returns(gold, gold_sql):
        return _gold_failed(gold, instance)
    answer = trial.answer(instance, sql)
    if not _returns(answer, sql):
        return _answer_failed(answer, instance)
    if trial.officially(instance):
        return RIGHT
    return Finding(0.0, Reason.WRONG_ROWS, differs=(instance, gold_sql, sql))


def _bird(trial: Trial, mode: Mode) -> Finding:
    gold, answer = trial.distinct
    if not _returns(gold, trial.gold_sql):
        return _gold_failed(gold, 0)
    if not _returns(answer, trial.sql):
        return _answer_failed(answer, 0)
    if not (bird.runs(trial.sql) and bird.runs(trial.gold_sql)):
        return Finding(0.0, Reason.MANY_STATEMENTS, "more than one ';'")
    if gold.undecodable or answer.undecodable:
        return Finding(0.0, Reason.EXECUTION_ERROR, "text that is not UTF-8")
    if gold.same_as(answer):
        return RIGHT
    rule = bird.equal if mode is Mode.BIRD else bird.soft_f1
    value = float(rule(gold.rows, answer.rows))
    if value == 1.0:
        return RIGHT
    compared = 0, trial.gold_sql, trial.sql
    whole = trial.gold(0, trial.gold_sql).ok and trial.answer(0, trial.sql).ok
    return Finding(value, Reason.WRONG_ROWS, differs=compared if whole else None)


def _ran(trial: Trial, instance: int, gold_sql: str, sql: str) -> Finding | None:
    """The verdict where one of the two did not run, else None. Where the gold fails the answer is not run."""
    gold = trial.gold(instance, gold_sql)
    if not gold.ok:
        return _gold_failed(gold, instance)
    answer = trial.answer(instance, sql)
    return None if answer.ok else _answer_failed(answer, instance)


def _returns(outcome: Outcome, sql: str) -> bool:
    """Whether the official evaluators get rows: none, where there are but comments and semicolons."""
    return outcome.ok or (outcome.status is Status.NO_SQL and bool(sql))


def _gold_failed(gold: Outcome, instance: int) -> Finding:
    lost = gold.status is Status.INFRASTRUCTURE
    reason = Reason.INFRASTRUCTURE if lost else Reason.GOLD_FAILED
    return Finding(None, reason, _where(instance) + (gold.message or gold.status.value))


def _answer_failed(answer: Outcome, instance: int) -> Finding:
    lost = answer.status is Status.INFRASTRUCTURE  # the database cannot be opened any more
    return Finding(None if lost else 0.0, Reason(answer.status.value), _where(instance) + answer.message)


def _where(instance: int) -> str:
    return f"instance {instance + 1}: " if instance else ""


def _explained(trial: Trial, finding: Finding, mode: Mode) -> Finding:
    """A finding with the difference told, in strict's words where strict rejects the answer too."""
    if finding.differs is None:
        return finding
    instance, gold_sql, sql = finding.differs
    reason = finding.reason if mode is Mode.STRICT else trial.strictly(*finding.differs)
    if reason is Reason.CORRECT:
        return Finding(finding.value, Reason.WRONG_ROWS, "right by the strict rule")
    gold, answer = trial.gold(instance, gold_sql), trial.answer(instance, sql)
    detail = first_out_of_order(gold, answer) if reason is Reason.WRONG_ORDER else difference(gold, answer)
    return Finding(finding.value, reason, f"instance {instance + 1}: {detail}" if instance else detail)


def overlap(gold: Outcome, answer: Outcome) -> float:
    """F1 in [0, 1] of the bags of all cells: 1 where the same values stand anywhere in both results."""
    if gold.same_as(answer):
        return 1.0
    one, two = (Counter(chain.from_iterable(outcome.rows)) for outcome in (gold, answer))
    total = one.total() + two.total()
    return 2 * (one & two).total() / total if total else 1.0
