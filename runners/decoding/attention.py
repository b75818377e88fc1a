"""SDPA for groups of query heads that share key heads, without a copy of the keys for each query head."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from runners.compat.transformers import GROUPED_ATTENTION, attention

FEW = 64
"""Most queries of a row for which the heads of a group are folded: for more, copying keys costs little."""


def fold_groups(model: Any) -> None:
    """Let a model on a CPU use this attention, if its architecture lets the attention be chosen."""
    replaceable = getattr(model, "_supports_attention_backend", False)
    if replaceable and model.device.type == "cpu" and attention(model) == "sdpa":
        model.set_attn_implementation(GROUPED_ATTENTION)


def grouped_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **settings: Any,
) -> tuple[Tensor, None]:
    """An attention function of transformers: in a decoding step, a group's heads are further queries.

    With a mask transformers copies all keys and values once for each query head of a group, in every layer
    and step. ``query`` (rows, heads, width, head size), ``key`` and ``value`` (rows, key heads, slots, head
    size). Returns (rows, width, heads, head size).
    """
    rows, heads, width, _ = query.shape
    group = heads // key.shape[1]
    plain = not settings.get("dropout") and settings.get("position_bias") is None
    if attention_mask is None or attention_mask.shape[1] > 1 or group == 1 or width > FEW or not plain:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    output = torch.nn.functional.scaled_dot_product_attention(
        query.reshape(rows, key.shape[1], group * width, -1),
        key,
        value,
        attn_mask=attention_mask.expand(-1, -1, width, -1).repeat(1, 1, group, 1),
        scale=settings.get("scaling"),
    )
    return output.reshape(rows, heads, width, -1).transpose(1, 2).contiguous(), None


AttentionInterface.register(GROUPED_ATTENTION, grouped_attention)
AttentionMaskInterface.register(GROUPED_ATTENTION, sdpa_mask)
