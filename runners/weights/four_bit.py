"""4-bit weights: NF4 with double quantization (Dettmers et al. 2023, arXiv:2305.14314), by bitsandbytes."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from tasks.common.errors import MissingExtra


def four_bits(dtype: Any) -> Any:
    """transformers' settings for 4-bit weights that compute in ``dtype``. Raises MissingExtra."""
    if find_spec("bitsandbytes") is None:
        raise MissingExtra("bitsandbytes", "quant")
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(  # type: ignore[no-untyped-call]
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )


def keep_format(model: Any) -> None:
    """Forbid repacked weights: on processors with AVX512-BF16, bitsandbytes 0.50 repacks them at the first
    forward in eval mode, and what is trained on them later gets wrong gradients without a word."""
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False
