"""The parent's handle on one worker process: start it, give it a chunk, read its frames, see how it died."""

from __future__ import annotations

import marshal
import mmap
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tasks.databases.executor import Heartbeat
from tasks.databases.worker import LENGTH
from tasks.types import Limits

_BOOT = (
    "import sys; sys.path[:] = sys.argv[4:]; "
    "from tasks.databases.worker import main; main(*map(int, sys.argv[1:4]))"
)
_ROOT = str(Path(__file__).resolve().parents[2])
_CHANNEL = 2**16
"""Bytes that a channel surely holds while nobody reads from it."""
_SEND_SECONDS = 30.0
"""A worker waits for its next chunk and reads at once; one that does not is as good as dead."""


class Gone(Exception):
    """The worker has died or closed its channel."""


class Worker:
    """One worker. ``indices``: the jobs it has been given and has not answered yet, in its order."""

    def __init__(self, limits: Limits) -> None:
        self.indices: dict[int, None] = {}
        self.chunks = 0
        """Chunks that it has not finished: at most one that it is at, and one that waits in its channel."""
        self.told = 0
        """How many of the sandbox's deadly queries this worker knows of."""
        self._buffer = bytearray()
        self.channel, theirs = socket.socketpair()
        self.channel.settimeout(_SEND_SECONDS)
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

    def give(self, work: str, deadly: Iterable[Any], jobs: Sequence[tuple[int, Any]]) -> bool:
        """Send a chunk; False where it is not sent, for the worker is busy and its channel may not hold it.

        A worker that is gone is noticed when its answer is read.
        """
        data = pickle.dumps((work, list(deadly), jobs), protocol=pickle.HIGHEST_PROTOCOL)
        if self.chunks and len(data) > _CHANNEL:
            return False
        self.indices |= dict.fromkeys(index for index, _ in jobs)
        self.chunks += 1
        self._send(data)
        return True

    def frames(self) -> list[tuple[str, str, list[tuple[int, Any]]]]:
        """The frames that have arrived (call when the channel is readable). Raises Gone."""
        try:
            data = self.channel.recv(2**20)
        except OSError:
            data = b""
        if not data:
            raise Gone
        self._buffer += data
        frames = []
        while len(self._buffer) >= LENGTH.size:
            end = LENGTH.size + LENGTH.unpack_from(self._buffer)[0]
            if len(self._buffer) < end:
                break
            frames.append(marshal.loads(memoryview(self._buffer)[LENGTH.size : end].tobytes()))
            self.chunks -= frames[-1][0] != "more"
            del self._buffer[:end]
        return frames

    def overdue(self, seconds: float) -> bool:
        """Whether it has been (or, when it is dead, was) at one query, or between two, for longer."""
        beat = self.heartbeat.read()[0]
        return beat > 0 and time.monotonic() - beat > seconds

    def end(self) -> int:
        """Kill it if it still lives and release everything (twice does no harm); the signal that ended it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        code = self._process.wait()
        self.channel.close()
        self._lifeline.close()
        return -code if code < 0 else 0

    def _send(self, data: bytes) -> None:
        try:
            self.channel.sendall(LENGTH.pack(len(data)) + data)
        except OSError:
            self._process.send_signal(signal.SIGKILL)


def _spawn(*files: int) -> subprocess.Popen[bytes]:
    """A fresh interpreter (a fork of a parent with threads may deadlock): isolated, its environment empty."""
    path = [_ROOT, *(entry for entry in sys.path if entry)]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _BOOT, *map(str, files), *path],
        stdin=subprocess.DEVNULL,
        pass_fds=files,
        env={"TZ": "UTC"},
        process_group=0,
    )
