"""The jobs of one call of the sandbox: which wait, how many are unfinished, where workers were lost."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any

_CHUNK = 256
_LEAST = 8
"""Cheap jobs in the smallest chunk: to send one costs about as much as to do one."""
_MANY = 4 * _LEAST
"""Cheap jobs that must be left for a worker to be given some ahead."""


class Batch:
    """The jobs of one ``map``: which wait, how many are unfinished."""

    def __init__(self, work: str, jobs: Sequence[Any], costs: Sequence[float] | None, workers: int) -> None:
        self.work = work
        self.left = len(jobs)
        self._jobs = jobs
        self._workers = workers
        order = range(len(jobs))
        self._costs = costs or [1.0] * len(jobs)
        self._waiting = deque(sorted(order, key=lambda index: -costs[index]) if costs else order)
        self._cost = float(sum(self._costs))
        self._usual = min(self._costs, default=0.0)
        """What most jobs cost: the cheapest."""
        self._strikes: Counter[object] = Counter()

    @property
    def waiting(self) -> int:
        """How many jobs no worker has."""
        return len(self._waiting)

    def take(self, ahead: bool) -> list[tuple[int, Any]]:
        """The next chunk: a share of the remaining cost that shrinks, so that workers finish together.

        ``ahead``: for a worker that is still at another one; nothing where little is left.
        """
        if ahead and self._cost < self._usual * _MANY:
            return []
        share = max(self._cost / (2 * self._workers), _LEAST * self._usual)
        chunk: list[tuple[int, Any]] = []
        while self._waiting and len(chunk) < _CHUNK and (not chunk or share > 0):
            index = self._waiting.popleft()
            chunk.append((index, self._jobs[index]))
            share -= self._costs[index]
            self._cost -= self._costs[index]
        return chunk

    def put_back(self, indices: Iterable[int]) -> None:
        """These were not done: they are next."""
        self._waiting.extendleft(reversed(list(indices)))
        self._cost += sum(self._costs[index] for index in indices)

    def strike(self, what: object) -> int:
        """A worker was lost at this; how often that happened."""
        self._strikes[what] += 1
        return self._strikes[what]
