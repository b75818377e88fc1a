"""Groups without spread replaced by others (dynamic sampling, DAPO, arXiv:2503.14476), in TRL's batches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

Batch = dict[str, Any]
"""What TRL makes of one drawing: tensors (rows, width) or (rows,), and a count."""
PADDED_LEFT = ("prompt_ids", "prompt_mask")


def idle(batch: Batch, group: int) -> Tensor:
    """Which groups (groups,) have no answer that is better or worse than the others."""
    advantages: Tensor = batch["advantages"]
    return (advantages.view(-1, group) == 0).all(1)


def replaced(batch: Batch, more: Batch, group: int) -> Batch:
    """The batch with its idle groups, as far as they last, replaced by the groups of ``more`` that teach."""
    good = (~idle(more, group)).nonzero()[:, 0]
    free = idle(batch, group).nonzero()[: len(good), 0]
    to, source = (_rows(groups[: len(free)], group) for groups in (free, good))
    merged = {}
    for name, value in batch.items():
        if value.dim() == 0:
            merged[name] = value
            continue
        ours, theirs = _alike(value, more[name], left=name in PADDED_LEFT)
        merged[name] = ours.index_copy(0, to, theirs[source])
    return merged


def _rows(groups: Tensor, group: int) -> Tensor:
    return (groups[:, None] * group + torch.arange(group, device=groups.device)).flatten()


def _alike(one: Tensor, other: Tensor, left: bool) -> tuple[Tensor, Tensor]:
    """Both padded to the same width; padding is masked, so its value says nothing."""
    if one.dim() == 1:
        return one, other
    width = max(one.shape[1], other.shape[1])

    def widened(value: Tensor) -> Tensor:
        missing = width - value.shape[1]
        return pad(value, (missing, 0) if left else (0, missing))

    return widened(one), widened(other)
