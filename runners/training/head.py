"""Find how a model's log-probabilities are computed: which head it has, and whether prefixes are shared.

``find_method`` compares the methods of ``loss`` on short texts before the training starts, so that a model is
trained on its own log-probabilities or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from runners.compat.transformers import reset_rotary
from runners.training.layout import Text, pack
from runners.training.loss import Head, Method
from tasks.common.errors import ModelError, first_line

SCALES = ("logit_scale", "output_multiplier", "lm_head_multiplier")
"""Settings by which architectures multiply their logits."""
DIVISOR = "logits_scaling"
"""The setting by which Granite and MiniCPM divide their logits."""
SOFT_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
"""Settings c of architectures that replace a logit x by c * tanh(x / c)."""
TEXTS = ((3, 4, 5, 6, 8, 9, 10), (3, 4, 5, 6, 11), (3, 4, 12, 13, 14, 15))
"""Tokens of the texts on which methods are compared."""
MOST = 0.25
"""Largest difference of log-probabilities that can be due to rounding, in the coarsest dtype."""


def candidates(config: Any) -> Iterator[Head]:
    """The heads that a model with this configuration may have."""
    text = config.get_text_config()
    scale = next((value for name in SCALES if (value := getattr(text, name, None)) is not None), None)
    if scale is None:
        scale = 1 / (getattr(text, DIVISOR, None) or 1)
    cap = next((value for name in SOFT_CAPS if (value := getattr(text, name, None))), None)
    for backbone in ("get_decoder", "base_model"):
        yield Head(backbone, float(scale), cap)


def find_method(model: Any, unshared: str) -> Method:
    """The method that gives the model's own log-probabilities with the least work.

    ``unshared``: the reason why prefixes cannot be shared, or "". Raises ModelError: none does, or the
    model's forward fails in training mode.
    """
    reasons = [unshared] if unshared else ["", "its log-probabilities differ where prefixes are shared"]
    separate_log_probs(model, training=True)
    expected = separate_log_probs(model)
    with torch.no_grad(), in_mode(model, training=False):
        for reason in reasons:
            for head in (*candidates(model.config), None):
                method = Method(head, reason)
                if _agrees(model, method, expected):
                    return method
    problem = "its texts get other log-probabilities in a batch than alone"
    raise ModelError(f"{type(model).__name__} cannot be trained: {problem}")


@contextmanager
def in_mode(model: Any, training: bool) -> Iterator[None]:
    """Put the model into training or eval mode, inside the block."""
    before = model.training
    model.train(training)
    try:
        yield
    finally:
        model.train(before)


def separate_log_probs(
    model: Any, texts: Sequence[Sequence[int]] = TEXTS, training: bool = False, temperature: float = 1.0
) -> Tensor:
    """The log-probabilities of all tokens of texts but the first ones, each text by itself.

    By the model's own forward, with logits divided by ``temperature``. Raises ModelError: it fails.
    """
    try:
        with torch.no_grad(), in_mode(model, training):
            return torch.cat([_separate(model, text, temperature) for text in texts])
    except Exception as error:  # of an architecture or a quantization that does not work
        raise ModelError(
            f"{type(model).__name__} cannot be trained: its forward fails: {first_line(error)}"
        ) from error


def same(model: Any, found: Tensor, expected: Tensor) -> bool:
    """Whether two tensors of log-probabilities differ by no more than rounding."""
    rounding = 100 * torch.finfo(model.dtype).eps * expected.abs().max()
    return bool((found - expected).abs().max() <= rounding.clamp(max=MOST))


def _separate(model: Any, text: Sequence[int], temperature: float) -> Tensor:
    """The log-probabilities of a text's tokens after the first one, by the model's own forward."""
    ids = torch.tensor([text], device=model.device)
    reset_rotary(model)
    logits: Tensor = model(input_ids=ids, use_cache=False).logits[0, :-1].float() / temperature
    reset_rotary(model)
    return logits.log_softmax(-1).gather(-1, ids[0, 1:, None])[:, 0]


def _agrees(model: Any, method: Method, expected: Tensor) -> bool:
    ends = [0]
    for text in TEXTS:
        ends.append(ends[-1] + len(text) - 1)
    texts = [
        Text(text[:-1], tuple((i, text[i], end + i - 1) for i in range(1, len(text))))
        for text, end in zip(TEXTS, ends, strict=False)
    ]
    found = torch.zeros_like(expected)
    try:
        for layout in pack(texts, shared=not method.unshared):
            (values,), _ = method.compute(model, model.forward, layout, 1.0, ("log_probs",))
            number, position = torch.tensor(layout.labelled, device=found.device).unbind(-1)
            found[position] = values[number].to(found.dtype)
    except Exception:  # of an architecture that takes other arguments
        return False
    return same(model, found, expected)
