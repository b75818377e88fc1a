"""One process of a training on Ray, which a worker of Ray Train runs, and the actor that gives it orders."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Literal

from harness.provenance.package_version import package_version
from harness.training.launch import LAUNCHER, SAVING_SECONDS

POLL = 0.2
"""Seconds between two looks at the orders, and at what the processes print."""
Order = Literal["run", "save", "end"]
"""What the processes shall do: go on; end their step and save, as after a Ctrl-C; end at once."""


@dataclass(frozen=True)
class Command:
    """What every process runs."""

    arguments: tuple[str, ...]
    folder: str
    environment: Mapping[str, str]
    code: str
    """The version of the code here, which that of a node must equal."""


@dataclass(frozen=True)
class Failure:
    """How the first process that failed ended."""

    rank: int
    code: int
    message: str = ""
    """The line of a user error."""


class Coordinator:
    """An actor beside the launcher: receives what processes print, and gives them orders."""

    def __init__(self) -> None:
        self._printed: list[tuple[str, str]] = []
        self._failure: Failure | None = None
        self._order: Order = "run"

    def put(self, stream: str, text: str) -> None:
        """Text that a process has printed on ``stdout`` or ``stderr``."""
        self._printed.append((stream, text))

    def take(self) -> list[tuple[str, str]]:
        """What has been printed since the last call."""
        printed, self._printed = self._printed, []
        return printed

    def fail(self, failure: Failure) -> None:
        """Note a failure; the other processes end."""
        self._failure = self._failure or failure
        self._order = "end"

    def failure(self) -> Failure | None:
        return self._failure

    def order(self) -> Order:
        return self._order

    def save(self) -> None:
        """Let the processes end their step and save; a second call ends them."""
        self._order = "save" if self._order == "run" else "end"


def run_process(settings: Mapping[str, Any]) -> None:
    """Run the command as one process of the training; called by Ray Train in a worker on each place."""
    import ray
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero

    command: Command = settings["command"]
    coordinator = settings["coordinator"]
    context = get_context()
    rank = context.get_world_rank()
    address = broadcast_from_rank_zero(_free_address() if rank == 0 else None)
    if fault := _fault(command):
        ray.get(
            coordinator.fail.remote(Failure(rank, 2, f"harness train: node {socket.gethostname()}: {fault}"))
        )
        return
    with TemporaryDirectory(prefix="harness-ray-") as folder:
        error_file = Path(folder) / "error.json"
        ranks = {
            "RANK": rank,
            "LOCAL_RANK": context.get_local_rank(),
            "WORLD_SIZE": context.get_world_size(),
            "LOCAL_WORLD_SIZE": context.get_local_world_size(),
            "MASTER_ADDR": address[0],
            "MASTER_PORT": address[1],
            LAUNCHER: os.getpid(),
            "RAY_ADDRESS": ray.get_runtime_context().gcs_address,  # on which it scores
            "TORCHELASTIC_ERROR_FILE": error_file,
        }
        environment = {**os.environ, **command.environment, **{name: str(v) for name, v in ranks.items()}}
        code = _run(command, environment, coordinator)
        if code:
            message = json.loads(error_file.read_text())["message"] if error_file.is_file() else ""
            ray.get(coordinator.fail.remote(Failure(rank, code, message if code == 2 else "")))


def _free_address() -> tuple[str, int]:
    """This node's address and a free port, for the process with rank 0."""
    import ray

    with socket.socket() as free:
        free.bind(("", 0))
        return ray.util.get_node_ip_address(), free.getsockname()[1]


def _fault(command: Command) -> str:
    """Why the command cannot run on this node; "" if it can."""
    if package_version() != command.code:
        return "another version of harness is installed there"
    if not Path(command.folder).is_dir():
        return f"the folder {command.folder} is not there: use a disk that all nodes share"
    return ""


def _run(command: Command, environment: Mapping[str, str], coordinator: Any) -> int:
    """Run the command and obey the coordinator's orders; the exit code."""
    import ray

    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "harness.cli", *command.arguments],
        cwd=command.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    readers = [
        threading.Thread(target=_forward, args=(pipe, stream, coordinator), daemon=True)
        for pipe, stream in ((process.stdout, "stdout"), (process.stderr, "stderr"))
    ]
    for reader in readers:
        reader.start()
    asked = False
    while True:
        try:
            code = process.wait(POLL)
            break
        except subprocess.TimeoutExpired:
            order = ray.get(coordinator.order.remote())
        if order == "save" and not asked:
            asked = True
            process.send_signal(signal.SIGINT)
        elif order == "end":
            code = _end(process)
            break
    for reader in readers:
        reader.join()
    return code


def _end(process: subprocess.Popen[str]) -> int:
    """End a process because another has failed; the exit code 0, for it is not at fault."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(SAVING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return 0


def _forward(pipe: IO[str], stream: str, coordinator: Any) -> None:
    """Send what the process prints to the launcher, line by line."""
    for line in pipe:
        coordinator.put.remote(stream, line)
