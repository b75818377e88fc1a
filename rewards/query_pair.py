"""One answer and one gold: run both queries, each once on an instance, and compare what they return."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from hashlib import blake2b
from typing import TypeVar

from rewards.gold_cache import GoldCache
from rewards.matching import spider
from rewards.matching.order import Ties, find_ties
from rewards.matching.order_by import find_order_by
from rewards.matching.strict import Groups, LimitCut, strict
from rewards.structure.constructs import forbidden_in
from rewards.structure.similarity import similarity
from rewards.types import Flag, Reason
from tasks.databases.engines.session import Allowance
from tasks.databases.sandbox.executor import Executor
from tasks.types import Database, Outcome, Status

T = TypeVar("T")

_TOO_LARGE = frozenset({Status.TOO_MANY_ROWS, Status.MEMORY})


class AnswerBudget:
    """The seconds and steps left for all runs of an answer together; it begins with the limits of one query.

    Each run of a gold after the first adds twice its cost. So an answer that costs about as much as its gold
    stays within the budget on any number of instances.
    """

    def __init__(self, full: Allowance) -> None:
        self.remaining = full
        self.runs = 0
        self._first = True

    def extend(self, gold: Outcome) -> None:
        """Count a run of a gold, on one more instance or in another form."""
        if not self._first:
            seconds, steps = gold.seconds, gold.steps or 0
            self.remaining = Allowance(self.remaining.seconds + 2 * seconds, self.remaining.steps + 2 * steps)
        self._first = False

    def charge(self, seconds: float, steps: int | None) -> None:
        """Count a run of the answer."""
        self.runs += 1
        self.remaining = Allowance(self.remaining.seconds - seconds, self.remaining.steps - (steps or 0))

    @property
    def spent(self) -> bool:
        return self.remaining.seconds <= 0 or self.remaining.steps <= 0


class AnswerRuns:
    """The runs of one answer, compared with all its golds, within one budget."""

    def __init__(self, executor: Executor, database: Database, sql: str, golds: Sequence[str]) -> None:
        self.executor, self.database, self.sql = executor, database, sql
        self.budget = AnswerBudget(Allowance(executor.limits.seconds, executor.limits.steps))
        self._outcomes: dict[tuple[int, str, bool], Outcome] = {}
        self._timed_out: Outcome | None = None
        self._job = "\0".join((sql, *golds))

    def run(self, instance: int, sql: str, distinct: bool = False) -> Outcome:
        """The result of a form of the answer on an instance. After a timeout no form runs again.

        ``distinct``: only the first of equal rows, so that the limits count no row twice.
        """
        outcome = self._outcomes.get((instance, sql, distinct))
        if outcome is None:
            outcome = self._timed_out or self._run(instance, sql, distinct)
            self._outcomes[instance, sql, distinct] = outcome
        return outcome

    def _run(self, instance: int, sql: str, distinct: bool) -> Outcome:
        budget, limits = self.budget, self.executor.limits
        if budget.spent:
            message = f"over {limits.steps} steps or {limits.seconds:.3g} seconds in all its runs together"
            outcome = Outcome(Status.TIMEOUT, message=message)
        else:
            scope = f"{budget.runs}\0{self._job}" if budget.runs else ""
            allowance = budget.remaining._replace(distinct=distinct)
            outcome = self.executor.run(self.database, instance, sql, allowance, scope)
            budget.charge(self.executor.spent, outcome.steps)
            if scope and outcome.status is Status.TIMEOUT:
                outcome = replace(outcome, message=f"{outcome.message}, left for all its runs together")
        if outcome.status is Status.TIMEOUT:
            self._timed_out = outcome
        return outcome


class QueryPair:
    """An answer and one of its golds. Results of golds are cached for all jobs of this worker."""

    def __init__(self, answer_runs: AnswerRuns, gold: str, gold_cache: GoldCache) -> None:
        self.database = answer_runs.database
        self.gold_sql = gold
        self.sql = answer_runs.sql
        self._executor = answer_runs.executor
        self._gold_cache = gold_cache
        self._golds: dict[tuple[int, str, bool], Outcome] = {}
        self._answer_runs = answer_runs
        self._answers: dict[tuple[int, str], Outcome] = {}
        self._spider: dict[int, bool] = {}

    @cached_property
    def prepared(self) -> tuple[str, str]:
        """Gold and answer in the form in which Spider's evaluator runs them."""
        return spider.prepared(self.gold_sql), spider.prepared(self.sql)

    def gold(self, instance: int, sql: str, distinct: bool = False) -> Outcome:
        """The result of the gold, or of a query made from it."""
        if known := self._golds.get((instance, sql, distinct)):
            return known
        key = self._key(instance, sql, distinct)
        outcome: Outcome | None = self._executor.memo.get(key)
        if outcome is None:
            self._executor.heartbeat.mark_gold(True)
            outcome = self._run_distinct(instance, sql) if distinct else self._run_gold(instance, sql)
            if outcome.status is not Status.INFRASTRUCTURE:  # a server may come back
                self._executor.memo.put(key, outcome, _cost(outcome))
            self._executor.heartbeat.mark_gold(False)  # where it raises, the mark stays: ours
        self._golds[instance, sql, distinct] = outcome
        self._answer_runs.budget.extend(outcome)
        return outcome

    def _run_gold(self, instance: int, sql: str) -> Outcome:
        outcome = self._gold_cache.find(self.database, instance, sql)
        if outcome is None:
            outcome = self._executor.run(self.database, instance, sql)
            self._gold_cache.add(self.database, instance, sql, outcome)
        return outcome

    def _run_distinct(self, instance: int, sql: str) -> Outcome:
        limits = self._executor.limits
        allowance = Allowance(limits.seconds, limits.steps, distinct=True)
        return self._executor.run(self.database, instance, sql, allowance, "distinct")

    def answer(self, instance: int, sql: str) -> Outcome:
        """The result of a form of the answer. SQL that has already run as a gold does not run again."""
        outcome = self._answers.get((instance, sql))
        if outcome is None:
            outcome = self._golds.get((instance, sql, False))
            outcome = outcome or self._executor.memo.get(self._key(instance, sql))
            outcome = self._answers[instance, sql] = outcome or self._answer_runs.run(instance, sql)
        return outcome

    def spider_equal(self, instance: int) -> bool:
        """Whether Spider's evaluator accepts what the two prepared queries returned."""
        if instance not in self._spider:
            gold_sql, sql = self.prepared
            gold, answer = self.gold(instance, gold_sql), self.answer(instance, sql)
            ordered = spider.order_matters(gold_sql)
            self._spider[instance] = gold.same_as(answer) or spider.equal(
                spider.decoded(gold), spider.decoded(answer), ordered
            )
        return self._spider[instance]

    @cached_property
    def distinct(self) -> tuple[Outcome, Outcome]:
        """Results of gold and answer on the base instance, without repeated rows if a limit was exceeded."""
        gold = self.gold(0, self.gold_sql)
        if gold.status in _TOO_LARGE:
            gold = self.gold(0, self.gold_sql, distinct=True)
        if not gold.ok and gold.status is not Status.NO_SQL:
            return gold, gold
        answer = self.answer(0, self.sql)
        if answer.status in _TOO_LARGE:
            answer = self._answer_runs.run(0, self.sql, distinct=True)
        return gold, answer

    def strict_reason(self, instance: int, gold_sql: str, sql: str) -> Reason:
        """The verdict of ``strict`` on two queries that ran."""

        def groups() -> Groups | None:
            ties = self.ties(instance, gold_sql)
            return ties.groups if ties else None

        gold, answer = self.gold(instance, gold_sql), self.answer(instance, sql)
        return strict(gold, answer, groups, lambda: self.limit_cut(instance, gold_sql))

    def limit_cut(self, instance: int, gold_sql: str) -> LimitCut | None:
        """The rows that tie at the LIMIT of a gold that ran; None if its LIMIT cuts through no tie."""
        order = find_order_by(gold_sql, self.database.engine)
        ties = self.ties(instance, gold_sql) if order and order.limited else None
        return ties.cut if ties else None

    def ties(self, instance: int, gold_sql: str) -> Ties | None:
        """Which rows of a gold tie; None if the gold has no ORDER BY."""
        order = find_order_by(gold_sql, self.database.engine)
        if order is None:
            return None
        key = Ties, self._key(instance, gold_sql)
        ties: Ties | None = self._executor.memo.get(key)
        if ties is None:
            gold = self.gold(instance, gold_sql)
            ties = find_ties(gold, order, self.database.engine, lambda sql: self.gold(instance, sql))
            rows = len(ties.cut.rows) if ties.cut else 0
            self._executor.memo.put(key, ties, 8 + len(ties.groups) + rows * (1 + len(gold.columns)))
        return ties

    def similarity(self) -> Mapping[str, float]:
        """The similarity of the two queries; 0 where the answer cannot be parsed in time."""
        engine = self.database.engine
        return self._parsed(lambda sql: similarity(self.gold_sql, sql, engine))

    def constructs(self, names: Sequence[str]) -> tuple[str, ...]:
        """Which of these constructs the answer has; all of them where it cannot be parsed in time."""
        if not names:
            return ()
        engine = self.database.engine
        return tuple(self._parsed(lambda sql: forbidden_in(sql, names, engine) if sql else [*names]))

    def flags(self, rules: tuple[tuple[str, ...], tuple[str, ...]], answer: Outcome) -> tuple[str, ...]:
        """The security flags of the answer. ``rules``: the tables that are allowed and denied."""
        from rewards.security.flags import TableRules, flags_of

        def read(sql: str) -> tuple[str, ...]:
            if self.sql and not sql:
                return (Flag.UNREADABLE.value,)
            return flags_of(sql, self.database, TableRules(*rules), answer)

        return self._parsed(read)

    def _parsed(self, read: Callable[[str], T]) -> T:
        """``read`` of the answer; ``read`` of "" if the answer takes more time or memory than a query may."""
        text = f"parsed\0{self.database.engine}\0{self.sql}"
        digest = blake2b(text.encode(errors="surrogatepass"), digest_size=16).digest()
        if digest in self._executor.fatal:
            return read("")
        self._executor.heartbeat.begin(digest, self._executor.limits.seconds)
        try:
            return read(self.sql)
        except (MemoryError, RecursionError):
            return read("")
        finally:
            self._executor.heartbeat.end()

    def _key(self, instance: int, sql: str, distinct: bool = False) -> object:
        return *self.database.key(instance), sql, distinct


def _cost(outcome: Outcome) -> int:
    """The size of a result in cells; long text counts as several."""
    text = sum(len(cell) for row in outcome.rows for cell in row if isinstance(cell, str | bytes))
    return 8 + len(outcome.rows) * len(outcome.columns) + text // 64
