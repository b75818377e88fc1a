"""Everything of ours that relies on undocumented parts of bitsandbytes.

``CHECKED`` is the version that was read. ``tests/test_compat.py`` fails where a later one differs.
"""

from __future__ import annotations

from typing import Any

CHECKED = "0.50.2"


def keep_weight_format(model: Any) -> None:
    """Forbid repacked weights.

    On processors with AVX512-BF16, bitsandbytes repacks 4-bit weights at the first forward in eval mode. What
    is trained on them later gets wrong gradients without a warning.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
