"""Run the embedded PostgreSQL as long as a process holds the lock of its users, then stop it.

A program of its own that needs the standard library only. The kernel releases the lock of a process that is
killed, so no server is left behind. A server that dies while it is in use is started again.
"""

from __future__ import annotations

import fcntl
import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

MEMORY = 2 * 2**30
"""Bytes of private memory of each of the server's processes: a larger query fails instead of the machine."""
_PAUSE = 0.2
_STOP_SECONDS = 20.0


def main(command: list[str], folder: Path, socket: Path, owner: int | None) -> None:
    """Run ``command`` until no process holds ``folder/users.lock``. ``owner``: the user that runs it.

    ``socket``: the folder of the server's socket, which is removed at the end.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    running: subprocess.Popen[bytes] | None = None
    with (folder / "users.lock").open("ab") as users, (folder / "log").open("ab") as log:
        try:
            while not _is_unused(users):
                if running is None or running.poll() is not None:
                    running = _started(command, log, owner)
                time.sleep(_PAUSE)
        finally:
            if running is not None:
                _stop(running)
            shutil.rmtree(socket, ignore_errors=True)


def _is_unused(users: IO[bytes]) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _started(command: list[str], log: IO[bytes], owner: int | None) -> subprocess.Popen[bytes]:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    groups: list[int] | None = None if owner is None else []
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd="/",
        user=owner,
        group=owner,
        extra_groups=groups,
    )


def _stop(running: subprocess.Popen[bytes]) -> None:
    """Stop the server: at first politely, which closes its connections and writes its data."""
    for by in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        if running.poll() is None:
            running.send_signal(by)
        try:
            running.wait(_STOP_SECONDS)
            return
        except subprocess.TimeoutExpired:
            continue


if __name__ == "__main__":
    _command, _folder, _socket, _owner = json.loads(sys.argv[1])
    main(_command, Path(_folder), Path(_socket), _owner)
