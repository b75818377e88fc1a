"""The jobs of one ``map`` of a pool: those that wait, how many are left, and where workers were lost."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from typing import Any

SMALLEST = 8
"""Cheap jobs in the smallest chunk: sending a chunk takes about as long as doing one of them."""
_ENOUGH_AHEAD = 4 * SMALLEST
"""Cheap jobs that must be left before a busy worker gets a second chunk."""


class Jobs:
    """Jobs and their costs, the costliest first; in the given order without ``costs``.

    ``work``: the function that does one. ``largest``: the most jobs of a chunk.
    """

    def __init__(self, work: str, jobs: Sequence[Any], costs: Sequence[float] | None, largest: int) -> None:
        self.work = work
        self.left = len(jobs)
        self.workers = 1
        """How many workers share the jobs."""
        self._jobs = jobs
        self._largest = largest
        order = range(len(jobs))
        self._costs = costs or [1.0] * len(jobs)
        self._waiting = deque(sorted(order, key=lambda index: -costs[index]) if costs else order)
        self._cost = float(sum(self._costs))
        self._typical = min(self._costs, default=0.0)
        """The cost of most jobs, which is the lowest."""
        self._losses: Counter[object] = Counter()

    @property
    def waiting(self) -> int:
        """How many jobs have not been sent to a worker."""
        return len(self._waiting)

    def take(self, ahead: bool = False) -> list[tuple[int, Any]]:
        """The next chunk: a shrinking share of the remaining cost, so that all workers finish together.

        ``ahead``: for a worker that is still busy with another chunk; empty where few jobs are left.
        """
        if ahead and self._cost < self._typical * _ENOUGH_AHEAD:
            return []
        share = max(self._cost / (2 * self.workers), SMALLEST * self._typical)
        chunk: list[tuple[int, Any]] = []
        while self._waiting and len(chunk) < self._largest and (not chunk or share > 0):
            index = self._waiting.popleft()
            chunk.append((index, self._jobs[index]))
            share -= self._costs[index]
            self._cost -= self._costs[index]
        return chunk

    def put_back(self, indices: Iterable[int]) -> None:
        """Put unfinished jobs first."""
        self._waiting.extendleft(reversed(list(indices)))
        self._cost += sum(self._costs[index] for index in indices)

    def count_loss(self, where: object) -> int:
        """Count a worker that was lost at a query or job, and return how many have been lost there."""
        self._losses[where] += 1
        return self._losses[where]
