"""A plugin of vLLM's CPU build: linear layers keep their weights, so that new ones can be loaded into them.

Otherwise a layer packs its weights for oneDNN and drops the originals; loading new weights then fails, and a
tied head computes with its first weights for ever.
"""

from typing import Any

import torch


def register() -> None:
    """Called in each of vLLM's processes before a model is loaded."""
    from vllm.model_executor.layers import utils

    packed = utils.dispatch_cpu_unquantized_gemm

    def dispatch(layer: Any, remove_weight: bool) -> None:
        if layer.weight.is_meta or layer.weight.ndim != 2:  # absent, or no linear layer
            packed(layer, remove_weight)
        else:
            layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = dispatch
