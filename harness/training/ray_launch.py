"""``harness train --on ray --processes N``: run the command in N processes on the nodes of a Ray cluster.

Ray Train's TorchTrainer places the processes and gives each its rank. Where a node is lost it starts all of
them again, and the training goes on from its last checkpoint. A process is a child of Ray's worker and runs
what torchrun would start (``harness.training.launch``), so the training is the same. ``--out``,
``HARNESS_HOME`` and the databases are on a disk that all nodes share.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.provenance.package_version import package_version
from harness.training.ray_process import POLL, Command, Coordinator, Failure, run_process
from tasks.cluster import RAY, connected
from tasks.common.errors import ClusterError, ModelError, first_line
from tasks.common.terminal import say

LOST_WORKERS = 3
"""How often the processes are started again after a node or a worker of Ray was lost."""
FORWARDED = ("HARNESS_HOME", "HARNESS_DATA", "OMP_NUM_THREADS", "TOKENIZERS_PARALLELISM")
"""Environment variables that the nodes get from here. Tokens such as HF_TOKEN are those of the node."""


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
    coordinator: Any = ray.remote(num_cpus=0, scheduling_strategy=here)(Coordinator).remote()
    environment = {name: os.environ[name] for name in FORWARDED if name in os.environ}
    environment.setdefault("OMP_NUM_THREADS", "1")
    command = Command(tuple(arguments), os.getcwd(), environment, package_version())
    training = _Training(coordinator, command, count, kind == "GPU", folder)
    training.start()
    _follow(training, coordinator)
    if training.error:
        raise ModelError(f"the training on Ray ended: {training.error}")
    failure: Failure | None = ray.get(coordinator.failure.remote())
    if failure is None:
        return 0
    say(failure.message or f"harness train: process {failure.rank} ended with {failure.code}")
    return max(failure.code, 1)


class _Training(threading.Thread):
    """Ray Train's controller is waited for in a thread, so that a Ctrl-C is ours to handle."""

    def __init__(self, coordinator: Any, command: Command, count: int, gpu: bool, folder: Path) -> None:
        super().__init__(daemon=True)
        self.error = ""
        self._coordinator = coordinator
        self._command = command
        self._count = count
        self._gpu = gpu
        self._folder = folder

    def run(self) -> None:
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.torch import TorchConfig, TorchTrainer

        trainer = TorchTrainer(
            run_process,
            train_loop_config={"coordinator": self._coordinator, "command": self._command},
            torch_config=TorchConfig(backend="gloo"),  # of Ray's workers, which only start our processes
            scaling_config=ScalingConfig(num_workers=self._count, use_gpu=self._gpu),
            run_config=RunConfig(
                storage_path=str(self._folder), failure_config=FailureConfig(max_failures=LOST_WORKERS)
            ),
        )
        try:
            trainer.fit()
        except Exception as error:  # of Ray Train, or of the cluster
            self.error = first_line(error)


def _follow(training: _Training, coordinator: Any) -> None:
    """Print what the processes print until the training ends. Raises KeyboardInterrupt after a Ctrl-C."""
    import ray

    sent = 0
    with _counted_interrupts() as interrupts:
        while True:
            alive = training.is_alive()
            for stream, text in ray.get(coordinator.take.remote()):
                print(text, end="", flush=True, file=sys.stdout if stream == "stdout" else sys.stderr)
            if not alive:
                break
            training.join(POLL)
            if sent < len(interrupts):
                sent += 1
                ray.get(coordinator.save.remote())
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
