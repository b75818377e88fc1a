"""Can a model's attention take the masks by which prompts are shared? Asked of its settings, then tried."""

from __future__ import annotations

from typing import Any

import torch

from runners.decoding.prefix_cache import TRUNK, Forest

LOGIT_SETTINGS = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier")
"""Settings of models that change the logits after the head, which the packed head does not do."""


def refusal(model: Any) -> str:
    """Why prompts cannot be shared with this model; empty where they can."""
    config = model.config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"]) - {"full_attention"}
    if kinds:
        return f"it has layers of {', '.join(sorted(kinds))}"
    if getattr(config, "sliding_window", None):
        return "its attention has a sliding window"
    if getattr(config, "logits_scaling", 1) != 1 or any(getattr(config, key, None) for key in LOGIT_SETTINGS):
        return "it scales its logits"
    if config._attn_implementation != "sdpa":
        return f"its attention is {config._attn_implementation}, not sdpa"
    try:
        return "" if _agrees(model) else "its attention does not follow the mask"
    except Exception as error:  # of an architecture that takes other arguments
        return f"its architecture does not take the mask ({type(error).__name__})"


@torch.inference_mode()
def _agrees(model: Any) -> bool:
    """Do two branches behind one trunk get the logits that they get as sequences of their own?"""
    trunk, ends = [3, 4, 5], ([6, 7], [8, 9])
    row = [*trunk, *ends[0], *ends[1]]
    place = [0, 1, 2, 3, 4, 3, 4]
    owner = [TRUNK] * 3 + [1, 1, 2, 2]
    tokens, places, owners = (torch.tensor([values], device=model.device) for values in (row, place, owner))
    was_training = model.training
    model.eval()
    try:
        shared = Forest(model, 1).feed(tokens, places, owners, keep=len(row))[0, 3:].view(2, 2, -1)
        ids = torch.tensor([trunk + end for end in ends], device=model.device)
        alone = model(input_ids=ids).logits[:, 3:]
    finally:
        model.train(was_training)
    bound = 100 * torch.finfo(shared.dtype).eps * alone.abs().max()
    return bool((shared - alone).abs().max() <= bound)
