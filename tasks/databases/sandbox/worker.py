"""The worker process of the sandbox: it receives chunks of jobs and sends back plain results.

Imports stay light (no pydantic, no DuckDB until a query needs it), so a worker starts in well under 100 ms.
A message in either direction is a frame: 8 bytes of length, then a pickle (parent to worker) or a marshal
(worker to parent, because a marshal cannot name code that the parent would run).
"""

from __future__ import annotations

import fcntl
import gc
import marshal
import os
import pickle
import resource
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from functools import cache
from typing import Any

from tasks.common.named_code import load_object
from tasks.databases.sandbox.executor import NO_JOB, Executor, Heartbeat
from tasks.types import Database, Limits

LENGTH = struct.Struct("!Q")
FLUSH_SECONDS = 0.05
"""How long finished results wait to be sent together (longer only behind one slow job)."""
GARBAGE = 20_000
"""Allocations between two garbage collections: a parsed tree is many small objects, freed together."""
CPU_GRACE = 10
"""CPU seconds beyond the deadline after which the kernel kills a worker that the parent has not killed."""

EXHAUSTED = "exhausted"
"""The result of a job that ran out of memory outside any query."""
_SLACK = 2**20
"""Bytes by which the memory limit may be too low or too high."""

Job = tuple[int, Any]
Work = Callable[[Executor, Any], Any]


