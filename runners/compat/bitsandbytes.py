"""Everything of ours that relies on undocumented parts of bitsandbytes.

Checked against bitsandbytes 0.50.2. ``tests/test_compat.py`` fails where one of these parts has changed.
"""

from __future__ import annotations

from typing import Any


def keep_weight_format(model: Any) -> None:
    """Forbid repacked weights.

    On processors with AVX512-BF16, bitsandbytes repacks 4-bit weights at the first forward in eval mode. What
    is trained on them later gets wrong gradients without a warning.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
