"""``harness train --processes N``: run the same command in N processes with torch's elastic launcher.

On several nodes, start the processes with torchrun (``docs/how-to/scale.md``).
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

from harness.training import plan
from runners.training import distributed
from tasks.common.errors import HarnessError, ModelError
from tasks.common.terminal import say

SAVING_SECONDS = 600
"""Seconds after a Ctrl-C for the step to end and the checkpoint to be written."""
LINGER_SECONDS = 5
"""Seconds before a traceback is shown. In them the launcher ends processes that failed because of another."""
LAUNCHER = "HARNESS_LAUNCHER"
"""Environment variable with the launcher's process id, for the processes that it starts."""
PR_SET_PDEATHSIG = 1
"""prctl(2): the signal that a process gets when its parent dies."""


def process_count(count: int, recipe: str) -> int:
    """The number of processes: ``count``, else the recipe's number, else 1."""
    return count or (int(plan.recipe(recipe).get("processes", 1)) if recipe else 1)


def launch(count: int, arguments: Sequence[str]) -> int:
    """Run the command in ``count`` processes on this machine.

    When one fails, the others are ended, its error is printed and its exit code returned. Raises ModelError:
    too few GPUs.
    """
    import torch
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    gpus = torch.cuda.device_count()
    if gpus and count > gpus:
        raise ModelError(f"--processes {count} on a machine with {gpus} GPUs: set --processes {gpus} or less")
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    os.environ[LAUNCHER] = str(os.getpid())
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        shutdown_timeout=SAVING_SECONDS,
    )
    try:
        elastic_launch(config, sys.executable)("-P", "-m", "harness.cli", *arguments)
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        is_user_error = failure.exitcode == 2 and os.path.exists(failure.error_file)
        exited = f"harness train: process {rank} ended with {failure.exitcode}"
        say(failure.message if is_user_error else exited)
        return max(failure.exitcode, 1)
    except SignalException:
        raise KeyboardInterrupt from None
    return 0


@contextmanager
def launched_process() -> Iterator[None]:
    """A context for the training in a launched process.

    The process ends with its launcher, and only the main process shows warnings. If another process has
    failed, this one is ended before it reports the lost connection.
    """
    if not distributed.is_launched():
        yield
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})  # a worker of Ray blocks them
    parent = str(os.getppid())
    if os.environ.get(LAUNCHER, parent) != parent:  # the launcher died before the line above
        sys.exit(1)
    if not distributed.is_main():
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        warnings.simplefilter("ignore")
    try:
        yield
    except HarnessError:
        raise
    except Exception:
        time.sleep(LINGER_SECONDS)
        raise
    distributed.shut_down()
