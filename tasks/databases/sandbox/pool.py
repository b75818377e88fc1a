"""The sandbox: untrusted SQL runs in warm workers that can be killed at any moment and lose no verdict.

Covered. A statement that is not one read-only query is refused (see the engine files). A query that goes
over its limits ends with a status: VM steps and CPU time inside the worker, then SIGKILL from here when the
deadline has passed; memory is limited by SQLite's heap, DuckDB's pool and the kernel; results too large are
refused, never cut. Workers cannot write files, start with an empty environment, and die with this process,
whatever they are doing. A fork of this process has no part in its workers and starts its own.

The deadline is CPU time: that a machine was busy or stopped says nothing about a query. Where only the wall
clock has passed it, a worker that waits for the CPU is given more time; one that was stopped is replaced
and its jobs run again; a query that sleeps runs again, and the second time it is over. A worker that dies
is replaced and its unfinished jobs run again. A query, or a job at its answer, that lost two workers is to
blame; a job that lost four at its gold is given up, as our own failure.

Not covered. Workers run under the same user and see the same files and network as this process: a query that
takes over the process through a bug in SQLite or DuckDB is held by resource limits only. Only plain values
cross back. Linux only: memfd, memory limits and signal-driven pipes.
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
from tasks.databases.sandbox.process import Gone, Trouble, Worker
from tasks.databases.sandbox.worker import EXHAUSTED
from tasks.types import Database, Limits, Outcome, Status

OVERDUE = "overdue"
"""The result of a job that went over the deadline between its queries."""
CRASHED = "crashed"
"""The result of a job that cost two workers their lives between its queries."""
FAULTS = frozenset({OVERDUE, CRASHED, EXHAUSTED})
"""Results that are the answer's doing. None is ours."""
_POLL = 0.2
_CHUNK = 256
_LEAST = 8
"""Cheap jobs in the smallest chunk: to send one costs about as much as to do one."""
_MANY = 4 * _LEAST
"""Cheap jobs that must be left for a worker to be given some ahead."""
_STRIKES = 2
"""Losses of a worker, in one batch, after which the query or the answer is to blame."""
_OUR_STRIKES = 4
"""The same while it was at a gold outside any query."""
_STOPS = 8
"""Times that a worker was found stopped at the same job after which the job is given up."""
_STILLBORN = 100
"""Deaths in a row, each before a first job, after which there must be something wrong with this machine."""
_DEADLY = 1000
"""Deadly queries that are remembered between batches."""
_KILLED = "the worker was killed (out of memory?) twice while this ran"
_CRASHED = "the worker crashed twice while this ran"


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


