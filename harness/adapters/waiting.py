"""Answers that wait for a worker, taken in turn among clients and among the calls of each client."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field

from rewards.types import Answer, Grade


@dataclass(slots=True, eq=False)
class Job:
    """A distinct answer, and all who wait for its grade."""

    answer: Answer
    client: str
    call: int
    futures: list[Future[Grade]] = field(default_factory=list)


class Waiting:
    """Client -> call -> its jobs. A client with many answers does not hold up one with few. Not locked."""

    def __init__(self) -> None:
        self.count = 0
        self._clients: dict[str, dict[int, dict[Job, None]]] = {}
        self._calls = 0

    def new_call(self) -> int:
        """The number of another call."""
        self._calls += 1
        return self._calls

    def add(self, job: Job) -> None:
        """Add a job at the end of its call's."""
        self._clients.setdefault(job.client, {}).setdefault(job.call, {})[job] = None
        self.count += 1

    def remove(self, job: Job) -> bool:
        """Remove a job; False where it does not wait any more."""
        calls = self._clients.get(job.client, {})
        jobs = calls.get(job.call, {})
        if job not in jobs:
            return False
        del jobs[job]
        self.count -= 1
        if not jobs:
            del calls[job.call]
        if not calls:
            del self._clients[job.client]
        return True

    def take(self, count: int) -> list[Job]:
        """The next jobs: each client's turn, and within it each call's."""
        return [self._next() for _ in range(min(count, self.count))]

    def _next(self) -> Job:
        client = next(iter(self._clients))
        calls = self._clients.pop(client)
        call = next(iter(calls))
        jobs = calls.pop(call)
        job = next(iter(jobs))
        del jobs[job]
        self.count -= 1
        if jobs:
            calls[call] = jobs
        if calls:
            self._clients[client] = calls
        return job
