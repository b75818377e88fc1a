"""Weights, gradients and optimizer dealt out to the processes by FSDP2; a step has all the weights at hand.

Each process holds its part of the float32 weights and of the optimizer's state. At the beginning of a step
the weights are gathered once (bfloat16 on a GPU), and stay until the gradients are summed, once, at its end:
in between nothing is sent, so processes may sample as long, and learn from as many rows, as they happen to.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from runners.training import processes

OPTIMIZER = "sharded_optimizer.pt"
FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""Whole tensors, in the main process only."""


def shard(model: Any) -> None:
    """Deal a model's weights out, one group a layer; the same model must be in every process."""
    device = model.device.type
    mesh = init_device_mesh(device, (processes.world(),))
    policy = (
        MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        if device == "cuda"
        else MixedPrecisionPolicy()
    )
    for layer in [one for one in model.modules() if type(one).__name__ in model._no_split_modules]:
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    model.set_reshard_after_forward(False)
    model.set_reshard_after_backward(False)
    model.set_requires_gradient_sync(False)
    model.set_reduce_scatter_unused_params(True)


def sharded(model: Any) -> bool:
    """Has this model been dealt out?"""
    return isinstance(model, FSDPModule)


def gather(model: Any) -> None:
    """Have the whole weights in every process. All must ask together; what is whole stays as it is."""
    for part in _parts(model):
        part.unshard()


def release(model: Any) -> None:
    """Keep only this process's part of the weights."""
    for part in _parts(model):
        part.reshard()


def reduce(model: Any) -> None:
    """Sum up the gradients of all processes, each of which keeps its part of them.

    They are sent in the order of a backward, which is another one in a process that had nothing to learn
    from: so all run one that is alike, of a single token, and adds nothing.
    """
    model.set_requires_gradient_sync(True)
    token = torch.zeros((1, 1), dtype=torch.long, device=model.device)
    (0.0 * model(input_ids=token, use_cache=False).logits.sum()).backward()
    model.set_requires_gradient_sync(False)


@contextmanager
def whole(model: Any) -> Iterator[None]:
    """All the weights at hand, for an evaluation; nothing to do where they are. All must ask together."""
    if not sharded(model):
        yield
        return
    gather(model)
    try:
        yield
    finally:
        release(model)


def save(model: Any, folder: Path | str) -> None:
    """``model.save_pretrained`` of whole weights by the main process. All must ask together."""
    state = _whole_state(model) if sharded(model) else None
    if processes.main():
        model.save_pretrained(folder, state_dict=state)


def _whole_state(model: Any) -> dict[str, Any]:
    """The weights, in the main process; what is tied to others is left out, as save_pretrained does."""
    state = get_model_state_dict(model, options=FULL)
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    return {name: value for name, value in state.items() if name not in tied}


def _parts(model: Any) -> list[Any]:
    return [one for one in model.modules() if isinstance(one, FSDPModule)]


class Sharded:
    """Stands before a trainer of TRL's, and has it train a sharded model."""

    args: Any
    model: Any
    accelerator: Any
    optimizer: Any
    lr_scheduler: Any

    def _prepare_for_training(self, *args: Any) -> Any:
        """A checkpoint's weights are in the model by now. Accelerate must not wrap it in DDP."""
        shard(self.model)
        unwrapped = partial(self.accelerator.prepare_model, evaluation_mode=True)
        self.accelerator.prepare_model = lambda model, **_: unwrapped(model, device_placement=False)
        return super()._prepare_for_training(*args)  # type: ignore[misc]

    def training_step(self, *args: Any) -> Any:
        """One pass; the last of a step leaves the gradients summed and dealt out."""
        gather(self.model)
        loss = super().training_step(*args)  # type: ignore[misc]
        if self.accelerator.sync_gradients:
            reduce(self.model)
            release(self.model)
        return loss

    def save_model(self, output_dir: str, _internal_call: bool = False) -> None:
        """For a checkpoint: as a plain folder."""
        state = _whole_state(self.model)
        if self.args.should_save:
            self._save(output_dir, state)  # type: ignore[attr-defined]

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        state = get_optimizer_state_dict(self.model, self.optimizer.optimizer, options=FULL)
        if self.args.should_save:
            torch.save((state, self.lr_scheduler.state_dict()), Path(output_dir) / OPTIMIZER)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        state, schedule = torch.load(Path(checkpoint) / OPTIMIZER, weights_only=True)
        set_optimizer_state_dict(self.model, self.optimizer.optimizer, state, options=FULL)
        self.lr_scheduler.load_state_dict(schedule)


def trainer(kind: Any, asked: bool) -> Any:
    """The class of a trainer, or where sharding is asked for, that class for sharded models."""
    return type(f"Sharded{kind.__name__}", (Sharded, kind), {}) if asked else kind
