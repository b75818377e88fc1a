"""The verdict of each mode on an answer and one gold, with the reason."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rewards.matching import bird, denotation, spider2
from rewards.query_pair import QueryPair
from rewards.results import difference, first_out_of_order
from rewards.types import Reason
from tasks.types import RESULT_MODES, Mode, Outcome, Status

Compared = tuple[int, str, str]
"""The index of an instance, and the SQL of gold and answer as they ran on it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One mode's verdict: 1.0 or 0.0 (``bird_f1``: a fraction), None where unscored."""

    value: float | None
    reason: Reason
    detail: str = ""
    differs: Compared | None = None
    """The results that differ. ``explained`` describes them, for the verdict of the headline mode only."""


CORRECT = Verdict(1.0, Reason.CORRECT)


def verdict(pair: QueryPair, mode: Mode, instances: int) -> Verdict:
    """The verdict of a mode. ``instances``: how many instances ``strict`` compares."""
    if mode is Mode.STRICT:
        return _first_wrong(_strict(pair, instance) for instance in range(instances))
    if mode is Mode.SPIDER:
        return _spider(pair, 0)
    if mode is Mode.SPIDER_TS:
        shipped = max(1, len(pair.database.instances) - pair.database.generated)
        return _first_wrong(_spider(pair, instance) for instance in range(shipped))
    return _given_result(pair, mode) if mode in RESULT_MODES else _bird(pair, mode)


def explained(pair: QueryPair, verdict: Verdict, mode: Mode) -> Verdict:
    """The verdict with the difference as its detail, and with the reason that ``strict`` gives.

    A result that ``strict`` accepts and ``mode`` rejects has the reason WRONG_ROWS.
    """
    if verdict.differs is None:
        return verdict
    instance, gold_sql, sql = verdict.differs
    reason = verdict.reason if mode is Mode.STRICT else pair.strict_reason(*verdict.differs)
    if reason is Reason.CORRECT:
        return Verdict(verdict.value, Reason.WRONG_ROWS, "correct by the strict rule")
    gold, answer = pair.gold(instance, gold_sql), pair.answer(instance, sql)
    detail = first_out_of_order(gold, answer) if reason is Reason.WRONG_ORDER else difference(gold, answer)
    return Verdict(verdict.value, reason, _at(instance) + detail)


def _first_wrong(verdicts: Iterable[Verdict]) -> Verdict:
    return next((verdict for verdict in verdicts if verdict.value != 1.0), CORRECT)


def _strict(pair: QueryPair, instance: int) -> Verdict:
    gold = pair.gold(instance, pair.gold_sql)
    if not gold.ok:
        return _gold_failed(gold, instance)
    answer = pair.answer(instance, pair.sql)
    if not answer.ok:
        return _answer_failed(answer, instance)
    compared = instance, pair.gold_sql, pair.sql
    reason = pair.strict_reason(*compared)
    return CORRECT if reason is Reason.CORRECT else Verdict(0.0, reason, differs=compared)


def _spider(pair: QueryPair, instance: int) -> Verdict:
    gold_sql, sql = pair.prepared
    gold = pair.gold(instance, gold_sql)
    if not _returns(gold, gold_sql):
        return _gold_failed(gold, instance)
    answer = pair.answer(instance, sql)
    if not _returns(answer, sql):
        return _answer_failed(answer, instance)
    if pair.spider_equal(instance):
        return CORRECT
    return Verdict(0.0, Reason.WRONG_ROWS, differs=(instance, gold_sql, sql))


def _bird(pair: QueryPair, mode: Mode) -> Verdict:
    gold, answer = pair.distinct
    if not _returns(gold, pair.gold_sql):
        return _gold_failed(gold, 0)
    if not _returns(answer, pair.sql):
        return _answer_failed(answer, 0)
    if not (bird.runs(pair.sql) and bird.runs(pair.gold_sql)):
        return Verdict(0.0, Reason.MANY_STATEMENTS, "more than one ';'")
    if gold.undecodable or answer.undecodable:
        return Verdict(0.0, Reason.EXECUTION_ERROR, "text that is not UTF-8")
    if gold.same_as(answer):
        return CORRECT
    rule = bird.equal if mode is Mode.BIRD else bird.soft_f1
    value = float(rule(gold.rows, answer.rows))
    if value == 1.0:
        return CORRECT
    complete = pair.gold(0, pair.gold_sql).ok and pair.answer(0, pair.sql).ok
    return Verdict(value, Reason.WRONG_ROWS, differs=(0, pair.gold_sql, pair.sql) if complete else None)


def _given_result(pair: QueryPair, mode: Mode) -> Verdict:
    """The verdict of a mode that compares with a result that the dataset gives."""
    gold = pair.gold(0, pair.gold_sql)
    if not gold.ok:
        return _gold_failed(gold, 0)
    answer = pair.answer(0, pair.sql)
    if not answer.ok:
        return _answer_failed(answer, 0)
    if mode is Mode.DENOTATION:
        right, detail = denotation.equal(gold, answer), denotation.difference
    else:
        right, detail = spider2.equal(gold, answer, spider2.is_ordered(pair.gold_sql)), spider2.difference
    if right or pair.sql == pair.gold_sql:
        return CORRECT
    return Verdict(0.0, Reason.WRONG_ROWS if answer.rows else Reason.EMPTY_RESULT, detail(gold, answer))


def _returns(outcome: Outcome, sql: str) -> bool:
    """Whether the official evaluators get a result; comments and semicolons alone give an empty one."""
    return outcome.ok or (outcome.status is Status.NO_SQL and bool(sql))


def _gold_failed(gold: Outcome, instance: int) -> Verdict:
    ours = gold.status is Status.INFRASTRUCTURE
    reason = Reason.INFRASTRUCTURE if ours else Reason.GOLD_FAILED
    return Verdict(None, reason, _at(instance) + (gold.message or gold.status.value))


def _answer_failed(answer: Outcome, instance: int) -> Verdict:
    ours = answer.status is Status.INFRASTRUCTURE  # the database cannot be opened any more
    return Verdict(None if ours else 0.0, Reason(answer.status.value), _at(instance) + answer.message)


def _at(instance: int) -> str:
    return f"instance {instance + 1}: " if instance else ""
