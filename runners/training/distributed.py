"""Train one model in several processes: ranks, communication, and sharded weights.

Ranks are those of torchrun. Each process scores its own answers with its share of the cores. Only the main
process evaluates, and writes the run. torch is imported inside functions: the command line imports
this module.

Weights are sharded with FSDP2. Each process holds its shard of the float32 weights and of the optimizer's
state. The weights are gathered once at the beginning of a step (bfloat16 on a GPU), and the gradients are
summed once at its end. There is no communication in between, so processes may sample for different times and
learn from different numbers of rows.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from tasks.common import terminal
from tasks.common.errors import ModelError

TIMEOUT = timedelta(days=1)
"""Longest wait of processes for each other; the others wait while the main process evaluates."""
T = TypeVar("T")


def is_launched() -> bool:
    """Whether torchrun or a similar launcher started this process.

    TRL's vLLM sets RANK and WORLD_SIZE itself, so LOCAL_WORLD_SIZE must be set too.
    """
    return {"RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"} <= os.environ.keys()


def world_size() -> int:
    """Number of training processes on all nodes."""
    return int(os.environ["WORLD_SIZE"]) if is_launched() else 1


def rank() -> int:
    """Rank of this process, from 0."""
    return int(os.environ["RANK"]) if is_launched() else 0


def is_main() -> bool:
    """Whether this is the main process, which evaluates and writes."""
    return rank() == 0


def local_world_size() -> int:
    """Number of training processes on this node."""
    return int(os.environ["LOCAL_WORLD_SIZE"]) if is_launched() else 1


def scoring_workers(requested: int) -> int:
    """Number of scoring workers of this process: its share of the requested ones (0: the node's cores)."""
    return max(1, (requested or os.cpu_count() or 1) // local_world_size()) if is_launched() else requested


def report_error(line: str) -> None:
    """Print an error on stderr, or leave it to a launcher, which prints the first error of all processes."""
    if file := os.environ.get("TORCHELASTIC_ERROR_FILE"):
        Path(file).write_text(json.dumps({"message": line, "timestamp": int(time.time())}))
    else:
        terminal.say(line)


def per_pass(whole: int, micro: int, processes: int, names: tuple[str, str]) -> int:
    """The items of one forward and backward in each process: at most ``micro`` of a step's ``whole`` items.

    Raises ModelError where the step cannot be divided evenly; ``names`` are those of the two settings.
    """
    if whole % processes:
        raise ModelError(
            f"{names[0]} {whole} cannot be divided among {processes} processes: set a multiple of {processes}"
        )
    own = whole // processes
    if own % min(micro, own):
        each = f", {own} for each of {processes} processes," if processes > 1 else ""
        next_multiple = (own // micro + 1) * micro * processes
        raise ModelError(
            f"{names[0]} {whole}{each} is no multiple of {names[1]} {micro}: set"
            f" train.{names[0]}={next_multiple}"
        )
    return min(micro, own)


def barrier() -> None:
    """Wait until all processes have called this; the first call connects them."""
    if world_size() == 1:
        return
    import torch
    from torch import distributed as torch_processes

    if not torch_processes.is_initialized():
        gpu = torch.cuda.is_available()
        if gpu:
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        torch_processes.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=TIMEOUT)
    torch_processes.barrier()


def shut_down() -> None:
    """Disconnect from the other processes at the end."""
    if world_size() > 1:
        from torch import distributed as torch_processes

        if torch_processes.is_initialized():
            torch_processes.destroy_process_group()


def all_gather(values: Sequence[T]) -> list[T]:
    """The values of all processes, in the order of their ranks. All processes must call together."""
    if world_size() == 1:
        return list(values)
    from torch import distributed as torch_processes

    gathered: list[Sequence[T]] = [()] * world_size()
    torch_processes.all_gather_object(gathered, list(values))
    return [value for part in gathered for value in part]


def shard(model: Any) -> None:
    """Shard a model's weights over the processes, layer by layer; each must hold the same model."""
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    from runners.compat.transformers import transformer_layers

    device = model.device.type
    mesh = init_device_mesh(device, (world_size(),))
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if device == "cuda"
        else MixedPrecisionPolicy()
    )
    for layer in transformer_layers(model):
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    model.set_reshard_after_forward(False)
    model.set_reshard_after_backward(False)
    model.set_requires_gradient_sync(False)
    model.set_reduce_scatter_unused_params(True)


def is_sharded(model: Any) -> bool:
    """Whether ``shard`` has been called on this model."""
    if world_size() == 1:
        return False
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def gather_weights(model: Any) -> None:
    """Gather the whole weights in every process, if they are not. All processes must call together."""
    for part in _sharded_parts(model):
        part.unshard()


def release_weights(model: Any) -> None:
    """Keep only this process's shard of the weights."""
    for part in _sharded_parts(model):
        part.reshard()


def reduce_gradients(model: Any) -> None:
    """Sum the gradients of all processes; each process keeps its shard of the sum.

    Gradients are sent in the order of a backward pass, which differs in a process without rows to learn from.
    So all processes run the same extra backward pass over a single token, which changes no gradient.
    """
    import torch

    model.set_requires_gradient_sync(True)
    token = torch.zeros((1, 1), dtype=torch.long, device=model.device)
    (0.0 * model(input_ids=token, use_cache=False).logits.sum()).backward()
    model.set_requires_gradient_sync(False)


@contextmanager
def whole_weights(model: Any) -> Iterator[None]:
    """Gather the whole weights while the block runs, for an evaluation. All processes must call together."""
    if not is_sharded(model):
        yield
        return
    gather_weights(model)
    try:
        yield
    finally:
        release_weights(model)


def save_model(model: Any, folder: Path | str) -> None:
    """``model.save_pretrained`` of whole weights by the main process. All processes must call together."""
    state = whole_state(model) if is_sharded(model) else None
    if is_main():
        model.save_pretrained(folder, state_dict=state)


def whole_state(model: Any) -> dict[str, Any]:
    """A sharded model's whole weights, in the main process; tied weights are left out, as when saving."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state = get_model_state_dict(model, options=options)
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    return {name: value for name, value in state.items() if name not in tied}


def _sharded_parts(model: Any) -> list[Any]:
    return [part for part in model.modules() if is_sharded(part)]
