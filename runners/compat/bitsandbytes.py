"""Code that relies on undocumented parts of bitsandbytes.

``CHECKED`` is the version that was read. ``tests/test_compat.py`` fails where a later one differs.
"""

from __future__ import annotations

from typing import Any

CHECKED = "0.50.2"


def keep_weight_format(model: Any) -> None:
    """Keep bitsandbytes from repacking 4-bit weights.

    On processors with AVX512-BF16, bitsandbytes repacks 4-bit weights at the first forward in eval mode.
    Later training on them gets wrong gradients without a warning.
    """
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
