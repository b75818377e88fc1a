"""The sandbox: untrusted SQL runs in warm workers that can be killed at any moment and lose no verdict.

Covered. A statement that is not one read-only query is refused (see the engine files). A query that goes over
its limits ends with a status: VM steps and clock inside the worker, then SIGKILL from here when the deadline
has passed; memory is limited by SQLite's heap, DuckDB's pool and the kernel; results too large are refused,
never cut. A worker that dies is replaced, its unfinished jobs run again, and a query that ended two workers
(one, at its deadline) is not tried again. Workers cannot write files, start with an empty environment, and
die with this process, whatever they are doing.

Not covered. Workers run under the same user and see the same files and network as this process: a query that
takes over the process through a bug in SQLite or DuckDB is held by resource limits only. Only plain values
cross back. Linux only: memfd, memory limits and signal-driven pipes.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tasks.databases.executor import NO_QUERY
from tasks.databases.process import Gone, Worker
from tasks.types import Database, Limits, Outcome, Status

GRACE = 0.3
"""Seconds after the deadline that the worker has to stop by itself before it is killed."""
OVERDUE = "overdue"
"""The result of a job that went over the deadline between its queries."""
_POLL = 0.2
_CHUNK = 256
_LEAST = 8
"""Cheap jobs in the smallest chunk: to send one costs about as much as to do one."""
_MANY = 4 * _LEAST
"""Cheap jobs that must be left for a worker to be given some ahead."""
_STRIKES = 2
"""Deaths in the same query after which that query is to blame."""
_JOB_STRIKES = 4
"""Deaths in the same job, outside any query, after which the job is given up."""
_STILLBORN = 100
"""Deaths in a row, each before a first job, after which there must be something wrong with this machine."""
_KILLED = "the worker was killed (out of memory?) twice while this ran"
_CRASHED = "the worker crashed twice while this ran"


class Sandbox:
    """A pool of workers, started on first use. Use as a context manager, or ``close`` it.

    ``workers`` 0: one for each CPU this process may use. Threads may share a sandbox: their calls take turns.
    """

    def __init__(self, workers: int = 0, limits: Limits | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        self.limits = limits or Limits()
        self._pool: list[Worker] = []
        self._deadly: dict[bytes, tuple[str, str]] = {}
        self._strikes: dict[bytes, int] = {}
        self._stillborn = 0
        self._turn = threading.Lock()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers. The sandbox starts new ones if it is used again."""
        while self._pool:
            self._pool.pop().end()

    def run(self, queries: Sequence[tuple[Database, int, str]]) -> list[Outcome]:
        """Execute each ``(database, instance, sql)``; the outcomes, in order."""
        outcomes = [Outcome(Status.INFRASTRUCTURE, message="the worker was lost")] * len(queries)
        for index, result in self.map("tasks.databases.worker:run_query", queries):
            if isinstance(result, tuple):
                status, columns, rows, message, seconds, steps = result
                outcomes[index] = Outcome(Status(status), columns, rows, message, seconds, steps)
        return outcomes

    def map(
        self, work: str, jobs: Sequence[Any], costs: Sequence[float] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield ``(index, result)`` of every job, in any order, as results arrive.

        ``work`` is ``"module:function"``; the worker calls ``function(executor, job)``. Jobs can be pickled,
        results are plain builtins. Jobs start in the given order, with ``costs`` the costliest first.
        Where the function does not return, the result is None (the worker died again and again outside any
        query) or OVERDUE (it went over the deadline there).
        Raises RuntimeError with the worker's traceback where the function raises.
        """
        with self._turn:
            batch = _Batch(work, jobs, costs, self.workers)
            try:
                while batch.left:
                    yield from self._step(batch)
            finally:
                self._dismiss()

    def _step(self, batch: _Batch) -> Iterator[tuple[int, Any]]:
        """Give every idle worker a chunk, wait a little, yield what has come."""
        busy = sum(bool(worker.indices) for worker in self._pool)
        while len(self._pool) < min(self.workers, busy + batch.waiting):
            self._pool.append(Worker(self.limits))
        for chunks in (0, 1):  # one for each, then the next, for when that is done
            for worker in self._pool:
                if worker.chunks == chunks and (chunk := batch.take(ahead=chunks > 0)):
                    if worker.give(batch.work, list(self._deadly.items())[worker.told :], chunk):
                        worker.told = len(self._deadly)
                    else:
                        batch.put_back(dict(chunk))
        poll, asked = select.poll(), [worker for worker in self._pool if worker.indices]
        for worker in asked:
            poll.register(worker.channel, select.POLLIN)
        ready = {file for file, _ in poll.poll(_POLL * 1000)}
        for worker in asked:
            if worker.channel.fileno() in ready:
                yield from self._read(worker, batch)
            elif worker.overdue(self.limits.seconds + GRACE):
                yield from self._kill(worker, batch)

    def _read(self, worker: Worker, batch: _Batch) -> Iterator[tuple[int, Any]]:
        try:
            frames = worker.frames()
        except Gone:
            yield from self._bury(worker, batch)
            return
        self._stillborn = 0
        for state, text, results in frames:
            for index, result in results:
                if index in worker.indices:
                    del worker.indices[index]
                    batch.left -= 1
                    yield index, result
            if state == "error":
                raise RuntimeError(f"in a worker: {text}")
            if state == "tired":
                worker.end()
                self._pool.remove(worker)
                batch.put_back(worker.indices)

    def _kill(self, worker: Worker, batch: _Batch) -> list[tuple[int, Any]]:
        """End a worker whose query or job is over its deadline. It may have come to the next just before."""
        worker.end()
        self._pool.remove(worker)
        lost: list[tuple[int, Any]] = []
        _, digest, job = worker.heartbeat.read()
        if worker.overdue(self.limits.seconds) and digest != NO_QUERY:
            self._deadly[digest] = (Status.TIMEOUT.value, f"over {self.limits.seconds} seconds: killed")
        elif worker.overdue(self.limits.seconds) and job in worker.indices:
            del worker.indices[job]
            batch.left -= 1
            lost.append((job, OVERDUE))
        batch.put_back(worker.indices)
        return lost

    def _bury(self, worker: Worker, batch: _Batch) -> list[tuple[int, Any]]:
        """Find out what a worker died of, put its unfinished jobs back; the job to give up, if any."""
        died_of = worker.end()
        _, digest, job = worker.heartbeat.read()
        self._pool.remove(worker)
        unfinished = worker.indices
        lost: list[tuple[int, Any]] = []
        if digest != NO_QUERY and died_of == signal.SIGXCPU:
            self._deadly[digest] = (Status.TIMEOUT.value, f"over {self.limits.seconds} seconds of CPU")
        elif digest != NO_QUERY:
            self._strikes[digest] = self._strikes.get(digest, 0) + 1
            if self._strikes[digest] >= _STRIKES:
                killed = died_of == signal.SIGKILL
                status = Status.MEMORY if killed else Status.EXECUTION_ERROR
                self._deadly[digest] = (status.value, _KILLED if killed else _CRASHED)
        elif job not in unfinished:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN:
                raise RuntimeError(f"workers die before their first job (the last by signal {died_of})")
        elif batch.strike(job) >= _JOB_STRIKES:
            del unfinished[job]
            batch.left -= 1
            lost.append((job, None))
        batch.put_back(unfinished)
        return lost

    def _dismiss(self) -> None:
        """End the workers that are still at jobs nobody waits for."""
        for worker in [worker for worker in self._pool if worker.indices]:
            self._pool.remove(worker)
            worker.end()


class _Batch:
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
        self._strikes: dict[int, int] = {}

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

    def strike(self, index: int) -> int:
        """A worker died in this job, outside any query; how often that happened."""
        self._strikes[index] = self._strikes.get(index, 0) + 1
        return self._strikes[index]
