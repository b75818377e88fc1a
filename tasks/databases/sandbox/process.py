"""One worker process, on the parent's side: start it, send jobs, read results, find out why it hangs."""

from __future__ import annotations

import marshal
import mmap
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

from tasks.databases.sandbox.executor import Heartbeat
from tasks.databases.sandbox.worker import LENGTH
from tasks.types import Limits, Status

_BOOT = (
    "import sys; sys.path[:] = sys.argv[5:]; "
    "from tasks.databases.sandbox.worker import main; main(*map(int, sys.argv[1:5]))"
)
_ROOT = str(Path(__file__).resolve().parents[3])
GRACE = 0.3
"""Seconds after the deadline that the worker has to stop by itself before it is checked."""
_CHECK_EVERY = 0.1
"""Seconds between two checks of a worker that is over the deadline without having used its CPU time."""
_MAX_WAIT = 10
"""A worker that waits for the CPU may take this many times its allowed seconds."""
_PIECE = 2**16
IN_WORKER = "in a worker: "
"""The beginning of the message of a RuntimeError that the work of a worker raised; its traceback follows."""
_MAX_FATAL = 1000
"""The most fatal queries that are kept."""
_SILENCE = 30.0
"""Seconds that a worker with jobs may be silent between two of them, or while it starts."""


class WorkerDied(Exception):
    """The worker has died or closed its channel."""


class Hang(Enum):
    """Why a worker makes no progress."""

    SPENT = "spent"
    """It has used the CPU time that it was allowed."""
    IDLE = "idle"
    """The time passed while it slept, or while it waited far too long for the CPU."""
    STOPPED = "stopped"
    """It was stopped from outside, or does not answer at all. The query did not cause this."""


class FatalQueries:
    """Queries that ended workers, with their outcomes: they are not run again."""

    def __init__(self) -> None:
        self.count = 0
        """How many there have been, including those no longer kept."""
        self._kept: deque[tuple[bytes, tuple[str, str]]] = deque(maxlen=_MAX_FATAL)

    def add(self, digest: bytes, status: Status, message: str) -> None:
        """Add the query with this digest."""
        self._kept.append((digest, (status.value, message)))
        self.count += 1

    def after(self, known: int) -> list[tuple[bytes, tuple[str, str]]]:
        """Those that were added after the first ``known`` ones."""
        new = min(self.count - known, len(self._kept))
        return list(self._kept)[len(self._kept) - new :] if new else []


