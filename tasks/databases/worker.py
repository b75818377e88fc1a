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
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from tasks.databases.executor import NO_JOB, Executor, Heartbeat, load
from tasks.types import Database, Limits

LENGTH = struct.Struct("!Q")
FLUSH_SECONDS = 0.05
"""Results wait at most this long for company (longer only behind one slow job)."""
GARBAGE = 20_000
"""Objects made between two looks for garbage: parsed trees are many small objects that die together."""
CPU_GRACE = 10
"""CPU seconds beyond the deadline after which the kernel ends a worker whose parent looks away."""

Job = tuple[int, Any]
Work = Callable[[Executor, Any], Any]


def main(channel: int, heartbeat: int, lifeline: int) -> None:
    """Serve until the parent closes the channel. The three are file descriptors that it passed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent(lifeline)
    os.dup2(2, 1)
    connection = socket.socket(fileno=channel)
    limits: Limits = pickle.loads(_receive(connection))
    executor = Executor(limits, _Pulse(heartbeat, limits.seconds))
    works: dict[str, Work] = {}
    while frame := _receive(connection):
        try:
            name, deadly, jobs = pickle.loads(frame)
            executor.deadly.update(deadly)
            if name not in works:
                works[name] = load(name)
                gc.freeze()  # what was imported stays: no need to look through it for garbage
                gc.set_threshold(GARBAGE)
                confine(limits)
            _serve(connection, executor, works[name], jobs)
        except MemoryError:
            os._exit(1)
        except Exception:
            _send(connection, ("error", traceback.format_exc(), []))


def _serve(connection: socket.socket, executor: Executor, work: Work, jobs: list[Job]) -> None:
    """Do a chunk. A frame is ``(state, text, [(index, result), ...])``; state: more, done, tired, error.

    The last result comes with the state that ends the chunk: no frame is left over for the next one.
    """
    results: list[tuple[int, Any]] = []
    flushed = time.monotonic()
    for index, job in jobs:
        executor.heartbeat.job(index)
        results.append((index, work(executor, job)))
        now = time.monotonic()
        if now - flushed > FLUSH_SECONDS and index != jobs[-1][0]:
            executor.heartbeat.rest()
            _send(connection, ("more", "", results))
            results, flushed = [], now
    executor.heartbeat.job(NO_JOB)
    executor.heartbeat.rest()
    _send(connection, ("tired" if _swollen(executor.limits) else "done", "", results))


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
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (_data() + limits.memory, hard))
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
    """A heartbeat that also renews, once a second, the CPU time after which the kernel ends this process.

    So a job that computes without end, outside any query, does not hang the pool either.
    """

    def __init__(self, file: int, seconds: float) -> None:
        self._allowance = seconds + CPU_GRACE
        self._renewed = 0.0
        super().__init__(file)

    def job(self, index: int) -> None:
        self._renew()
        super().job(index)

    def begin(self, digest: bytes) -> None:
        self._renew()
        super().begin(digest)

    def _renew(self) -> None:
        now = time.monotonic()
        if now - self._renewed > 1:
            _, hard = resource.getrlimit(resource.RLIMIT_CPU)
            resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + self._allowance), hard))
            self._renewed = now


def _swollen(limits: Limits) -> bool:
    """Whether this process holds on to so much memory that a fresh one should take its place."""
    if _data() < limits.memory // 4:
        return False
    gc.collect()
    return _data() >= limits.memory // 4


def _data() -> int:
    """Bytes of private writable memory of this process."""
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[5]) * resource.getpagesize()


def _die_with_parent(lifeline: int) -> None:
    """Have the kernel end this process, whatever it is doing, when the other end of the pipe is gone.

    SIGIO's default action is to terminate. PR_SET_PDEATHSIG would also fire when only the parent's
    *thread* that started us ends.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


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
