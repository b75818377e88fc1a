"""The worker's side of the sandbox: a fresh interpreter takes chunks of jobs and hands back plain results.

Imports stay light (no pydantic, no DuckDB until a query needs it): a worker starts in well under 100 ms.
Frames in both directions: 8 bytes of length, then a pickle (parent to worker) or a marshal (worker to parent,
so that nothing a worker sends can name code for the parent to run).
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
"""Results wait at most this long for company (longer only behind one slow job)."""
GARBAGE = 20_000
"""Objects made between two looks for garbage: parsed trees are many small objects that die together."""
CPU_GRACE = 10
"""CPU seconds beyond the deadline after which the kernel ends a worker whose parent looks away."""

EXHAUSTED = "exhausted"
"""The result of a job that ran out of memory outside any query."""
_SLACK = 2**20
"""Bytes by which the memory limit may be off."""

Job = tuple[int, Any]
Work = Callable[[Executor, Any], Any]


def main(channel: int, heartbeat: int, lifeline: int, parent: int) -> None:
    """Serve until the parent closes the channel. It passed three file descriptors and its process id."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent(lifeline, parent)
    os.dup2(2, 1)
    connection = socket.socket(fileno=channel)
    limits: Limits = pickle.loads(_receive(connection))
    pulse = _Pulse(heartbeat, limits)
    executor = Executor(limits, pulse)
    works: dict[str, Work] = {}
    while frame := _receive(connection):
        try:
            name, deadly, jobs = pickle.loads(frame)
            executor.deadly.update(deadly)
            if name not in works:
                works[name] = load_object(name)
                gc.freeze()  # what was imported stays: no need to look through it for garbage
                gc.set_threshold(GARBAGE)
                confine(limits)
                pulse.confined()
            if not _serve(connection, executor, pulse, works[name], jobs):
                return
        except Exception:
            _send(connection, ("error", traceback.format_exc(), []))


def _serve(connection: socket.socket, executor: Executor, pulse: _Pulse, work: Work, jobs: list[Job]) -> bool:
    """Do a chunk; False where this process should be replaced: it holds on to memory, and has said so.

    A frame is ``(state, text, [(index, packed result), ...])``; state: more, done, tired, error. The last
    result comes with the state that ends the chunk: no frame is left over for the next one, none follows
    ``tired``. A result is packed as part of its job: what cannot be is that job's failure.
    """
    results: list[tuple[int, bytes]] = []
    flushed = time.monotonic()
    pulse.look()
    for index, job in jobs:
        pulse.job(index)
        try:
            result = marshal.dumps(work(executor, job))
        except MemoryError:
            result = marshal.dumps(None if pulse.ours else EXHAUSTED)
        results.append((index, result))
        if pulse.swollen():
            pulse.rest()
            _send(connection, ("tired", "", results))
            return False
        now = time.monotonic()
        if now - flushed > FLUSH_SECONDS and index != jobs[-1][0]:
            pulse.rest()
            _send(connection, ("more", "", results))
            results, flushed = [], now
    pulse.job(NO_JOB)
    pulse.rest()
    _send(connection, ("done", "", results))
    return True


def run_query(executor: Executor, job: tuple[Database, int, str]) -> tuple[Any, ...]:
    """The work of ``Sandbox.run``: an Outcome as a plain tuple."""
    outcome = executor.run(*job)
    rest = (outcome.columns, outcome.rows, outcome.message, outcome.seconds, outcome.steps)
    return (outcome.status.value, *rest)


def confine(limits: Limits) -> None:
    """Limit this process: data it may add to what it holds, CPU, few handles; no file writes, no core dump.

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


class _Pulse(Heartbeat):
    """A heartbeat that also renews what the kernel allows this process.

    Memory, at each job and each gold: none has less because of what ran before it. CPU time, once a second: a
    job that computes without end, while the parent looks away, does not hang the pool either.
    """

    def __init__(self, file: int, limits: Limits) -> None:
        self._limits = limits
        self._renewed = 0.0
        self._held = 0
        """Bytes held when the memory limit was last set; 0: there is none yet."""
        self._holds = 0
        """Bytes held at the last look."""
        super().__init__(file, limits.seconds)

    def confined(self) -> None:
        """Limits are in force."""
        self._held = _data()

    def look(self) -> None:
        """See how much memory is held: what the next job may add is counted from here."""
        self._holds = _data()

    def swollen(self) -> bool:
        """Whether this process holds on to so much memory that a fresh one should take its place."""
        most = self._limits.memory // 4
        self.look()
        if self._holds >= most:
            gc.collect()
            self.look()
        return self._holds >= most

    def job(self, index: int) -> None:
        self._renew_cpu(self._limits.seconds)
        self._renew_memory(self._holds)
        super().job(index)

    def at_gold(self, ours: bool) -> None:
        if ours:
            self._renew_memory(_data())
        super().at_gold(ours)

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
        if self._held and abs(held - self._held) > _SLACK:
            _limit_data(held + self._limits.memory)
            self._held = held


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
    """Have the kernel kill this process, whatever it is doing, when the other end of the pipe is gone.

    PR_SET_PDEATHSIG would also fire when only the parent's *thread* that started us ends. A parent that died
    before the pipe was armed sends nothing: it is looked for afterwards.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    if os.getppid() != parent or select.select([lifeline], [], [], 0)[0]:
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
