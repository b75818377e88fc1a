"""The sandbox: untrusted SQL runs in warm workers, which can be killed at any moment; no verdict is lost.

What it protects against. A statement that is not one read-only query is refused (see the engine files). A
query that exceeds its limits ends with a status: the worker checks VM steps and CPU time, and this process
kills the worker (SIGKILL) after the deadline. Memory is limited by SQLite's heap, DuckDB's pool and the
kernel. Results that are too large are refused, not cut. Workers cannot write files, start with an empty
environment, and are killed when this process ends. A fork of this process starts workers of its own.

The deadline is CPU time, so that verdicts do not depend on the load of the machine. If only the wall clock
has passed it, a worker that waits for the CPU gets more time; a worker that was stopped is replaced and its
jobs run again; a query that sleeps runs again, and times out the second time. A worker that dies is replaced
and its unfinished jobs run again. If two workers are lost at the same query or answer, it counts as failed;
if four workers are lost at the gold of a job, the job ends as our own failure.

What it does not protect against. Workers run as the same user and see the same files and network as this
process: only resource limits hold a query that takes over a worker through a bug in SQLite or DuckDB. Even
then this process receives plain values only. Linux only: it needs memfd, memory limits and signal-driven
pipes.
"""

from __future__ import annotations

import os
import select
import signal
import threading
import weakref
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tasks.databases.sandbox.executor import NO_JOB, NO_QUERY, Beat
from tasks.databases.sandbox.process import FatalQueries, Hang, Worker, WorkerDied
from tasks.databases.sandbox.worker import EXHAUSTED
from tasks.types import Database, Limits, Outcome, Status

OVERDUE = "overdue"
"""The result of a job that exceeded the deadline outside its queries."""
CRASHED = "crashed"
"""The result of a job that killed two workers outside its queries."""
FAULTS = frozenset({OVERDUE, CRASHED, EXHAUSTED})
"""Results that count against the answer. None, in place of a result, is our own failure."""
SMALLEST = 8
"""Cheap jobs in the smallest chunk: sending a chunk takes about as long as doing one of them."""
_ENOUGH_AHEAD = 4 * SMALLEST
"""Cheap jobs that must be left before a busy worker gets a second chunk."""
_POLL = 0.2
_CHUNK = 256
"""Jobs in the largest chunk."""
_MAX_LOSSES = 2
"""Lost workers, in one batch, after which the query or the answer counts as failed."""
_MAX_GOLD_LOSSES = 4
"""Lost workers at a gold, outside any query, after which the job is given up."""
_MAX_STOPS = 8
"""How often a worker may be found stopped at the same job before the job is given up."""
_MAX_EARLY_DEATHS = 100
"""Deaths in a row, each before a first job, after which this machine cannot run workers."""
_KILLED = "the worker was killed (out of memory?) twice while this ran"
_CRASHED = "the worker crashed twice while this ran"


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


