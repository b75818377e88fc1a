"""Make a model compute in training mode what it computes in eval mode, as GRPO needs.

Answers are drawn in eval mode and learned in training mode. With dropout both would differ, and so would the
two probabilities of which GRPO takes the ratio, and those of the policy and the reference model.
"""

from __future__ import annotations

from typing import Any

import torch

from runners.training.head import same, separate_log_probs
from tasks.common.errors import ModelError

RATES = ("drop", "jitter", "noise")
"""Parts of the names under which architectures keep rates of random changes."""
LENGTH = 128
"""Tokens of the text on which both modes are compared."""


def remove_noise(model: Any) -> None:
    """Turn off the model's own random changes: dropout, layer dropout and router jitter.

    Raises ModelError: this changes the model in eval mode, or does not make both modes equal.
    """
    dice = torch.Generator().manual_seed(0)
    most = min(1000, model.get_input_embeddings().weight.shape[0])
    text = torch.randint(3, most, (LENGTH,), generator=dice).tolist()
    before = separate_log_probs(model, [text])
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name, value in vars(module).items():
            if isinstance(value, float) and any(part in name for part in RATES):
                setattr(module, name, 0.0)
    for training in (False, True):
        if not same(model, separate_log_probs(model, [text], training), before):
            raise ModelError(
                f"{type(model).__name__} cannot be trained with GRPO: it changes at random in training mode,"
                " so its log-probabilities would not be those by which answers are drawn"
            )
