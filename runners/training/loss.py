"""The loss of TRL's trainers, exact on every architecture, with each shared prefix of a pass computed once.

Texts are laid out by ``layout``. Their log-probabilities come from TRL's kernel, which never holds all logits
but needs to know what the model does to them after its output layer, or from the model's own logits. Only
slots before a labelled token pass through the output layer, once for each next token.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from trl.kernels import ChunkedLogProbFunction
from trl.trainer.utils import FusedCausalLMOutput

from runners.compat.transformers import length_class, reset_rotary
from runners.training.adopt import adopt
from runners.training.layout import SIZES, WITHOUT_MASK, Layout, Sizes, Text, pack

NO_LABEL = -100
VOCABULARY_TILE = 32_768
"""Largest part of the vocabulary whose logits are held in memory at a time."""
FIGURES = ("log_probs", "entropy", "log_sum_sq_probs", "mean_logits", "is_top1")
"""The outputs of TRL's kernel, in its order; those not requested are None."""


@dataclass(frozen=True, slots=True)
class Head:
    """What follows a model's hidden states: the logits are capped, scaled products with the output layer."""

    backbone: str
    """The attribute or method that gives the part of the model that computes hidden states."""
    scale: float
    softcap: float | None

    def outputs(self, model: Any, **inputs: Any) -> Any:
        """The outputs of the backbone, with ``last_hidden_state`` (rows, width, size)."""
        backbone = getattr(model, self.backbone)
        return (backbone if isinstance(backbone, torch.nn.Module) else backbone())(use_cache=False, **inputs)

    def figures(
        self, model: Any, hidden: Tensor, tokens: Tensor, temperature: float, names: Sequence[str]
    ) -> list[Tensor]:
        """The figures of ``tokens`` (predictions,) that hidden states (predictions, size) predict."""
        head = model.get_output_embeddings()
        values = ChunkedLogProbFunction.apply(  # type: ignore[no-untyped-call]
            *(hidden, head.weight, getattr(head, "bias", None), tokens, temperature, VOCABULARY_TILE),
            *(self.softcap, self.scale, tuple(names)),
        )
        named = dict(zip(FIGURES, values, strict=True))
        return [named[name] for name in names]


@dataclass(frozen=True, slots=True)
class Method:
    """How texts are laid out, and how the model's log-probabilities are computed."""

    head: Head | None
    """None: from all logits of the model's own forward, which needs more memory."""
    unshared: str
    """The reason why prefixes are not shared; "" if they are."""

    def compute(
        self,
        model: Any,
        forward: Any,
        layout: Layout,
        temperature: float,
        names: Sequence[str],
        router: bool = False,
    ) -> tuple[list[Tensor], tuple[Tensor, ...]]:
        """The figures of a layout's predictions (predictions,), and with ``router`` the routers' logits.

        ``forward`` is the model's own forward.
        """
        slots, tokens = torch.tensor(list(layout.predictions), device=model.device).unbind(-1)
        inputs = layout.inputs(model, model.device) | ({"output_router_logits": True} if router else {})
        if self.head:
            output = self.head.outputs(model, **inputs)
            hidden = output.last_hidden_state.flatten(0, 1)[slots]
            figures = self.head.figures(model, hidden, tokens, temperature, names)
        else:
            output = forward(use_cache=False, **inputs)
            logits = output.logits.flatten(0, 1)[slots]
            figures = figures_of_logits(logits.float() / temperature, tokens, names)
        return figures, getattr(output, "router_logits", None) or ()


def figures_of_logits(logits: Tensor, tokens: Tensor, names: Sequence[str]) -> list[Tensor]:
    """Log-probability, entropy and whether it is the likeliest, of each token, from (tokens, vocabulary)."""
    log_probs = logits.log_softmax(-1)
    named = {
        "log_probs": lambda: log_probs.gather(-1, tokens[:, None])[:, 0],
        "entropy": lambda: -(log_probs.exp() * log_probs).sum(-1),
        "is_top1": lambda: log_probs.argmax(-1) == tokens,
    }
    return [named[name]() for name in names]


