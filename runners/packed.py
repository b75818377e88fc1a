"""The texts of a pass as trees of tokens, for the loss: exactly the numbers of separate sequences.

Texts that begin alike share what they share: questions on one database its schema, a group its prompt,
answers their first words. So every distinct prefix is one slot of a row, computed once. A token sees the
slots of its own text and nothing else, and predicts what it would predict in a sequence of its own. Only
slots before an answer's tokens pass through the head, once for each distinct next token.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from trl.kernels import ChunkedLogProbFunction

from runners.prefix import Tokens, additive, common

ROW_TOKENS = 1024
"""Slots of a row beyond which the next text begins another one: attention costs the square of them."""
VOCABULARY_TILE = 32_768
"""Widest piece of the vocabulary whose logits are held at a time."""


@dataclass(frozen=True, slots=True)
class Text:
    """A prompt and an answer to it. ``start`` is the place of the answer's first token in the flat result."""

    tokens: Tokens
    prompt: int
    start: int


@dataclass(slots=True)
class Row:
    """Slots in the order of a walk through the tree: what lies below a slot lies between it and its end."""

    tokens: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    predictions: dict[tuple[int, int], int] = field(default_factory=dict)
    """(slot, token after it) of an answer -> its number."""
    answers: list[tuple[int, int]] = field(default_factory=list)
    """For each token of an answer: its prediction and its place in the flat result."""

    def add(self, text: Text, path: list[int]) -> None:
        """Add a text, of which the slots of ``path`` are there; ``path`` becomes the text's own."""
        for place in range(len(path), len(text.tokens) - 1):
            path.append(len(self.tokens))
            self.tokens.append(text.tokens[place])
            self.places.append(place)
            self.ends.append(0)
        for slot in path:
            self.ends[slot] = len(self.tokens)
        for offset, token in enumerate(text.tokens[text.prompt :]):
            predicted = (path[text.prompt - 1 + offset], token)
            number = self.predictions.setdefault(predicted, len(self.predictions))
            self.answers.append((number, text.start + offset))

    def inputs(self, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
        """What the forward of a model of this dtype takes, with the packed head added."""
        slot = torch.arange(len(self.tokens), device=device)
        end = torch.tensor(self.ends, device=device)
        seen = (slot[None] <= slot[:, None]) & (slot[:, None] < end[None])
        return {
            "input_ids": torch.tensor([self.tokens], device=device),
            "position_ids": torch.tensor([self.places], device=device),
            "attention_mask": additive(seen[None, None], dtype),
            "packed_labels": torch.tensor(list(self.predictions), device=device),
        }


def pack(ids: Tensor, mask: Tensor, keep: int, most: int = ROW_TOKENS) -> list[Row]:
    """Lay out TRL's batch: (rows, prompt + keep) tokens, prompts padded left, answers right.

    An answer without a token in the mask is left out. A row gets no further text beyond ``most`` slots.
    """
    rows, path, before = [Row()], list[int](), Tokens()
    for text in sorted(_texts(ids, mask, keep), key=lambda text: text.tokens[:-1]):
        fed = text.tokens[:-1]
        shared = common([before, fed])
        if rows[-1].tokens and len(rows[-1].tokens) + len(fed) - shared > most:
            rows.append(Row())
            shared = 0
        path = path[:shared]
        rows[-1].add(text, path)
        before = fed
    return rows if rows[0].tokens else []


def _texts(ids: Tensor, mask: Tensor, keep: int) -> Iterator[Text]:
    width = ids.shape[1] - keep
    starts, lengths = (width - mask[:, :width].sum(1)).tolist(), mask[:, width:].sum(1).tolist()
    for number, (tokens, start, length) in enumerate(zip(ids.tolist(), starts, lengths, strict=True)):
        if length:
            yield Text(tuple(tokens[start : width + length]), width - start, number * keep)


def unpack(row: Row, predicted: Sequence[Tensor], size: int) -> list[Tensor]:
    """Figures by prediction -> figures by answer token, each flat and of ``size``, 0 elsewhere."""
    number, place = torch.tensor(row.answers, device=predicted[0].device).unbind(-1)
    return [values.new_zeros(size).index_put((place,), values[number]) for values in predicted]


def add_packed_head(model: Any, temperature: float) -> None:
    """Let ``model(..., packed_labels=...)`` return log-probabilities and entropies of predictions.

    The argument is (predictions, 2): the slot in the only row, and the token after it. Logits are divided by
    ``temperature``. Without the argument the forward is the one that was there.
    """
    original = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, packed_labels: Tensor | None = None, **kwargs: Any) -> Any:
        if packed_labels is None:
            return original(*args, **kwargs)
        hidden = self.base_model(*args, use_cache=False, **kwargs).last_hidden_state
        head, (slots, labels) = self.get_output_embeddings(), packed_labels.unbind(-1)
        logprobs, entropies, *_ = ChunkedLogProbFunction.apply(  # type: ignore[no-untyped-call]
            hidden[0, slots],
            head.weight,
            head.bias,
            labels,
            temperature,
            VOCABULARY_TILE,
            None,
            1.0,
            ("log_probs", "entropy"),
        )
        return logprobs, entropies

    model.forward = MethodType(forward, model)