def main(channel: int, heartbeat: int, lifeline: int, parent: int) -> None:
    """Serve until the parent closes the channel.

    The arguments are three file descriptors of the parent's and its process id.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent(lifeline, parent)
    os.dup2(2, 1)
    connection = socket.socket(fileno=channel)
    limits: Limits = pickle.loads(_receive(connection))
    reports = _LimitedHeartbeat(heartbeat, limits)
    executor = Executor(limits, reports)
    works: dict[str, Work] = {}
    while frame := _receive(connection):
        try:
            name, fatal, jobs = pickle.loads(frame)
            executor.fatal.update(fatal)
            if name not in works:
                works[name] = load_object(name)
                gc.freeze()  # imported modules are never garbage
                gc.set_threshold(GARBAGE)
                confine(limits)
                reports.confined()
            if not _serve(connection, executor, reports, works[name], jobs):
                return
        except Exception:
            _send(connection, ("error", traceback.format_exc(), []))


def _serve(
    connection: socket.socket, executor: Executor, heartbeat: _LimitedHeartbeat, work: Work, jobs: list[Job]
) -> bool:
    """Do a chunk of jobs. False: this process holds too much memory and has asked the parent to replace it.

    A frame is ``(state, text, [(index, packed result), ...])`` with the state "more", "done", "full" or
    "error". The last result comes with the state that ends the chunk, so that no frame is left over for the
    next chunk and none follows "full". A result is packed inside its job, so that an error of packing counts
    as an error of the job.
    """
    results: list[tuple[int, bytes]] = []
    flushed = time.monotonic()
    heartbeat.measure_memory()
    for index, job in jobs:
        heartbeat.job(index)
        try:
            result = marshal.dumps(work(executor, job))
        except MemoryError:
            result = marshal.dumps(None if heartbeat.at_gold else EXHAUSTED)
        results.append((index, result))
        if heartbeat.holds_much_memory():
            heartbeat.rest()
            _send(connection, ("full", "", results))
            return False
        now = time.monotonic()
        if now - flushed > FLUSH_SECONDS and index != jobs[-1][0]:
            heartbeat.rest()
            _send(connection, ("more", "", results))
            results, flushed = [], now
    heartbeat.job(NO_JOB)
    heartbeat.rest()
    _send(connection, ("done", "", results))
    return True


def run_query(executor: Executor, job: tuple[Database, int, str]) -> tuple[Any, ...]:
    """The work function of ``Sandbox.run``: the Outcome as a plain tuple."""
    outcome = executor.run(*job)
    rest = (outcome.columns, outcome.rows, outcome.message, outcome.seconds, outcome.steps)
    return (outcome.status.value, *rest)


def confine(limits: Limits) -> None:
    """Limit what this process may use: memory, CPU and open files; forbid writing files and core dumps.

    RLIMIT_DATA counts private writable memory; RLIMIT_AS would also count what DuckDB only reserves (700 MB).
    """
    sys.dont_write_bytecode = True
    _limit_data(_data() + limits.memory)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    _limit_sqlite(limits.memory // 4)


def _limit_sqlite(heap: int) -> None:
    import sqlite3

    connection = sqlite3.connect(":memory:")
    connection.execute(f"PRAGMA hard_heap_limit={heap}").fetchall()
    connection.close()


class _LimitedHeartbeat(Heartbeat):
    """A heartbeat that also renews the kernel's limits of this process.

    The memory limit is renewed at each job and each gold, so that none has less because of what ran before.
    The limit of CPU time is renewed once a second, so that the kernel kills a job without end.
    """

    def __init__(self, file: int, limits: Limits) -> None:
        self._limits = limits
        self._renewed = 0.0
        self._limited_at = 0
        """Bytes held when the memory limit was last set; 0: there is none yet."""
        self._held = 0
        """Bytes held at the last measurement."""
        super().__init__(file, limits.seconds)

    def confined(self) -> None:
        """Note that the limits are in force."""
        self._limited_at = _data()

    def measure_memory(self) -> None:
        """Measure the memory that is held; the next job may add to it what the limits allow."""
        self._held = _data()

    def holds_much_memory(self) -> bool:
        """Whether this process holds so much memory that a new one should replace it."""
        limit = self._limits.memory // 4
        self.measure_memory()
        if self._held >= limit:
            gc.collect()
            self.measure_memory()
        return self._held >= limit

    def job(self, index: int) -> None:
        self._renew_cpu(self._limits.seconds)
        self._renew_memory(self._held)
        super().job(index)

    def mark_gold(self, at_gold: bool) -> None:
        if at_gold:
            self._renew_memory(_data())
        super().mark_gold(at_gold)

    def begin(self, digest: bytes, seconds: float) -> None:
        self._renew_cpu(seconds)
        super().begin(digest, seconds)

    def _renew_cpu(self, seconds: float) -> None:
        now = time.monotonic()
        if now - self._renewed > 1 or seconds > self._limits.seconds:
            _, hard = resource.getrlimit(resource.RLIMIT_CPU)
            allowed = time.process_time() + seconds + CPU_GRACE
            resource.setrlimit(resource.RLIMIT_CPU, (int(allowed), hard))
            self._renewed = now

    def _renew_memory(self, held: int) -> None:
        if self._limited_at and abs(held - self._limited_at) > _SLACK:
            _limit_data(held + self._limits.memory)
            self._limited_at = held


def _data() -> int:
    """Bytes of private writable memory of this process."""
    return int(os.pread(_statm(), 128, 0).split()[5]) * resource.getpagesize()


@cache
def _statm() -> int:
    return os.open("/proc/self/statm", os.O_RDONLY)


def _limit_data(size: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (size, hard))


def _die_with_parent(lifeline: int, parent: int) -> None:
    """Have the kernel kill this process, whatever it is doing, when the other end of the pipe is closed.

    PR_SET_PDEATHSIG would also fire when only the parent's *thread* that started us ends. A parent that died
    before the signal was set up sends none, so we check for it afterwards.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()  # select() takes no descriptor over 1023, which a server with many clients has
    poll.register(lifeline, select.POLLIN)
    if os.getppid() != parent or poll.poll(0):
        os._exit(1)


def _send(connection: socket.socket, message: Any) -> None:
    data = marshal.dumps(message)
    connection.sendall(LENGTH.pack(len(data)) + data)


def _receive(connection: socket.socket) -> bytes:
    """One frame; empty at the end of the stream."""
    header = _read(connection, LENGTH.size)
    return _read(connection, LENGTH.unpack(header)[0]) if header else b""


def _read(connection: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = connection.recv(min(size, 2**20))
        if not part:
            return b""
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
