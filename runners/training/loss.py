"""The loss of TRL's trainers, exact on every architecture, with each shared prefix of a pass computed once.

Texts are laid out by ``layout``; ``head`` computes their log-probabilities. Only slots before a labelled
token pass through the output layer, once for each next token.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from trl.trainer.utils import FusedCausalLMOutput

from runners.compat.transformers import length_class, reset_rotary
from runners.training.attention import adopt
from runners.training.head import Method
from runners.training.layout import NO_LABEL, SIZES, WITHOUT_MASK, Layout, Sizes, pack, texts_of


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
            reset_rotary(self)
            predicted, gates = method.compute(self, original, layout, temperature, figures, router)
            routed.append(gates)
            number, position = torch.tensor(layout.labelled, device=ids.device).unbind(-1)
            flat = [
                values.index_put((position,), new[number].to(values.dtype))
                for values, new in zip(flat, predicted, strict=True)
            ]
        reset_rotary(self)
        grids = {name: values.view(ids.shape)[:, 1:] for name, values in zip(figures, flat, strict=True)}
        balance = {"aux_loss": _balance(self, layouts, routed)} if router else {}
        return FusedCausalLMOutput(**grids, label_mask=labels[:, 1:] != NO_LABEL, **balance)

    model.forward = MethodType(forward, model)


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
