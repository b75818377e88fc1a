"""``harness train --on ray --processes N``: run the command in N processes on the nodes of a Ray cluster.

Ray Train's TorchTrainer places the processes and gives each its rank. Where a node is lost it starts all of
them again, and the training goes on from its last checkpoint. A process is a child of Ray's worker and runs
what torchrun would start (``harness.training.launch``), so the training is the same. ``--out``,
``HARNESS_HOME`` and the databases are on a disk that all nodes share.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Literal

from harness.training.launch import LAUNCHER, SAVING_SECONDS
from rewards.version import code_version
from tasks.cluster import RAY, connected
from tasks.common.errors import ClusterError, ModelError, first_line
from tasks.common.terminal import say

LOST_WORKERS = 3
"""How often the processes are started again after a node or a worker of Ray was lost."""
FORWARDED = ("HARNESS_", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM")
"""Environment variables that the nodes get from here. Tokens such as HF_TOKEN are those of the node."""
POLL = 0.2
"""Seconds between two looks at what the processes print, and at whether they shall end."""

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


class Desk:
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


def launch(on: str, count: int, arguments: Sequence[str]) -> int:
    """Run the command in ``count`` processes on the cluster of ``--on``.

    Returns the exit code, that of the first process that failed. Raises ClusterError: no such cluster, or it
    has no room; ModelError: nodes were lost too often.
    """
    if on != RAY:
        raise ClusterError(
            f"--on {on} --processes {count}: processes are started from a node of the cluster: log in there,"
            f" or use ray job submit, and set --on {RAY}"
        )
    with connected(on), TemporaryDirectory(prefix="harness-ray-") as folder:
        return _launch(count, arguments, Path(folder))


def _launch(count: int, arguments: Sequence[str], folder: Path) -> int:
    """Run the command on the connected cluster. ``folder`` is for what Ray Train notes."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    kind = "GPU" if ray.cluster_resources().get("GPU") else "CPU"
    room = int(ray.cluster_resources().get(kind, 0))
    if count > room:
        raise ClusterError(
            f"--processes {count} on a cluster with {room} {kind}s: set --processes {room} or less"
        )
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    desk: Any = ray.remote(num_cpus=0, scheduling_strategy=here)(Desk).remote()
    environment = {name: value for name, value in os.environ.items() if name.startswith(FORWARDED)}
    environment.setdefault("OMP_NUM_THREADS", "1")
    command = Command(tuple(arguments), os.getcwd(), environment, code_version())
    training = _Training(desk, command, count, kind == "GPU", folder)
    training.start()
    _follow(training, desk)
    if training.error:
        raise ModelError(f"the training on Ray ended: {training.error}")
    failure: Failure | None = ray.get(desk.failure.remote())
    if failure is None:
        return 0
    say(failure.message or f"harness train: process {failure.rank} ended with {failure.code}")
    return max(failure.code, 1)


class _Training(threading.Thread):
    """Ray Train's controller is waited for in a thread, so that a Ctrl-C is ours to handle."""

    def __init__(self, desk: Any, command: Command, count: int, gpu: bool, folder: Path) -> None:
        super().__init__(daemon=True)
        self.error = ""
        self._desk = desk
        self._command = command
        self._count = count
        self._gpu = gpu
        self._folder = folder

    def run(self) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer
        from ray.train.v2.api.exceptions import TrainingFailedError

        trainer = TorchTrainer(
            run_process,
            train_loop_config={"desk": self._desk, "command": self._command},
            torch_config=TorchConfig(backend="gloo"),  # of Ray's workers, which only start our processes
            scaling_config=ScalingConfig(num_workers=self._count, use_gpu=self._gpu),
            run_config=RunConfig(
                storage_path=str(self._folder), failure_config=FailureConfig(max_failures=LOST_WORKERS)
            ),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            self.error = first_line(error)


def _follow(training: _Training, desk: Any) -> None:
    """Print what the processes print until the training ends. Raises KeyboardInterrupt after a Ctrl-C."""
    import ray

    told = 0
    with _counted_interrupts() as interrupts:
        while True:
            alive = training.is_alive()
            for stream, text in ray.get(desk.take.remote()):
                print(text, end="", flush=True, file=sys.stdout if stream == "stdout" else sys.stderr)
            if not alive:
                break
            training.join(POLL)
            if told < len(interrupts):
                told += 1
                ray.get(desk.save.remote())
    if interrupts:
        raise KeyboardInterrupt


@contextmanager
def _counted_interrupts() -> Iterator[list[int]]:
    """A list that grows with each Ctrl-C, which has no other effect: it would end a call of Ray."""
    interrupts: list[int] = []
    previous = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, previous)


def run_process(settings: Mapping[str, Any]) -> None:
    """Run the command as one process of the training; called by Ray Train in a worker on each place."""
    import ray
    from ray.train import get_context
    from ray.train.collective import broadcast_from_rank_zero

    command: Command = settings["command"]
    desk = settings["desk"]
    context = get_context()
    rank = context.get_world_rank()
    address = broadcast_from_rank_zero(_free_address() if rank == 0 else None)
    if fault := _fault(command):
        ray.get(desk.fail.remote(Failure(rank, 2, f"harness train: node {socket.gethostname()}: {fault}")))
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
        code = _run(command, environment, desk)
        if code:
            message = json.loads(error_file.read_text())["message"] if error_file.is_file() else ""
            ray.get(desk.fail.remote(Failure(rank, code, message if code == 2 else "")))


def _free_address() -> tuple[str, int]:
    """This node's address and a free port, for the process with rank 0."""
    import ray

    with socket.socket() as free:
        free.bind(("", 0))
        return ray.util.get_node_ip_address(), free.getsockname()[1]


def _fault(command: Command) -> str:
    """Why the command cannot run on this node; "" if it can."""
    if code_version() != command.code:
        return "another version of harness is installed there"
    if not Path(command.folder).is_dir():
        return f"the folder {command.folder} is not there: use a disk that all nodes share"
    return ""


def _run(command: Command, environment: Mapping[str, str], desk: Any) -> int:
    """Run the command and obey the desk's orders; the exit code."""
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
        threading.Thread(target=_forward, args=(pipe, stream, desk), daemon=True)
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
            order = ray.get(desk.order.remote())
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


def _forward(pipe: IO[str], stream: str, desk: Any) -> None:
    """Send what the process prints to the launcher, line by line."""
    for line in pipe:
        desk.put.remote(stream, line)
