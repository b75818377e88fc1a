"""What one answer's query returns: run once on each instance and in each form, within one budget for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tasks.databases.engines.session import Allowance
from tasks.databases.sandbox.executor import Executor
from tasks.types import Database, Outcome, Status


class Budget:
    """What an answer may still use in all its runs together: the limits of one query.

    Each gold that runs beyond the first adds twice what it took itself: an answer about as costly as its gold
    is not over the budget because there are many instances.
    """

    def __init__(self, full: Allowance) -> None:
        self.left = full
        self.runs = 0
        self._first = True

    def extend(self, gold: Outcome) -> None:
        """A gold has run on one more instance, or in another form."""
        if not self._first:
            seconds, steps = gold.seconds, gold.steps or 0
            self.left = Allowance(self.left.seconds + 2 * seconds, self.left.steps + 2 * steps)
        self._first = False

    def charge(self, seconds: float, steps: int | None) -> None:
        """A run of the answer is over."""
        self.runs += 1
        self.left = Allowance(self.left.seconds - seconds, self.left.steps - (steps or 0))

    @property
    def over(self) -> bool:
        return self.left.seconds <= 0 or self.left.steps <= 0


class Answers:
    """The outcomes of one answer, for all its golds."""

    def __init__(self, executor: Executor, database: Database, sql: str, golds: Sequence[str]) -> None:
        self.budget = Budget(Allowance(executor.limits.seconds, executor.limits.steps))
        self._executor = executor
        self._database = database
        self._outcomes: dict[tuple[int, str, bool], Outcome] = {}
        self._over: Outcome | None = None
        self._job = sql, *golds

    def run(self, instance: int, sql: str, distinct: bool = False) -> Outcome:
        """What a form of the answer returns on an instance. Over the budget once, no form is run again.

        ``distinct``: each row once, at its first place, so that the limits count no row twice.
        """
        known = self._outcomes.get((instance, sql, distinct))
        if known is None:
            known = self._over or self._fresh(instance, sql, distinct)
            self._outcomes[instance, sql, distinct] = known
        return known

    def _fresh(self, instance: int, sql: str, distinct: bool) -> Outcome:
        budget, limits = self.budget, self._executor.limits
        if budget.over:
            message = f"over {limits.steps} steps or {limits.seconds:.3g} seconds in all its runs together"
            outcome = Outcome(Status.TIMEOUT, message=message)
        else:
            scope = "\0".join((str(budget.runs), *self._job)) if budget.runs else ""
            outcome = self._executor.run(
                self._database, instance, sql, budget.left._replace(distinct=distinct), scope
            )
            budget.charge(self._executor.spent, outcome.steps)
            if scope and outcome.status is Status.TIMEOUT:
                outcome = replace(outcome, message=f"{outcome.message}, left for all its runs together")
        if outcome.status is Status.TIMEOUT:
            self._over = outcome
        return outcome
