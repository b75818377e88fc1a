"""Private operators of PyTorch that are called directly.

``CHECKED`` is the version that was read. ``tests/test_compat.py`` fails where a later one differs.
"""

from __future__ import annotations

import torch

CHECKED = "2.13.0"
ATTENTION = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
"""Attention that also returns the logarithm of each query's sum of exponentials, natural, in float32."""
ATTENTION_BACKWARD = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
"""Its gradients. It computes probabilities from the logarithms that it is passed, so output and logarithms
over more keys than those of the call give the gradients of this part of the keys."""
