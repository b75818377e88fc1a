"""Code that relies on vLLM's internals, in a process that need not have TRL.

``CHECKED`` is the version that was read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CHECKED = "0.31.0"
"""The version of vLLM whose source was read."""


def keep_linear_weights() -> None:
    """Have vLLM's linear layers on a CPU keep their weights, so that new ones can be loaded into them.

    They would pack them for oneDNN and drop the originals: weights could then not be loaded again, and a head
    that is tied to the embedding would keep the first ones.
    """
    import torch
    from vllm.model_executor.layers import utils

    packed: Callable[[Any, bool], None] = utils.dispatch_cpu_unquantized_gemm

    def dispatch(layer: Any, remove_weight: bool) -> None:
        if layer.weight.is_meta or layer.weight.ndim != 2:  # absent, or no linear layer
            packed(layer, remove_weight)
        else:
            layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = dispatch
