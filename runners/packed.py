"""A group of answers to one prompt as one sequence, for the loss: exactly the numbers of separate sequences.

A row is the prompt without its last token (the trunk), and behind it a branch for each answer: the prompt's
last token and the answer without its own last. Positions restart in every branch, and a token sees the trunk,
its own branch and nothing else, so it predicts what it would predict in a sequence of its own. Only branch
tokens pass through the head.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from trl.kernels import ChunkedLogProbFunction

from runners.prefix import HIDDEN, TRUNK, additive, visible

NO_LABEL = -100
VOCABULARY_TILE = 32_768
"""Widest piece of the vocabulary whose logits are held at a time."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Groups laid out as rows. All tensors (rows, width); ``labels`` is the token to predict, or NO_LABEL."""

    tokens: Tensor
    place: Tensor
    owner: Tensor
    labels: Tensor

    def inputs(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """What the forward of a model of this dtype takes, with the packed head added."""
        seen = visible(self.owner, self.place, self.owner, self.place)
        return {
            "input_ids": self.tokens,
            "position_ids": self.place,
            "attention_mask": additive(seen, dtype),
            "packed_labels": self.labels,
        }


def pack(ids: Tensor, mask: Tensor, keep: int, group: int) -> Packed | None:
    """Lay out TRL's batch: (groups * group, prompt + keep) tokens, prompts padded left, answers right.

    An answer without a token in the mask is left out, a group without answers too; None: nothing is left.
    """
    width = ids.shape[1] - keep
    prompts = ids[:, :width].reshape(-1, group, width)
    if not torch.equal(prompts, prompts[:, :1].expand_as(prompts)):
        raise ValueError("the answers of a group have different prompts")
    tokens, starts = ids.tolist(), (width - mask[:, :width].sum(1)).tolist()
    lengths = mask[:, width:].sum(1).tolist()
    rows = []
    for first in range(0, len(tokens), group):
        prompt = tokens[first][starts[first] : width]
        row = [(token, place, TRUNK, NO_LABEL) for place, token in enumerate(prompt[:-1])]
        for number in range(group):
            answer = tokens[first + number][width : width + lengths[first + number]]
            before = [prompt[-1], *answer[:-1]]
            places = range(len(prompt) - 1, len(prompt) - 1 + len(answer))
            row += [(a, p, number + 1, b) for a, p, b in zip(before, places, answer, strict=False)]
        if len(row) >= len(prompt):
            rows.append(row)
    if not rows:
        return None
    widest = max(map(len, rows))
    slots = [row + [(0, 0, HIDDEN, NO_LABEL)] * (widest - len(row)) for row in rows]
    return Packed(*torch.tensor(slots, device=ids.device).unbind(-1))


def add_packed_head(model: Any, temperature: float) -> None:
    """Let ``model(..., packed_labels=...)`` return the labels' log-probabilities and entropies.

    Both are flat, in the order of the labels; logits are divided by ``temperature``. Without that argument
    the forward is the one that was there.
    """
    original = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, packed_labels: Tensor | None = None, **kwargs: Any) -> Any:
        if packed_labels is None:
            return original(*args, **kwargs)
        hidden = self.base_model(*args, use_cache=False, **kwargs).last_hidden_state
        head, chosen = self.get_output_embeddings(), packed_labels != NO_LABEL
        logprobs, entropies, *_ = ChunkedLogProbFunction.apply(  # type: ignore[no-untyped-call]
            hidden[chosen],
            head.weight,
            head.bias,
            packed_labels[chosen],
            temperature,
            VOCABULARY_TILE,
            None,
            1.0,
            ("log_probs", "entropy"),
        )
        return logprobs, entropies

    model.forward = MethodType(forward, model)