class Sandbox:
    """A pool of workers, started on first use. Use as a context manager, or ``close`` it.

    ``workers`` 0: one for each CPU this process may use. Threads may share a sandbox: their calls take turns.
    """

    def __init__(self, workers: int = 0, limits: Limits | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        self.limits = limits or Limits()
        self._pool: list[Worker] = []
        self._fatal = FatalQueries()
        self._early_deaths = 0
        self._turn = threading.Lock()
        self._closed = 0
        """How often ``close`` was called."""
        _sandboxes.add(self)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers. Another call starts new ones; a ``map`` that is running raises RuntimeError."""
        self._closed += 1
        pool, self._pool = self._pool, []  # a call that starts meanwhile keeps its new workers
        for worker in pool:
            worker.end()

    def disown(self) -> None:
        """Forget the workers in a fork of the process that started them: they stay with that process."""
        self._turn = threading.Lock()
        while self._pool:
            self._pool.pop().disown()

    def run(self, queries: Sequence[tuple[Database, int, str]]) -> list[Outcome]:
        """Execute each ``(database, instance, sql)``; the outcomes in the same order."""
        outcomes = [Outcome(Status.INFRASTRUCTURE, message="the worker was lost")] * len(queries)
        for index, result in self.map("tasks.databases.sandbox.worker:run_query", queries):
            if isinstance(result, tuple):
                status, columns, rows, message, seconds, steps = result
                outcomes[index] = Outcome(Status(status), columns, rows, message, seconds, steps)
        return outcomes

    def map(
        self, work: str, jobs: Sequence[Any], costs: Sequence[float] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """Yield ``(index, result)`` of every job, in any order, as results arrive.

        ``work`` is ``"module:function"``; the worker calls ``function(executor, job)``. Jobs are picklable,
        results are plain builtins. Jobs start in the given order, or the costliest first with ``costs``.
        Where the function does not return, the result is one of FAULTS, or None for our own failure.
        Raises RuntimeError with the worker's traceback where the function raises, or if it is closed.
        """
        with self._turn:
            batch, closed = Jobs(work, jobs, costs, _CHUNK), self._closed
            batch.workers = self.workers
            try:
                while batch.left and self._closed == closed:
                    yield from self._step(batch)
            except (ValueError, OSError):  # from a worker that ``close`` has just ended
                if self._closed == closed:
                    raise
            finally:
                self._end_busy_workers()
            if batch.left:
                raise RuntimeError("the sandbox was closed while it was working")

    def _step(self, batch: Jobs) -> Iterator[tuple[int, Any]]:
        """Send every waiting worker a chunk, wait a little, yield the results that have arrived."""
        busy = sum(bool(worker.indices) for worker in self._pool)
        while len(self._pool) < min(self.workers, busy + batch.waiting):
            self._pool.append(Worker(self.limits))
        for chunks in (0, 1):  # one chunk for each, then a second one to continue with
            for worker in self._pool:
                if worker.chunks == chunks and (chunk := batch.take(ahead=chunks > 0)):
                    worker.send_jobs(batch.work, self._fatal, chunk)
        poll, busy_workers = select.poll(), [worker for worker in self._pool if worker.indices]
        for worker in busy_workers:
            poll.register(worker.channel, worker.events)
        ready = dict(poll.poll(_POLL * 1000))
        for worker in busy_workers:
            events = ready.get(worker.channel.fileno(), 0)
            if events & select.POLLOUT:
                worker.flush()
            if events & ~select.POLLOUT:
                yield from self._read(worker, batch)
            elif hang := worker.hang():
                yield from self._kill(worker, hang, batch)

    def _read(self, worker: Worker, batch: Jobs) -> Iterator[tuple[int, Any]]:
        try:
            results = worker.results()
        except WorkerDied:
            yield from self._handle_death(worker, batch)
            return
        self._early_deaths = 0
        if worker.full:
            self._retire(worker, batch)
        batch.left -= len(results)
        yield from results

    def _kill(self, worker: Worker, hang: Hang, batch: Jobs) -> list[tuple[int, Any]]:
        """End a worker that makes no progress. It may have reached its next query just before."""
        worker.end()
        beat, late = worker.heartbeat.read(), worker.late()
        lost: list[tuple[int, Any]] = []
        if hang is Hang.STOPPED:
            if beat.job in worker.indices and batch.count_loss((hang, beat.job)) >= _MAX_STOPS:
                lost = [(beat.job, None)]
        elif late and (hang is Hang.SPENT or batch.count_loss((hang, beat[3:])) >= _MAX_LOSSES):
            lost = self._out_of_time(worker, beat)
        return self._retire(worker, batch, lost)

    def _handle_death(self, worker: Worker, batch: Jobs) -> list[tuple[int, Any]]:
        """Find out why a worker died and put its unfinished jobs back.

        Returns the job that is not run again, if any, with its result.
        """
        died_of = worker.end()
        beat = worker.heartbeat.read()
        lost: list[tuple[int, Any]] = []
        if beat.job == NO_JOB or beat.job not in worker.indices:
            self._early_deaths += 1
            if self._early_deaths >= _MAX_EARLY_DEATHS:
                raise RuntimeError(f"workers die before their first job (the last by signal {died_of})")
        elif died_of == signal.SIGXCPU:
            lost = self._out_of_time(worker, beat)
        elif beat.digest != NO_QUERY:
            if batch.count_loss(beat.digest) >= _MAX_LOSSES:
                killed = died_of == signal.SIGKILL
                status = Status.MEMORY if killed else Status.EXECUTION_ERROR
                self._fatal.add(beat.digest, status, _KILLED if killed else _CRASHED)
        elif batch.count_loss((beat.job, beat.at_gold)) >= (
            _MAX_GOLD_LOSSES if beat.at_gold else _MAX_LOSSES
        ):
            lost = [(beat.job, None if beat.at_gold else CRASHED)]
        return self._retire(worker, batch, lost)

    def _out_of_time(self, worker: Worker, beat: Beat) -> list[tuple[int, Any]]:
        """Handle a passed deadline: a query is not run again; outside a query the job ends.

        Returns the job that ends, if any, with its result.
        """
        if beat.digest != NO_QUERY:
            self._fatal.add(beat.digest, Status.TIMEOUT, f"over {beat.seconds:.3g} seconds: killed")
            return []
        return [(beat.job, None if beat.at_gold else OVERDUE)] if beat.job in worker.indices else []

    def _retire(
        self, worker: Worker, batch: Jobs, lost: Sequence[tuple[int, Any]] = ()
    ) -> list[tuple[int, Any]]:
        """Remove a worker and put its jobs back, except ``lost``, which are returned."""
        worker.end()
        self._pool.remove(worker)
        for index, _ in lost:
            del worker.indices[index]
        batch.left -= len(lost)
        batch.put_back(worker.indices)
        return list(lost)

    def _end_busy_workers(self) -> None:
        """End the workers that have jobs left, because their results will not be read."""
        for worker in [worker for worker in self._pool if worker.indices]:
            self._pool.remove(worker)
            worker.end()


_sandboxes: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def _disown_all() -> None:
    for sandbox in list(_sandboxes):
        sandbox.disown()


os.register_at_fork(after_in_child=_disown_all)
