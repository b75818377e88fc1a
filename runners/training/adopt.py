"""Whether a model's layers can take attention in pieces, which is chosen once, before training."""

from __future__ import annotations

from typing import Any

import torch

from runners.compat.transformers import TREE_ATTENTION, attention
from runners.decoding.attention import KINDS, layer_kinds, layer_masks
from runners.decoding.probe import short_windows
from runners.training.layout import ancestors, tree_masks


def adopt(model: Any) -> bool:
    """Let a model's layers take ``tree_masks``, if its outputs are then those of full masks.

    Models on a GPU keep full masks: the kernel here is the CPU's.
    """
    if model.device.type != "cpu" or attention(model) != "sdpa" or set(layer_kinds(model)) - set(KINDS):
        return False
    before = model.config._attn_implementation
    model.set_attn_implementation(TREE_ATTENTION)
    try:
        if _agrees(model):
            return True
    except Exception:  # of an architecture that treats masks in its own way
        pass
    model.set_attn_implementation(before)
    return False


@torch.inference_mode()
def _agrees(model: Any) -> bool:
    """Whether a small tree of several pieces gives the same logits with both masks."""
    position = [*range(6), *range(6, 9), *range(6, 10), *range(4)]
    ends = [13] * 6 + [9] * 3 + [13] * 4 + [17] * 4
    place = torch.tensor([position])
    inputs = {"input_ids": place + 3, "position_ids": place, "use_cache": False}
    was_training = model.training
    model.eval()
    try:
        with short_windows(model):
            seen = ancestors(ends, place.device)[None, None]
            full, tree = (
                model(**inputs, attention_mask=mask).logits
                for mask in (
                    layer_masks(model, seen, place, place),
                    tree_masks(model, ends, position, block=4),
                )
            )
    finally:
        model.train(was_training)
    bound = 100 * torch.finfo(full.dtype).eps * full.abs().max()
    return bool((full - tree).abs().max() <= bound)
