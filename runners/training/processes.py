"""The processes of one training, as torchrun numbers them: which one this is, and how they agree.

Every process scores its own answers with its share of the cores. The main one alone evaluates, writes and
owns the run.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from tasks.common import terminal
from tasks.common.errors import ModelError

PATIENCE = timedelta(days=1)
"""How long processes wait for each other: the main one evaluates while they do."""
T = TypeVar("T")


def launched() -> bool:
    """Was this process started by torchrun, or as torchrun does? (TRL's vLLM sets the other two itself.)"""
    return {"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"} <= os.environ.keys()


def world() -> int:
    """How many processes train, on all nodes together."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def rank() -> int:
    """The number of this process."""
    return int(os.environ["RANK"]) if launched() else 0


def main() -> bool:
    """Is this the process that writes?"""
    return rank() == 0


def beside() -> int:
    """How many processes train on this node."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if launched() else 1


def workers(asked: int) -> int:
    """Scoring processes of this process: its share of those asked for, or of the node's cores."""
    return max(1, (asked or os.cpu_count() or 1) // beside()) if launched() else asked


def say(line: str) -> None:
    """Print an error on stderr; under a launcher leave it to that, which prints the first one of all."""
    if file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        Path(file).write_text(json.dumps({"message": line, "timestamp": int(time.time())}))
    else:
        terminal.say(line)


def share(whole: int, micro: int, processes: int, names: tuple[str, str]) -> int:
    """Of a step of ``whole`` items, how many one process passes through the model at once: at most ``micro``.

    Raises ModelError where the step cannot be dealt out evenly; ``names`` are those of the two settings.
    """
    if whole % processes:
        raise ModelError(
            f"{names[0]} {whole} cannot be dealt to {processes} processes: make it a multiple of {processes}"
        )
    own = whole // processes
    if own % min(micro, own):
        each = f", {own} for each of {processes} processes," if processes > 1 else ""
        more = (own // micro + 1) * micro * processes
        raise ModelError(
            f"{names[0]} {whole}{each} is no multiple of {names[1]} {micro}: set train.{names[0]}={more}"
        )
    return min(micro, own)


def join() -> None:
    """Meet the other processes: returns when all are here."""
    if world() == 1:
        return
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        distributed.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=PATIENCE)
    distributed.barrier()


def leave() -> None:
    """Part from the other processes, when all is done."""
    if world() > 1:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()


def gathered(values: Sequence[T]) -> list[T]:
    """What all processes have, in the order of their numbers. All must ask together."""
    if world() == 1:
        return list(values)
    from torch import distributed

    found: list[Sequence[T]] = [()] * world()
    distributed.all_gather_object(found, list(values))
    return [value for part in found for value in part]
