"""Work that the sandbox tests send to workers (``module:function``); imported inside them."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from tasks.databases.sandbox.executor import Executor
from tasks.types import Database


def echo(executor: Executor, job: Any) -> Any:
    return job


def pid(executor: Executor, job: Any) -> int:
    return os.getpid()


def fail(executor: Executor, job: Any) -> Any:
    raise ValueError(f"bad job {job}")


def noise(executor: Executor, job: Any) -> Any:
    print("this must not end up among the results")
    return job


def sleep(executor: Executor, job: float) -> float:
    time.sleep(job)
    return job


def die(executor: Executor, job: int) -> int:
    """Job 3 always ends its worker, outside any query."""
    if job == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return job


def modules(executor: Executor, job: Any) -> list[str]:
    return sorted(sys.modules)


def environment(executor: Executor, job: Any) -> list[str]:
    return sorted(os.environ)


def write(executor: Executor, job: str) -> str:
    """The error of a worker that writes a file."""
    try:
        with open(job, "w") as file:
            file.write("x" * 10_000)
    except OSError as error:
        return type(error).__name__
    return "written"


def handles(executor: Executor, job: tuple[Database, int, str]) -> tuple[str, int]:
    """A query's status, and how many files the worker has open after it."""
    return executor.run(*job).status.value, len(os.listdir("/proc/self/fd"))


def crash_while_querying(executor: Executor, job: tuple[str, str]) -> str:
    """Send a signal while the query of a digest is running, as in a crash inside an engine."""
    sql, name = job
    database = Database("none", ddl="CREATE TABLE t(a)")
    if sql == "crash":
        return _with_session(executor, database, lambda: os.kill(os.getpid(), getattr(signal, name)))
    return executor.run(database, 0, sql).status.value


def _with_session(executor: Executor, database: Database, act: Any) -> str:
    executor.run(database, 0, "SELECT 1")
    session: Any = next(iter(executor._sessions.values()))
    session.run = lambda sql, allowance: act()
    status = executor.run(database, 0, "crash").status.value
    del session.run
    return status


def big(executor: Executor, job: int) -> str:
    return "x" * job


def remember(executor: Executor, job: int) -> Any:
    """The cached value; then cache one."""
    known = executor.memo.get(job)
    executor.memo.put(job, job * 10, cost=1)
    return known


_held: list[bytearray] = []


def hold_memory(executor: Executor, job: int) -> int:
    """Hold on to 20 MB more, as an answer's result may."""
    _held.append(bytearray(20 * 2**20))
    return job


def burn(executor: Executor, job: float) -> float:
    """Compute in Python for ``job`` seconds."""
    end = time.monotonic() + job
    while time.monotonic() < end:
        pass
    return job


def sleep_while_querying(executor: Executor, job: float) -> str:
    """A query that uses no CPU time."""
    return _with_session(executor, Database("none", ddl="CREATE TABLE t(a)"), lambda: time.sleep(job))


def who(executor: Executor, job: tuple[Database, float]) -> int:
    """The process that owns this worker, after the seconds of the job."""
    time.sleep(job[1])
    return os.getppid()


def nap(executor: Executor, job: tuple[Database, float]) -> float:
    """Sleep for the seconds of a job that begins with its database."""
    time.sleep(job[1])
    return job[1]
