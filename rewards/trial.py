"""One query against one gold: what each returns on each instance of the database."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import TypeVar

from rewards.answers import Answers
from rewards.attempt import Job
from rewards.gold_cache import GoldCache
from rewards.matching import spider
from rewards.matching.order import Standing, standing
from rewards.matching.outermost import ordered
from rewards.matching.strict import Groups, LimitCut, strict
from rewards.structure.constructs import forbidden_in
from rewards.structure.similarity import similarity
from rewards.types import Reason
from tasks.databases.engines.session import Allowance
from tasks.databases.sandbox.executor import Executor
from tasks.types import Outcome, Status

T = TypeVar("T")

_TOO_LARGE = frozenset({Status.TOO_MANY_ROWS, Status.MEMORY})


class Trial:
    """One query against one gold: runs both, once on each instance that is asked for."""

    def __init__(self, executor: Executor, job: Job, gold: str, answers: Answers) -> None:
        self.database = job.database
        self.gold_sql = gold
        self.sql = job.sql
        self.gold_cache = GoldCache(job.rules.golds, executor)
        self._executor = executor
        self._golds: dict[tuple[int, str, bool], Outcome] = {}
        self._answers = answers
        self._ran: dict[tuple[int, str], Outcome] = {}
        self._official: dict[int, bool] = {}

    @cached_property
    def prepared(self) -> tuple[str, str]:
        """Gold and answer as Spider's evaluator runs them."""
        return spider.prepared(self.gold_sql), spider.prepared(self.sql)

    def gold(self, instance: int, sql: str, distinct: bool = False) -> Outcome:
        """What the gold, or a query made of it, returns; remembered for all queries of this worker."""
        if known := self._golds.get((instance, sql, distinct)):
            return known
        key = self._key(instance, sql, distinct)
        outcome: Outcome | None = self._executor.memo.get(key)
        if outcome is None:
            self._executor.heartbeat.mark_gold(True)
            outcome = self._distinct(instance, sql) if distinct else self._kept(instance, sql)
            self._executor.memo.put(key, outcome, _cost(outcome))
            self._executor.heartbeat.mark_gold(False)  # not where it raises: that is then known to be ours
        self._golds[instance, sql, distinct] = outcome
        self._answers.budget.extend(outcome)
        return outcome

    def _kept(self, instance: int, sql: str) -> Outcome:
        outcome = self.gold_cache.find(self.database, instance, sql)
        if outcome is None:
            outcome = self._executor.run(self.database, instance, sql)
            self.gold_cache.add(self.database, instance, sql, outcome)
        return outcome

    def _distinct(self, instance: int, sql: str) -> Outcome:
        limits = self._executor.limits
        allowance = Allowance(limits.seconds, limits.steps, distinct=True)
        return self._executor.run(self.database, instance, sql, allowance, "distinct")

    def answer(self, instance: int, sql: str) -> Outcome:
        """What the answer's query returns. Where it is the gold's, that need not run again."""
        outcome = self._ran.get((instance, sql))
        if outcome is None:
            outcome = self._golds.get((instance, sql, False))
            outcome = outcome or self._executor.memo.get(self._key(instance, sql))
            outcome = self._ran[instance, sql] = outcome or self._answers.run(instance, sql)
        return outcome

    def officially(self, instance: int) -> bool:
        """Whether Spider's evaluator finds what the two prepared queries return equal."""
        if instance not in self._official:
            gold_sql, sql = self.prepared
            gold, answer = self.gold(instance, gold_sql), self.answer(instance, sql)
            ordered = spider.order_matters(gold_sql)
            self._official[instance] = gold.same_as(answer) or spider.equal(
                spider.decoded(gold), spider.decoded(answer), ordered
            )
        return self._official[instance]

    @cached_property
    def distinct(self) -> tuple[Outcome, Outcome]:
        """Gold and answer on the base instance as sets: no row counts twice for the limits."""
        gold = self.gold(0, self.gold_sql)
        if gold.status in _TOO_LARGE:
            gold = self.gold(0, self.gold_sql, distinct=True)
        if not gold.ok and gold.status is not Status.NO_SQL:
            return gold, gold
        answer = self.answer(0, self.sql)
        if answer.status in _TOO_LARGE:
            answer = self._answers.run(0, self.sql, distinct=True)
        return gold, answer

    def strictly(self, instance: int, gold_sql: str, sql: str) -> Reason:
        """What ``strict`` says of two queries that ran."""
        gold, answer = self.gold(instance, gold_sql), self.answer(instance, sql)

        def ties() -> Groups | None:
            found = self.standing(instance, gold_sql)
            return found.groups if found else None

        return strict(gold, answer, ties, lambda: self.cut(instance, gold_sql))

    def cut(self, instance: int, gold_sql: str) -> LimitCut | None:
        """What the LIMIT of a gold that ran cuts, where it cuts through rows that tie."""
        order = ordered(gold_sql, self.database.engine)
        found = self.standing(instance, gold_sql) if order and order.limited else None
        return found.cut if found else None

    def standing(self, instance: int, gold_sql: str) -> Standing | None:
        """Which rows of a gold tie, and what its LIMIT cuts; None where it does not order its rows."""
        order = ordered(gold_sql, self.database.engine)
        if order is None:
            return None
        key = Standing, self._key(instance, gold_sql)
        found: Standing | None = self._executor.memo.get(key)
        if found is None:
            gold = self.gold(instance, gold_sql)
            found = standing(gold, order, self.database.engine, lambda sql: self.gold(instance, sql))
            rows = len(found.cut.rows) if found.cut else 0
            self._executor.memo.put(key, found, 8 + len(found.groups) + rows * (1 + len(gold.columns)))
        return found

    def similarity(self) -> Mapping[str, float]:
        """The similarity of the two queries; 0 where the answer cannot be parsed in time."""
        engine = self.database.engine
        return self._parsed(lambda sql: similarity(self.gold_sql, sql, engine))

    def constructs(self, names: Sequence[str]) -> list[str]:
        """Which of these constructs the answer has; all of them where it cannot be parsed in time."""
        if not names:
            return []
        return self._parsed(lambda sql: forbidden_in(sql, names, self.database.engine) if sql else [*names])

    def _parsed(self, read: Callable[[str], T]) -> T:
        """What ``read`` makes of the answer, or of "" where reading it took longer than a query may."""
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
    """What keeping a result costs, in cells; long text counts as several."""
    text = sum(len(cell) for row in outcome.rows for cell in row if isinstance(cell, str | bytes))
    return 8 + len(outcome.rows) * len(outcome.columns) + text // 64
