"""The texts of a pass as trees of tokens, for the loss: exactly the numbers of separate sequences.

Texts that begin alike share what they share: questions on one database its schema, a group its prompt,
answers their first words. So every distinct prefix is one slot of a row, computed once. A token sees the
slots of its own text and nothing else, and predicts what it would predict in a sequence of its own. Only
slots before a labelled token pass through the head, once for each distinct next token.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from trl.kernels import ChunkedLogProbFunction
from trl.trainer.utils import FusedCausalLMOutput

from runners.decoding.prefix_cache import additive_mask, common_prefix_length
from runners.decoding.tokens import Tokens

NO_LABEL = -100
VOCABULARY_TILE = 32_768
"""Widest piece of the vocabulary whose logits are held at a time."""
FIGURES = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")
"""What TRL's kernel returns, in this order; None where not asked for."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Slots of a row after which a text begins another one."""

    tokens: int = 1024
    """Of a text that shares little: attention costs their square."""
    limit: int = 4096
    """Of every text: the mask takes as many bytes as their square, times the dtype's."""


SIZES = Sizes()


@dataclass(frozen=True, slots=True)
class Text:
    """Tokens up to the last labelled one, and where the labelled ones stand: here, and in the flat batch."""

    tokens: Tokens
    labelled: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Row:
    """Slots in the order of a walk through the tree: what lies below a slot lies between it and its end."""

    tokens: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    predictions: dict[tuple[int, int], int] = field(default_factory=dict)
    """(slot, token after it) -> its number."""
    labelled: list[tuple[int, int]] = field(default_factory=list)
    """For each labelled token: its prediction and its place in the flat batch."""

    def add(self, text: Text, path: list[int]) -> None:
        """Add a text, of which the slots of ``path`` are there; ``path`` becomes the text's own."""
        for place in range(len(path), len(text.tokens) - 1):
            path.append(len(self.tokens))
            self.tokens.append(text.tokens[place])
            self.places.append(place)
            self.ends.append(0)
        for slot in path:
            self.ends[slot] = len(self.tokens)
        for place, target in text.labelled:
            predicted = (path[place - 1], text.tokens[place])
            self.labelled.append((self.predictions.setdefault(predicted, len(self.predictions)), target))

    def inputs(self, dtype: torch.dtype, device: torch.device) -> dict[str, Tensor]:
        """What the backbone of a model of this dtype takes."""
        slot, end = torch.arange(len(self.tokens), device=device), torch.tensor(self.ends, device=device)
        seen = (slot[None] <= slot[:, None]) & (slot[:, None] < end[None])
        return {
            "input_ids": torch.tensor([self.tokens], device=device),
            "position_ids": torch.tensor([self.places], device=device),
            "attention_mask": additive_mask(seen[None, None], dtype),
        }


def pack(ids: Tensor, mask: Tensor, labels: Tensor, sizes: Sizes = SIZES) -> list[Row]:
    """Lay out a batch: tensors (rows, width), padding on either side, NO_LABEL where nothing is predicted.

    A text without a label is left out.
    """
    rows, path, before = [Row()], list[int](), Tokens()
    for text in sorted(_texts(ids, mask, labels), key=lambda text: text.tokens[:-1]):
        fed = text.tokens[:-1]
        shared = common_prefix_length([before, fed])
        width, new = len(rows[-1].tokens), len(fed) - shared
        if width and width + new > (sizes.limit if new < shared else sizes.tokens):
            rows.append(Row())
            shared = 0
        path = path[:shared]
        rows[-1].add(text, path)
        before = fed
    return rows if rows[0].tokens else []


def _texts(ids: Tensor, mask: Tensor, labels: Tensor) -> Iterator[Text]:
    tokens, starts = ids.tolist(), mask.int().argmax(1).tolist()
    labelled: list[list[int]] = [[] for _ in tokens]
    for number, column in (labels != NO_LABEL).nonzero().tolist():
        if column > starts[number]:  # nothing comes before the first token to predict it
            labelled[number].append(column)
    for number, columns in enumerate(labelled):
        if columns:
            start = starts[number]
            targets = tuple((column - start, number * ids.shape[1] + column) for column in columns)
            yield Text(tuple(tokens[number][start : columns[-1] + 1]), targets)


def group_order(batch: Mapping[str, Tensor], group: int) -> Tensor:
    """The order of a batch's rows in which groups stay whole, and those whose prompts begin alike meet.

    Groups without an answer in the mask come first.
    """
    prompts, masks = batch["prompt_ids"][::group], batch["prompt_mask"][::group].bool()
    asked = [prompt[mask].tolist() for prompt, mask in zip(prompts, masks, strict=True)]
    live = batch["completion_mask"].view(len(asked), -1).any(1).tolist()
    groups = torch.tensor(sorted(range(len(asked)), key=lambda i: (live[i], asked[i])), device=prompts.device)
    return (groups[:, None] * group + torch.arange(group, device=groups.device)).flatten()


def share_prefixes(model: Any, temperature: float, figures: Sequence[str], sizes: Sizes = SIZES) -> None:
    """Let ``model(..., labels=..., fused_lm_head=True)``, which TRL's losses call, pack its batch.

    Results are those of TRL's ``add_fused_lm_head``: the ``figures`` of each label, (rows, width - 1), logits
    divided by ``temperature``. Without that argument the forward is the one that was there.
    """
    original = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return original(*args, **kwargs)
        ids, mask, labels = (kwargs[name] for name in ("input_ids", "attention_mask", "labels"))
        rows = pack(ids, mask, labels, sizes)
        found = [_zero(self, traced=not rows).expand(ids.numel()) for _ in figures]
        for row in rows:
            hidden = self.base_model(use_cache=False, **row.inputs(self.dtype, ids.device)).last_hidden_state
            predicted = _predicted(self, hidden[0], row, temperature, figures)
            number, place = torch.tensor(row.labelled, device=ids.device).unbind(-1)
            found = [
                all_.index_put((place,), one[number].to(all_.dtype))
                for all_, one in zip(found, predicted, strict=True)
            ]
        grids = {name: one.view(ids.shape)[:, 1:] for name, one in zip(figures, found, strict=True)}
        return FusedCausalLMOutput(**grids, label_mask=labels[:, 1:] != NO_LABEL)

    model.forward = MethodType(forward, model)


def _predicted(
    model: Any, hidden: Tensor, row: Row, temperature: float, figures: Sequence[str]
) -> list[Tensor]:
    """The figures of a row's distinct predictions (predictions,), from the hidden states of its slots."""
    slots, labels = torch.tensor(list(row.predictions), device=hidden.device).unbind(-1)
    head = model.get_output_embeddings()
    values = ChunkedLogProbFunction.apply(  # type: ignore[no-untyped-call]
        hidden[slots], head.weight, head.bias, labels, temperature, VOCABULARY_TILE, None, 1.0, tuple(figures)
    )
    named = dict(zip(FIGURES, values, strict=True))
    return [named[name] for name in figures]


def _zero(model: Any, traced: bool) -> Tensor:
    """A zero; ``traced`` from every trained weight, for a pass without labels to have a backward."""
    zero: Tensor = next(model.parameters()).new_zeros(())
    for parameter in model.parameters() if traced else ():
        if parameter.requires_grad:
            zero = zero + 0.0 * parameter.flatten()[:1].sum()
    return zero
