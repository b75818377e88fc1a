"""Code that overrides private parts of transformers' Trainer, and of the Accelerator that it owns.

``CHECKED`` are the versions that were read. ``tests/test_compat.py`` fails where a function that is
overridden here has changed.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)

from runners.training import distributed

CHECKED = {"transformers": "5.24.0", "accelerate": "1.15.0"}
"""The versions whose source was read."""
OPTIMIZER_FILE = "sharded_optimizer.pt"
FULL_STATE = StateDictOptions(full_state_dict=True, cpu_offload=True)
"""Whole tensors, in the main process only."""


class ShardedTraining:
    """A mixin before a trainer that trains a model sharded over the processes (``distributed``)."""

    args: Any
    model: Any
    accelerator: Any
    optimizer: Any
    lr_scheduler: Any

    def _prepare_for_training(self, *args: Any) -> Any:
        """Shard the model, which has its checkpoint's weights by now, without Accelerate's DDP."""
        distributed.shard(self.model)
        unwrapped = partial(self.accelerator.prepare_model, evaluation_mode=True)
        self.accelerator.prepare_model = lambda model, **_: unwrapped(model, device_placement=False)
        return super()._prepare_for_training(*args)  # type: ignore[misc]

    def training_step(self, *args: Any) -> Any:
        """One pass; after the last one of a step the gradients are summed and sharded."""
        distributed.gather_weights(self.model)
        loss = super().training_step(*args)  # type: ignore[misc]
        if self.accelerator.sync_gradients:
            distributed.reduce_gradients(self.model)
            distributed.release_weights(self.model)
        return loss

    def save_model(self, output_dir: str, _internal_call: bool = False) -> None:
        """Save whole weights for a checkpoint, as a plain folder."""
        state = distributed.whole_state(self.model)
        if self.args.should_save:
            self._save(output_dir, state)  # type: ignore[attr-defined]

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        state = get_optimizer_state_dict(self.model, self.optimizer.optimizer, options=FULL_STATE)
        if self.args.should_save:
            torch.save((state, self.lr_scheduler.state_dict()), Path(output_dir) / OPTIMIZER_FILE)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if checkpoint is None:
            return
        state, schedule = torch.load(Path(checkpoint) / OPTIMIZER_FILE, weights_only=True)
        set_optimizer_state_dict(self.model, self.optimizer.optimizer, state, options=FULL_STATE)
        self.lr_scheduler.load_state_dict(schedule)


def sharded(trainer_class: Any) -> Any:
    """A subclass of a trainer for models that are sharded over the processes."""
    return type(f"Sharded{trainer_class.__name__}", (ShardedTraining, trainer_class), {})
