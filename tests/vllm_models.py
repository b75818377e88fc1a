"""Models, settings and questions of the tests that run vLLM."""

import importlib.util
from pathlib import Path

import tiny_models

from runners.settings import RunnerConfig
from runners.types import Request
from tasks.task import Task

SIZES = {"hidden_size": 64, "head_dim": 32, "num_attention_heads": 2, "num_key_value_heads": 1}
"""Sizes of heads that vLLM's attention on a CPU supports."""
SETTINGS = RunnerConfig.model_validate({"vllm": {"extra": {"enforce_eager": True}}})

_benchmark = Path(__file__).parent.parent / "benchmarks" / "vllm_hf.py"
_spec = importlib.util.spec_from_file_location("vllm_hf", _benchmark)
assert _spec and _spec.loader
vllm_hf = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(vllm_hf)
differences, TIE = vllm_hf.differences, vllm_hf.TIE


def save(folder: Path, seed: int = 0) -> str:
    return tiny_models.save(folder, seed=seed, **SIZES)


def pocket_requests(count: int) -> list[Request]:
    task = Task.named("pocket")
    return [Request(sample, task.messages(sample)) for sample in task.samples("dev", limit=count)]
