"""Test whether a model can share prompt prefixes: check its settings, then compare logits of both methods."""

from __future__ import annotations

from typing import Any

import torch

from runners.compat.transformers import attention
from runners.decoding.prefix_cache import SHARED, PrefixCache

LOGIT_SETTINGS = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier")
"""Settings that change the logits after the output layer, which the loss on shared prefixes omits."""


def refusal(model: Any) -> str:
    """The reason why prompt prefixes cannot be shared with this model; "" if they can."""
    config = model.config
    other_types = set(getattr(config, "layer_types", None) or ["full_attention"]) - {"full_attention"}
    if other_types:
        return f"it has layers of {', '.join(sorted(other_types))}"
    if getattr(config, "sliding_window", None):
        return "its attention has a sliding window"
    if getattr(config, "logits_scaling", 1) != 1 or any(getattr(config, key, None) for key in LOGIT_SETTINGS):
        return "it scales its logits"
    if attention(model) != "sdpa":
        return f"its attention is {attention(model)}, not sdpa"
    try:
        return "" if _agrees(model) else "its attention does not follow the mask"
    except Exception as error:  # of an architecture that takes other arguments
        return f"its architecture does not take the mask ({type(error).__name__})"


@torch.inference_mode()
def _agrees(model: Any) -> bool:
    """Whether two answers after one prefix get the same logits as two separate sequences."""
    prefix, rests = [3, 4, 5], ([6, 7], [8, 9])
    row = [*prefix, *rests[0], *rests[1]]
    position = [0, 1, 2, 3, 4, 3, 4]
    owner = [SHARED] * 3 + [1, 1, 2, 2]
    tokens, positions, owners = (
        torch.tensor([values], device=model.device) for values in (row, position, owner)
    )
    was_training = model.training
    model.eval()
    try:
        logits = PrefixCache(model, 1).forward(tokens, positions, owners, logits_to_keep=len(row))
        shared = logits[0, 3:].view(2, 2, -1)
        ids = torch.tensor([prefix + rest for rest in rests], device=model.device)
        separate = model(input_ids=ids).logits[:, 3:]
    finally:
        model.train(was_training)
    bound = 100 * torch.finfo(shared.dtype).eps * separate.abs().max()
    return bool((shared - separate).abs().max() <= bound)