class Sandbox:
    """A pool of workers, started on first use. Use as a context manager, or ``close`` it.

    ``workers`` 0: one for each CPU this process may use. Threads may share a sandbox: their calls take turns.
    """

    def __init__(self, workers: int = 0, limits: Limits | None = None) -> None:
        self.workers = workers or len(os.sched_getaffinity(0))
        self.limits = limits or Limits()
        self._pool: list[Worker] = []
        self._deadly: deque[tuple[bytes, tuple[str, str]]] = deque(maxlen=_DEADLY)
        self._told = 0
        """How many deadly queries there have been, those forgotten included."""
        self._stillborn = 0
        self._turn = threading.Lock()
        self._closed = 0
        """How often it was closed."""
        _sandboxes.add(self)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all workers. The sandbox starts new ones if it is used again; a ``map`` under way raises."""
        self._closed += 1
        while self._pool:
            self._pool.pop().end()

    def disown(self) -> None:
        """In a fork of the process that started them: the workers stay with that one, and end with it."""
        self._turn = threading.Lock()
        while self._pool:
            self._pool.pop().disown()

    def run(self, queries: Sequence[tuple[Database, int, str]]) -> list[Outcome]:
        """Execute each ``(database, instance, sql)``; the outcomes, in order."""
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

        ``work`` is ``"module:function"``; the worker calls ``function(executor, job)``. Jobs can be pickled,
        results are plain builtins. Jobs start in the given order, with ``costs`` the costliest first.
        Where the function does not return, the result is one of FAULTS, or None: our own failure.
        Raises RuntimeError with the worker's traceback where the function raises, or where it is closed.
        """
        with self._turn:
            batch, closed = _Batch(work, jobs, costs, self.workers), self._closed
            try:
                while batch.left and self._closed == closed:
                    yield from self._step(batch)
            except (ValueError, OSError):  # of a worker that has just been taken away
                if self._closed == closed:
                    raise
            finally:
                self._dismiss()
            if batch.left:
                raise RuntimeError("the sandbox was closed while it was at work")

    def _step(self, batch: _Batch) -> Iterator[tuple[int, Any]]:
        """Give every idle worker a chunk, wait a little, yield what has come."""
        busy = sum(bool(worker.indices) for worker in self._pool)
        while len(self._pool) < min(self.workers, busy + batch.waiting):
            self._pool.append(Worker(self.limits))
        for chunks in (0, 1):  # one for each, then the next, for when that is done
            for worker in self._pool:
                if worker.chunks == chunks and (chunk := batch.take(ahead=chunks > 0)):
                    worker.give(batch.work, self._news(worker), chunk)
        poll, asked = select.poll(), [worker for worker in self._pool if worker.indices]
        for worker in asked:
            poll.register(worker.channel, worker.events)
        ready = dict(poll.poll(_POLL * 1000))
        for worker in asked:
            events = ready.get(worker.channel.fileno(), 0)
            if events & select.POLLOUT:
                worker.flush()
            if events & ~select.POLLOUT:
                yield from self._read(worker, batch)
            elif trouble := worker.trouble():
                yield from self._kill(worker, trouble, batch)

    def _news(self, worker: Worker) -> list[tuple[bytes, tuple[str, str]]]:
        """The deadly queries that a worker has not been told of."""
        new = min(self._told - worker.told, len(self._deadly))
        worker.told = self._told
        return list(self._deadly)[len(self._deadly) - new :] if new else []

    def _read(self, worker: Worker, batch: _Batch) -> Iterator[tuple[int, Any]]:
        try:
            results = worker.results()
        except Gone:
            yield from self._bury(worker, batch)
            return
        self._stillborn = 0
        if worker.tired:
            self._retire(worker, batch)
        batch.left -= len(results)
        yield from results

    def _kill(self, worker: Worker, trouble: Trouble, batch: _Batch) -> list[tuple[int, Any]]:
        """End a worker that does not go on. It may have come to the next query just before."""
        worker.end()
        beat, late = worker.heartbeat.read(), worker.late()
        lost: list[tuple[int, Any]] = []
        if trouble is Trouble.STOPPED:
            if beat.job in worker.indices and batch.strike((trouble, beat.job)) >= _STOPS:
                lost = [(beat.job, None)]
        elif late and (trouble is Trouble.SPENT or batch.strike((trouble, beat[3:])) >= _STRIKES):
            lost = self._out_of_time(worker, beat)
        return self._retire(worker, batch, lost)

    def _bury(self, worker: Worker, batch: _Batch) -> list[tuple[int, Any]]:
        """Find out what a worker died of, put its unfinished jobs back; the job to give up, if any."""
        died_of = worker.end()
        beat = worker.heartbeat.read()
        lost: list[tuple[int, Any]] = []
        if beat.job == NO_JOB or beat.job not in worker.indices:
            self._stillborn += 1
            if self._stillborn >= _STILLBORN:
                raise RuntimeError(f"workers die before their first job (the last by signal {died_of})")
        elif died_of == signal.SIGXCPU:
            lost = self._out_of_time(worker, beat)
        elif beat.digest != NO_QUERY:
            if batch.strike(beat.digest) >= _STRIKES:
                killed = died_of == signal.SIGKILL
                status = Status.MEMORY if killed else Status.EXECUTION_ERROR
                self._condemn(beat.digest, status, _KILLED if killed else _CRASHED)
        elif batch.strike((beat.job, beat.ours)) >= (_OUR_STRIKES if beat.ours else _STRIKES):
            lost = [(beat.job, None if beat.ours else CRASHED)]
        return self._retire(worker, batch, lost)

    def _out_of_time(self, worker: Worker, beat: Beat) -> list[tuple[int, Any]]:
        """A query over its deadline is not tried again; between queries its job is over."""
        if beat.digest != NO_QUERY:
            self._condemn(beat.digest, Status.TIMEOUT, f"over {beat.seconds:.3g} seconds: killed")
            return []
        return [(beat.job, None if beat.ours else OVERDUE)] if beat.job in worker.indices else []

    def _condemn(self, digest: bytes, status: Status, message: str) -> None:
        self._deadly.append((digest, (status.value, message)))
        self._told += 1

    def _retire(
        self, worker: Worker, batch: _Batch, lost: Sequence[tuple[int, Any]] = ()
    ) -> list[tuple[int, Any]]:
        """Take a worker out of the pool; all its jobs but the lost ones are next. The lost."""
        worker.end()
        self._pool.remove(worker)
        for index, _ in lost:
            del worker.indices[index]
        batch.left -= len(lost)
        batch.put_back(worker.indices)
        return list(lost)

    def _dismiss(self) -> None:
        """End the workers that are still at jobs nobody waits for."""
        for worker in [worker for worker in self._pool if worker.indices]:
            self._pool.remove(worker)
            worker.end()


_sandboxes: weakref.WeakSet[Sandbox] = weakref.WeakSet()


def _disown_all() -> None:
    for sandbox in list(_sandboxes):
        sandbox.disown()


os.register_at_fork(after_in_child=_disown_all)
