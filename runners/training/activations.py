"""What autograd keeps of a forward pass, read from the model's own code.

The model computes two short texts with PyTorch's fake tensors, which have sizes and no memory. So the plan
knows the activations of every architecture, in the dtypes and with the copies that autocast and PEFT make.
"""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from runners.compat.peft import bare_model
from runners.compat.transformers import auto_class
from runners.training.config import LoraSpec

FUSED = "fused"
"""The name of an attention that keeps what fused kernels keep, and computes nothing."""
LENGTHS = (16, 48)
"""Tokens of the two texts."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Bytes that a forward pass keeps for the backward pass, without the output layer."""

    weights: int
    """Copies of weights in autocast's dtype."""
    token: float
    """For each token."""


_known: dict[tuple[str, str, bool], Kept | None] = {}


def kept(config: Any, lora: LoraSpec | None, gpu: bool) -> Kept | None:
    """What is kept of a model with this configuration; with ``lora``, of adapters on a frozen base.

    On a GPU full training has float32 weights and autocast to bfloat16, and a frozen base is bfloat16. None:
    the architecture's code does not run on fake tensors, because it reads values of its activations.
    """
    key = (config.to_json_string(), repr(lora), gpu)
    if key not in _known:
        try:
            _known[key] = _kept(config, lora, gpu)
        except Exception:  # of any architecture's code
            _known[key] = None
    return _known[key]


def _kept(config: Any, lora: LoraSpec | None, gpu: bool) -> Kept:
    with torch.device("meta"):
        model = _model(config, lora, torch.bfloat16 if gpu and lora else torch.float32)
    with FakeTensorMode():
        fake_weights(model)
        low, high = (_bytes(model, length, gpu) for length in LENGTHS)
    token = (high - low) / (LENGTHS[1] - LENGTHS[0])
    return Kept(round(low - token * LENGTHS[0]), token)


def _model(config: Any, lora: LoraSpec | None, dtype: torch.dtype) -> Any:
    config = deepcopy(config)  # which keeps the name of the attention
    try:
        model = auto_class(config).from_config(config, dtype=dtype, attn_implementation=FUSED)
    except ValueError:  # of an architecture with an attention of its own
        model = auto_class(config).from_config(config, dtype=dtype)
    return (with_adapters(model, lora) if lora else model).train()


def with_adapters(model: Any, lora: LoraSpec) -> Any:
    """The model with adapters on all linear layers, in the dtypes that trainers give them."""
    from peft import LoraConfig, get_peft_model

    settings = LoraConfig(r=lora.r, target_modules="all-linear", task_type="CAUSAL_LM")
    model = get_peft_model(model, settings)
    if lora.four_bit:
        for weights in model.parameters():
            weights.data = weights.data.bfloat16() if weights.requires_grad else weights.data
    return model


def fake_weights(model: Any) -> None:
    """Replace the weights of a model on the meta device by fake ones on the CPU, which autocast sees."""
    made: dict[int, Tensor] = {}
    for module in model.modules():
        for tensors in (module._parameters, module._buffers):
            for name, old in tensors.items():
                if old is not None and id(old) not in made:
                    new: Tensor = torch.empty(old.shape, dtype=old.dtype)
                    if isinstance(old, torch.nn.Parameter):
                        new = torch.nn.Parameter(new, old.requires_grad)
                    made[id(old)] = new
                if old is not None:
                    tensors[name] = made[id(old)]


def _bytes(model: Any, length: int, gpu: bool) -> int:
    """The bytes that are kept of a text, besides the weights."""
    weights = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
    found: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weights:
            found[storage._cdata] = storage
        return tensor

    inputs = {
        "input_ids": torch.zeros((1, length), dtype=torch.long),
        "position_ids": torch.arange(length)[None],
        "attention_mask": torch.zeros((1, 1, length, length)),
    }
    autocast = torch.autocast("cpu", torch.bfloat16) if gpu else nullcontext()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), autocast:
        bare_model(model).get_decoder()(**inputs, use_cache=False)
    return sum(storage.nbytes() for storage in found.values())


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        rows, heads, width, _ = query.shape
        output = query.new_empty((rows, width, heads, value.shape[-1])).transpose(1, 2)
        sums = query.new_empty(query.shape[:3], dtype=torch.float32)
        ctx.save_for_backward(query, key, value, output, sums)
        return output


def _attend(
    module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, **_: Any
) -> tuple[Tensor, None]:
    """An attention function of transformers. On a GPU, keys and values get a copy for each query head."""
    if torch.is_autocast_enabled("cpu"):
        query, key, value = (each.bfloat16() for each in (query, key, value))
        group = query.shape[1] // key.shape[1]
        key, value = (each.repeat_interleave(group, 1) for each in (key, value))
    output: Tensor = _Fused.apply(query, key, value)  # type: ignore[no-untyped-call]
    return output.transpose(1, 2).contiguous(), None


AttentionInterface.register(FUSED, _attend)
AttentionMaskInterface.register(FUSED, sdpa_mask)