def use_method(
    model: Any, method: Method, temperature: float, figures: Sequence[str], sizes: Sizes | None = None
) -> None:
    """Make ``model(..., labels=..., fused_lm_head=True)``, which TRL's losses call, use ``method``.

    Results are those of TRL's ``add_fused_lm_head`` on each text by itself: the ``figures`` of each label,
    (rows, width - 1), with logits divided by ``temperature``. Without ``fused_lm_head`` the model's own
    forward is called.
    """
    original = model.forward
    by_length = length_class(model)
    sizes = sizes or (WITHOUT_MASK if not method.unshared and adopt(model) else SIZES)

    @functools.wraps(type(model).forward)
    def forward(self: Any, *args: Any, fused_lm_head: bool = False, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return original(*args, **kwargs)
        ids, mask, labels = (kwargs[name] for name in ("input_ids", "attention_mask", "labels"))
        router = bool(kwargs.get("output_router_logits"))
        texts = texts_of(ids, mask, labels, whole=router or by_length is not None)
        layouts = pack(texts, sizes, not method.unshared, by_length)
        flat = [_zero(self, traced=not layouts).expand(ids.numel()) for _ in figures]
        routed = []
        for layout in layouts:
            if by_length:
                reset_rotary(self)
            predicted, gates = method.compute(self, original, layout, temperature, figures, router)
            routed.append(gates)
            number, position = torch.tensor(layout.labelled, device=ids.device).unbind(-1)
            flat = [
                values.index_put((position,), new[number].to(values.dtype))
                for values, new in zip(flat, predicted, strict=True)
            ]
        if by_length:
            reset_rotary(self)
        grids = {name: values.view(ids.shape)[:, 1:] for name, values in zip(figures, flat, strict=True)}
        balance = {"aux_loss": _balance(self, layouts, routed)} if router else {}
        return FusedCausalLMOutput(**grids, label_mask=labels[:, 1:] != NO_LABEL, **balance)

    model.forward = MethodType(forward, model)


def texts_of(ids: Tensor, mask: Tensor, labels: Tensor, whole: bool = False) -> Iterator[Text]:
    """The texts of a batch, tensors (rows, width) padded on either side, but for those without a label.

    NO_LABEL marks unlabelled tokens. ``whole`` feeds the last labelled token too, from which nothing is
    predicted.
    """
    tokens, starts = ids.tolist(), mask.int().argmax(1).tolist()
    labelled: list[list[int]] = [[] for _ in tokens]
    for number, column in (labels != NO_LABEL).nonzero().tolist():
        if column > starts[number]:  # the first token has none before it
            labelled[number].append(column)
    for number, columns in enumerate(labelled):
        if columns:
            start, row = starts[number], tokens[number]
            targets = tuple((at - start, row[at], number * ids.shape[1] + at) for at in columns)
            yield Text(tuple(row[start : columns[-1] + whole]), targets)


def _balance(model: Any, layouts: Sequence[Layout], routed: Sequence[tuple[Tensor, ...]]) -> Tensor:
    """The load-balancing loss of a mixture of experts, over the tokens of all texts.

    Switch Transformers' equations 4 to 6 (Fedus et al. 2021, arXiv:2101.03961); a token that several texts
    share counts as often as it occurs.
    """
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    if not routed or not routed[0]:
        return _zero(model, traced=False)
    gates: Any = tuple(
        torch.cat([gate.flatten(0, -2) for gate in layer]) for layer in zip(*routed, strict=True)
    )
    counts = torch.tensor([count for layout in layouts for count in layout.counts], device=gates[0].device)
    text = model.config.get_text_config()
    loss = load_balancing_loss_func(gates, gates[0].shape[-1], text.num_experts_per_tok, counts)
    return torch.as_tensor(loss)


def _zero(model: Any, traced: bool) -> Tensor:
    """A zero. With ``traced`` it depends on all trained weights, so that a pass without labels has a
    backward pass."""
    zero: Tensor = next(model.parameters()).new_zeros(())
    for parameter in model.parameters() if traced else ():
        if parameter.requires_grad:
            zero = zero + 0.0 * parameter.flatten()[:1].sum()
    return zero
