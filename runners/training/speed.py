"""The speed of this machine's CPU, measured with the sizes of a model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import Any

from runners.training.plan import Shape

ROWS, FEW_ROWS, MEASURED_SECONDS = 1024, 8, 0.3
"""Rows of the products by which a CPU is measured, and the CPU seconds of each measurement."""
LARGEST = 4096
"""Most rows and columns of the weights of these products, which would else need much memory themselves."""


@dataclass(frozen=True, slots=True)
class Speed:
    """Operations per second of large products, and bytes per second of memory, as measured."""

    flops: float
    bandwidth: float
    few: float
    """Operations per second of products with few rows."""
    unpacking: float
    """4-bit weights per second that are converted for a product; 0: not measured."""


def machine_speed(model: Shape, four_bit: bool) -> Speed:
    """Measure this machine's CPU with the sizes of a model: about a second of CPU time."""
    import torch

    width, numbers = min(model.hidden, LARGEST), torch.ones(2**25)
    weights = torch.randn(min(model.mlp, LARGEST), width)
    large, few = (
        2 * x.numel() * len(weights) * _rate(partial(torch.nn.functional.linear, x, weights))
        for x in (torch.randn(rows, width) for rows in (ROWS, FEW_ROWS))
    )
    unpacking = _unpacking(weights) if four_bit and find_spec("bitsandbytes") else 0.0
    return Speed(large, 4 * numbers.numel() * _rate(numbers.sum), few, unpacking)


def _unpacking(weights: Any) -> float:
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    packed, state = quantize_4bit(weights, compress_statistics=True, quant_type="nf4")
    return float(weights.numel() * _rate(partial(dequantize_4bit, packed, state)))


def _rate(work: Callable[[], object]) -> float:
    """Calls per second of this process's CPU time."""
    work()
    began, calls = time.process_time(), 0
    while (seconds := time.process_time() - began) < MEASURED_SECONDS or not calls:
        work()
        calls += 1
    return calls / seconds