class Worker:
    """One worker. ``indices``: the jobs that it has been sent and has not answered yet, in its order."""

    def __init__(self, limits: Limits) -> None:
        self.indices: dict[int, None] = {}
        self.chunks = 0
        """Unfinished chunks: at most one that it works on, and one that waits in its channel."""
        self._fatal_known = 0
        """How many of the sandbox's fatal queries it has been sent."""
        self.full = False
        """Whether it holds too much memory and does no more jobs."""
        self._incoming = bytearray()
        self._outgoing = bytearray()
        self._last_message = time.monotonic()
        self._seen = (0.0, 0.0)
        """When it was last checked while overdue, and the CPU seconds that it had used then."""
        self.channel, theirs = socket.socketpair()
        self.channel.setblocking(False)
        memory = os.memfd_create("heartbeat")
        os.ftruncate(memory, mmap.PAGESIZE)
        self.heartbeat = Heartbeat(memory)
        lifeline, ours = os.pipe()
        self._lifeline = os.fdopen(ours, "wb")
        self._process = _spawn(theirs.fileno(), memory, lifeline)
        theirs.close()
        os.close(memory)
        os.close(lifeline)
        self._send(pickle.dumps(limits))

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def events(self) -> int:
        """The events to poll its channel for."""
        return select.POLLIN | (select.POLLOUT if self._outgoing else 0)

    def send_jobs(self, work: str, fatal: FatalQueries, jobs: Sequence[tuple[int, Any]]) -> None:
        """Queue a chunk of ``(index, job)``. ``fatal``: queries that it must not run."""
        new, self._fatal_known = fatal.after(self._fatal_known), fatal.count
        if not self.indices:
            self._last_message = time.monotonic()
        self.indices |= dict.fromkeys(index for index, _ in jobs)
        self.chunks += 1
        self._send(pickle.dumps((work, new, list(jobs)), protocol=pickle.HIGHEST_PROTOCOL))

    def flush(self) -> None:
        """Send as much of the queued data as the channel takes."""
        with suppress(BlockingIOError, OSError):  # reading finds out that a worker has died
            while self._outgoing:
                del self._outgoing[: self.channel.send(memoryview(self._outgoing)[:_PIECE].tobytes())]

    def results(self) -> list[tuple[int, Any]]:
        """The results that have arrived (call when the channel is readable). Raises WorkerDied, RuntimeError.

        A job counts once: results of jobs that this worker does not have, or no longer has, are left out.
        """
        results: list[tuple[int, Any]] = []
        for state, text, packed in self._frames():
            if state == "error":
                raise RuntimeError(IN_WORKER + text)
            self.full |= state == "full"
            self.chunks -= state == "done"
            for index, result in packed:
                if index in self.indices:
                    del self.indices[index]
                    results.append((index, marshal.loads(result)))
        return results

    def hang(self) -> Hang | None:
        """Why the worker makes no progress; None where it may. Wall-clock time alone is no reason."""
        beat, now = self.heartbeat.read(), time.monotonic()
        if beat.since == 0:
            return Hang.STOPPED if self.indices and now - self._last_message > _SILENCE else None
        self._last_message = now
        if now - beat.since <= beat.seconds + GRACE:
            return None
        used, state = self._used()
        if used - beat.cpu > beat.seconds:
            return Hang.SPENT
        seen, before = self._seen
        if beat.since < seen and now - seen < _CHECK_EVERY:
            return None
        self._seen = (now, used)
        if seen <= beat.since:  # the first check of this query
            return None
        if state in "Tt":
            return Hang.STOPPED
        slept = state == "S" and used - before < _CHECK_EVERY / 100
        return Hang.IDLE if slept or now - beat.since > _MAX_WAIT * beat.seconds else None

    def late(self) -> bool:
        """Whether it is over its deadline, or was when it died."""
        beat = self.heartbeat.read()
        return beat.since > 0 and time.monotonic() - beat.since > beat.seconds

    def end(self) -> int:
        """Kill it if it is alive and release everything; the signal that ended it. May be called twice."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        code = self._process.wait()
        self.channel.close()
        self._lifeline.close()
        return -code if code < 0 else 0

    def disown(self) -> None:
        """Close this process's ends of the pipes, where the worker belongs to another process."""
        self._process.poll()  # records that it is no child of ours
        self.channel.close()
        self._lifeline.close()

    def _frames(self) -> Iterator[tuple[str, str, list[tuple[int, bytes]]]]:
        try:
            data = self.channel.recv(2**20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise WorkerDied
        self._last_message = time.monotonic()
        self._incoming += data
        while len(self._incoming) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._incoming)[0]
            if len(self._incoming) < end:
                break
            yield marshal.loads(memoryview(self._incoming)[LENGTH.size : end].tobytes())
            del self._incoming[:end]

    def _used(self) -> tuple[float, str]:
        """CPU seconds used so far, by its process's clock (clock_getcpuclockid(3)), and its state."""
        try:
            used = time.clock_gettime((~self.pid << 3) | 2)
            return used, Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return 0.0, ""  # it has just died, as its closed channel will show

    def _send(self, data: bytes) -> None:
        self._outgoing += LENGTH.pack(len(data)) + data
        self.flush()


def _spawn(*files: int) -> subprocess.Popen[bytes]:
    """A new isolated interpreter with an empty environment (a fork of a parent with threads may deadlock)."""
    path = [_ROOT, *(entry for entry in sys.path if entry)]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOT, *map(str, files), str(os.getpid()), *path],
        stdin=subprocess.DEVNULL,
        pass_fds=files,
        env={"TZ": "UTC"},
        process_group=0,
    )
