"""The loss with shared prefixes: each distinct prefix of a pass is computed once, with unchanged results.

Texts often share a prefix: questions on one database share its schema, the answers of a group their prompt,
and some answers their first words. The texts of a pass are laid out as a tree of tokens, one slot for each
distinct prefix. A token attends to the slots of its own text only, so it predicts what it would predict in a
sequence of its own. Only slots before a labelled token pass through the head, once for each next token.
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

from runners.decoding.masks import layer_masks
from runners.decoding.prefix_cache import common_prefix_length
from runners.decoding.probe import refusal
from runners.decoding.tokens import Tokens

NO_LABEL = -100
LOGIT_SETTINGS = ("final_logit_softcapping", "logit_scale", "output_multiplier", "lm_head_multiplier")
"""Settings that change the logits after the output layer, which this loss omits."""
VOCABULARY_TILE = 32_768
"""Largest part of the vocabulary whose logits are held in memory at a time."""
FIGURES = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")
"""The outputs of TRL's kernel, in its order; those not requested are None."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """The lengths in slots after which a new row begins."""

    tokens: int = 1024
    """For texts that share little: attention costs the square of a row's length."""
    limit: int = 4096
    """For all texts: the mask needs as many bytes as the square of a row's length, times the dtype's size."""


SIZES = Sizes()


@dataclass(frozen=True, slots=True)
class Text:
    """A text up to its last labelled token.

    ``labelled``: (position in the text, position in the flat batch) of each labelled token.
    """

    tokens: Tokens
    labelled: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class TokenTree:
    """A tree of tokens in depth-first order: the descendants of slot i are the slots up to ``ends[i]``."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    predictions: dict[tuple[int, int], int] = field(default_factory=dict)
    """(slot, next token) -> the number of this prediction."""
    labelled: list[tuple[int, int]] = field(default_factory=list)
    """For each labelled token its prediction and its position in the flat batch."""

    def add(self, text: Text, path: list[int]) -> None:
        """Add a text whose first tokens are in the slots of ``path``; extends ``path`` to the whole text."""
        for position in range(len(path), len(text.tokens) - 1):
            path.append(len(self.tokens))
            self.tokens.append(text.tokens[position])
            self.positions.append(position)
            self.ends.append(0)
        for slot in path:
            self.ends[slot] = len(self.tokens)
        for position, target in text.labelled:
            predicted = (path[position - 1], text.tokens[position])
            self.labelled.append((self.predictions.setdefault(predicted, len(self.predictions)), target))

    def inputs(self, model: Any, device: torch.device) -> dict[str, Any]:
        """The inputs of a model's backbone."""
        slot, end = torch.arange(len(self.tokens), device=device), torch.tensor(self.ends, device=device)
        seen = (slot[None] <= slot[:, None]) & (slot[:, None] < end[None])
        position = torch.tensor([self.positions], device=device)
        return {
            "input_ids": torch.tensor([self.tokens], device=device),
            "position_ids": position,
            "attention_mask": layer_masks(model, seen[None, None], position, position),
        }


def pack(ids: Tensor, mask: Tensor, labels: Tensor, sizes: Sizes = SIZES) -> list[TokenTree]:
    """Lay out the texts of a batch, tensors (rows, width) padded on either side, as trees of tokens.

    NO_LABEL marks unlabelled tokens. Texts without a label are left out.
    """
    rows, path, before = [TokenTree()], list[int](), Tokens()
    for text in sorted(_texts(ids, mask, labels), key=lambda text: text.tokens[:-1]):
        fed = text.tokens[:-1]
        shared = common_prefix_length([before, fed])
        width, new = len(rows[-1].tokens), len(fed) - shared
        if width and width + new > (sizes.limit if new < shared else sizes.tokens):
            rows.append(TokenTree())
            shared = 0
        path = path[:shared]
        rows[-1].add(text, path)
        before = fed
    return rows if rows[0].tokens else []


def _texts(ids: Tensor, mask: Tensor, labels: Tensor) -> Iterator[Text]:
    tokens, starts = ids.tolist(), mask.int().argmax(1).tolist()
    labelled: list[list[int]] = [[] for _ in tokens]
    for number, column in (labels != NO_LABEL).nonzero().tolist():
        if column > starts[number]:  # the first token has none before it
            labelled[number].append(column)
    for number, columns in enumerate(labelled):
        if columns:
            start = starts[number]
            targets = tuple((column - start, number * ids.shape[1] + column) for column in columns)
            yield Text(tuple(tokens[number][start : columns[-1] + 1]), targets)


def group_order(batch: Mapping[str, Tensor], group: int) -> Tensor:
    """An order of a batch's rows, (rows,), with groups kept together and similar prompts side by side.

    Groups whose answers are all masked out are first.
    """
    prompts, masks = batch["prompt_ids"][::group], batch["prompt_mask"][::group].bool()
    tokens = [prompt[mask].tolist() for prompt, mask in zip(prompts, masks, strict=True)]
    has_loss = batch["completion_mask"].view(len(tokens), -1).any(1).tolist()
    groups = torch.tensor(
        sorted(range(len(tokens)), key=lambda i: (has_loss[i], tokens[i])), device=prompts.device
    )
    return (groups[:, None] * group + torch.arange(group, device=groups.device)).flatten()


def loss_refusal(model: Any) -> str:
    """The reason why the loss cannot share prefixes with this model; "" if it can."""
    text = model.config.get_text_config()
    if getattr(text, "logits_scaling", 1) != 1 or any(getattr(text, key, None) for key in LOGIT_SETTINGS):
        return "it scales its logits"
    return refusal(model)


def share_prefixes(model: Any, temperature: float, figures: Sequence[str], sizes: Sizes = SIZES) -> None:
    """Make ``model(..., labels=..., fused_lm_head=True)``, which TRL's losses call, share prefixes.

    Results are those of TRL's ``add_fused_lm_head``: the ``figures`` of each label, (rows, width - 1), with
    logits divided by ``temperature``. Without ``fused_lm_head`` the model's own forward is called.
    """
    original = model.forward

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return original(*args, **kwargs)
        ids, mask, labels = (kwargs[name] for name in ("input_ids", "attention_mask", "labels"))
        rows = pack(ids, mask, labels, sizes)
        flat = [_zero(self, traced=not rows).expand(ids.numel()) for _ in figures]
        for row in rows:
            hidden = self.base_model(use_cache=False, **row.inputs(self, ids.device)).last_hidden_state
            predicted = _predicted(self, hidden[0], row, temperature, figures)
            number, position = torch.tensor(row.labelled, device=ids.device).unbind(-1)
            flat = [
                values.index_put((position,), new[number].to(values.dtype))
                for values, new in zip(flat, predicted, strict=True)
            ]
        grids = {name: values.view(ids.shape)[:, 1:] for name, values in zip(figures, flat, strict=True)}
        return FusedCausalLMOutput(**grids, label_mask=labels[:, 1:] != NO_LABEL)

    model.forward = MethodType(forward, model)


def _predicted(
    model: Any, hidden: Tensor, row: TokenTree, temperature: float, figures: Sequence[str]
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
    """A zero. With ``traced`` it depends on all trained weights, so that a pass without labels has a
    backward pass."""
    zero: Tensor = next(model.parameters()).new_zeros(())
    for parameter in model.parameters() if traced else ():
        if parameter.requires_grad:
            zero = zero + 0.0 * parameter.flatten()[:1].sum()
    return zero
