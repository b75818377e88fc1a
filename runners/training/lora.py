"""Which layers of a model get low-rank adapters, on every architecture."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers.pytorch_utils import Conv1D

from runners.training.config import LoraSpec
from runners.training.head import separate_log_probs
from tasks.common.errors import ModelError

LAYERS = ("Linear", "Conv1D", "Linear4bit")
"""The classes whose layers fit adapters even if no text of a trial passes them, such as those of experts."""
CALLED = "in_proj"
"""The only layer of a state-space block that is called on every device. Kernels read the weights of others
directly, so an adapter on them would not be trained."""


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
    """The names of the linear layers of the language model that adapters fit, without the output layer.

    A trial shows what a layer does: its result must be the product that an adapter adds to, and its weights
    must not be read elsewhere. Layers that share weights are left out, because their adapters could not be
    merged. Raises ModelError: none is left.
    """
    head, part = model.get_output_embeddings(), language_model(model)
    inside = {id(module) for module in part.modules()}
    state_space = [module for module in part.modules() if hasattr(module, "conv1d") and hasattr(module, "D")]
    inside -= {id(inner) for block in state_space for name, inner in block.named_modules() if name != CALLED}
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (nn.Linear, Conv1D)) and id(module) in inside and module is not head
    }
    with _trial(layers.values()) as trial:
        separate_log_probs(model, training=True)
    owners = Counter(id(module.weight) for module in layers.values())
    names = [name for name, module in layers.items() if trial.fits(module) and owners[id(module.weight)] == 1]
    if not names:
        raise ModelError(
            f"{type(model).__name__} has no linear layer that can have an adapter: leave train.lora out"
        )
    return names


class _Trial(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records, while a model computes, which of its layers are called and which tensors are read."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.products: dict[int, bool] = {}
        """Layer -> whether its results were products with its weights."""
        self.read: set[int] = set()
        """The addresses of all tensors that were read."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor):
                self.read.add(value.untyped_storage().data_ptr())
        return function(*args, **(kwargs or {}))

    def note(self, module: Any, inputs: Any, output: Any) -> None:
        """A forward hook."""
        self.products[id(module)] = self.products.get(id(module), True) and _is_product(
            module, inputs, output
        )

    def fits(self, module: Any) -> bool:
        """Whether an adapter of this layer is trained, and can be merged into it."""
        if id(module) in self.products:
            return self.products[id(module)]
        is_read = module.weight.untyped_storage().data_ptr() in self.read
        return type(module).__name__ in LAYERS and not is_read


@contextmanager
def _trial(layers: Iterable[Any]) -> Iterator[_Trial]:
    trial = _Trial()
    hooks = [layer.register_forward_hook(trial.note) for layer in layers]
    try:
        with trial:
            yield trial
    finally:
        for hook in hooks:
            hook.remove()


def _is_product(module: Any, inputs: Sequence[Any], output: Any) -> bool:
    """Whether a layer's output is the product of its only input with its weights."""
    if len(inputs) != 1 or not isinstance(output, Tensor):
        return False
    weight = module.weight.T if isinstance(module, Conv1D) else module.weight
    if not weight.is_floating_point():
        return True  # of a quantized layer, whose class is bitsandbytes' own
    expected = nn.functional.linear(inputs[0].to(weight.dtype), weight, module.bias)
    bound = 100 * torch.finfo(weight.dtype).eps * expected.abs().max()
    return output.shape == expected.shape and bool((output - expected).abs().max() <= bound)


def language_model(model: Any) -> Any:
    """The part of a model that texts pass through, without the encoders of images and sound."""
    embeddings = model.get_input_embeddings()
    for part in (model.get_decoder(), model.base_model):
        if any(module is embeddings for module in part.modules()):
            return part
    return model


def freeze_unused(model: Any) -> None:
    """Freeze what texts do not pass through, such as the image encoder of a multimodal model."""
    used = {*language_model(model).parameters(), *model.get_output_embeddings().parameters()}
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
