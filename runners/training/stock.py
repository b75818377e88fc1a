"""Whether TRL's own loss is right for a model: it pads texts, or packs several into a row."""

from __future__ import annotations

from typing import Any, Literal

import torch

from runners.compat.peft import bare_model
from runners.training.head import TEXTS, in_mode, same, separate_log_probs
from runners.training.loss import NO_LABEL
from tasks.common.errors import ModelError

Batch = dict[str, torch.Tensor]
ADVICE = {
    "left": "train.shared_prefix false, whose padding changes its log-probabilities: set it to true",
    "right": "train.shared_prefix false, whose padding changes its log-probabilities: set it to true",
    "packed": "train.packing, which mixes the texts of a row: set it to false",
}


def check_stock(model: Any, layout: Literal["left", "right", "packed"], temperature: float = 1.0) -> None:
    """Raise ModelError where a layout of TRL's changes the log-probabilities of texts.

    They are compared with those of each text by itself. ``left`` and ``right`` compute them by TRL's head,
    which its trainer has added with this ``temperature``; ``packed`` can be called before there is a trainer.
    """
    bare = bare_model(model)
    expected = separate_log_probs(bare, temperature=temperature)
    try:
        with torch.no_grad(), in_mode(bare, training=False):
            batch = _packed() if layout == "packed" else _padded(layout == "left")
            batch = {name: value.to(bare.device) for name, value in batch.items()}
            if layout == "packed":
                found = _packed_log_probs(bare, batch)
            else:
                output = bare(**batch, use_cache=False, fused_lm_head=True)
                found = output.log_probs[output.label_mask]
            right = same(bare, found, expected)
    except Exception:  # of an architecture that takes other arguments
        right = False
    if not right:
        raise ModelError(f"{type(bare).__name__} cannot be trained with {ADVICE[layout]}")


def _packed_log_probs(model: Any, batch: Batch) -> torch.Tensor:
    labels = batch.pop("labels")[0, 1:]
    logits: torch.Tensor = model(**batch, use_cache=False).logits[0, :-1].float()
    log_probs = logits.log_softmax(-1).gather(-1, labels.clamp(min=0)[:, None])[:, 0]
    return log_probs[labels != NO_LABEL]


def _padded(left: bool) -> Batch:
    width = max(map(len, TEXTS))
    rows = []
    for text in TEXTS:
        before, after = (width - len(text), 0) if left else (0, width - len(text))
        ids = [*[0] * before, *text, *[0] * after]
        mask = [*[0] * before, *[1] * len(text), *[0] * after]
        labels = [*[NO_LABEL] * (before + 1), *text[1:], *[NO_LABEL] * after]
        rows.append([ids, mask, labels])
    columns = torch.tensor(rows).unbind(1)
    return dict(zip(("input_ids", "attention_mask", "labels"), columns, strict=True))


def _packed() -> Batch:
    ids = [token for text in TEXTS for token in text]
    positions = [position for text in TEXTS for position in range(len(text))]
    labels = [token if position else NO_LABEL for token, position in zip(ids, positions, strict=True)]
    names = ("input_ids", "position_ids", "labels")
    return {name: torch.tensor([row]) for name, row in zip(names, (ids, positions, labels), strict=True)}
