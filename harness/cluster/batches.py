"""The jobs of one ``map`` of a cluster's pool, as batches for its nodes."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from harness.cluster.databases import machine, sent
from harness.cluster.types import Batch, Sent
from tasks.databases.sandbox.pool import Jobs
from tasks.types import Database

LARGEST = 64
"""Jobs in the largest batch."""
ALONE = 2
"""Actors that were lost with a job, after which it is sent alone."""
MAX_LOSSES = 8
"""Actors that were lost with a job, after which it is given up."""


class ClusterJobs(Jobs):
    """Jobs that begin with their database, in batches."""

    def __init__(self, work: str, jobs: Sequence[Any], costs: Sequence[float] | None) -> None:
        super().__init__(work, jobs, costs, LARGEST)
        self._suspects: deque[tuple[int, Any]] = deque()
        """Jobs that are sent alone."""
        self._sent: dict[Database, Sent] = {}

    def take_batch(self) -> list[tuple[int, Any]]:
        """The jobs of the next batch; empty where none wait."""
        return [self._suspects.popleft()] if self._suspects else self.take()

    def take_back(self, jobs: Sequence[tuple[int, Any]]) -> None:
        """Put the jobs of a batch first that was not done."""
        self.put_back([index for index, _ in jobs])

    def lose(self, jobs: Sequence[tuple[int, Any]]) -> list[tuple[int, None]]:
        """Put back jobs whose node was lost; returns those that are given up, with their result."""
        losses = [self.count_loss(index) for index, _ in jobs]
        lost = [(index, None) for (index, _), count in zip(jobs, losses, strict=True) if count >= MAX_LOSSES]
        pairs = list(zip(jobs, losses, strict=True))
        self._suspects.extend(job for job, count in pairs if ALONE <= count < MAX_LOSSES)
        self.take_back([job for job, count in pairs if count < ALONE])
        return lost

    def batch(self, jobs: Sequence[tuple[int, Any]]) -> Batch:
        """Jobs as they are sent to a node."""
        places: dict[Database, int] = {}
        numbered = []
        for index, (database, *rest) in jobs:
            numbered.append((index, places.setdefault(database, len(places)), tuple(rest)))
        databases = tuple(map(self._described, places))
        return Batch(self.work, machine(), databases, tuple(numbered))

    def forget_files(self) -> None:
        """Read the state of all files again: one cannot be read any more."""
        self._sent.clear()

    def _described(self, database: Database) -> Sent:
        if database not in self._sent:
            self._sent[database] = sent(database)
        return self._sent[database]
