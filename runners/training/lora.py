"""Which layers of a model get low-rank adapters, on every architecture."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

from runners.training.config import LoraSpec
from tasks.common.errors import ModelError

LAYERS = ("Linear", "Conv1D", "Linear4bit")
"""The classes of layers that adapters fit; a subclass may return something else, such as a router."""
CALLED = "in_proj"
"""The only layer of a state-space block that is called: kernels read the weights of the others directly, so
an adapter on them would not be trained."""


def adapter_settings(lora: LoraSpec | None, model: Any) -> Any:
    """The peft configuration of the LoRA settings for a model; None without LoRA.

    Raises ModelError: a target is not in the model, or cannot have an adapter.
    """
    if lora is None:
        return None
    from peft import LoraConfig

    layers = linear_layers(model)
    experts = expert_weights(model)
    for target in lora.targets:
        _check_target(target, layers, experts)
    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=[name for name in lora.targets if _ends(layers, name)] if lora.targets else layers,
        target_parameters=[name for name in lora.targets if _ends(experts, name)] or None,
        task_type="CAUSAL_LM",
    )


def linear_layers(model: Any) -> list[str]:
    """The names of the linear layers of the language model that adapters fit, without the output layer."""
    head, decoder = model.get_output_embeddings(), model.get_decoder()
    inside = {id(module) for module in decoder.modules()}
    state_space = [
        module for module in decoder.modules() if hasattr(module, "conv1d") and hasattr(module, "D")
    ]
    inside -= {id(part) for block in state_space for name, part in block.named_modules() if name != CALLED}
    return [
        name
        for name, module in model.named_modules()
        if type(module).__name__ in LAYERS and id(module) in inside and module is not head
    ]


def freeze_unused(model: Any) -> None:
    """Freeze what texts do not pass through, such as the image encoder of a multimodal model."""
    used = {*model.get_decoder().parameters(), *model.get_output_embeddings().parameters()}
    for weights in model.parameters():
        if weights not in used:
            weights.requires_grad_(False)


def expert_weights(model: Any) -> list[str]:
    """The names of the weights that hold a layer of all experts in one tensor (experts, rows, columns)."""
    return [name for name, weights in model.named_parameters() if weights.dim() == 3 and "experts" in name]


def _ends(names: Sequence[str], target: str) -> bool:
    return any(name == target or name.endswith(f".{target}") for name in names)


def _check_target(target: str, layers: Sequence[str], experts: Sequence[str]) -> None:
    """Raise ModelError: no layer of the model that may have an adapter has this name."""
    if _ends(layers, target) or _ends(experts, target):
        return
    known = sorted({name.rpartition(".")[2] for name in (*layers, *experts)})
    near = difflib.get_close_matches(target, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"choose among {', '.join(known)}"
    raise ModelError(f"train.lora.targets: {target} is no layer that can have an adapter: {hint}")
