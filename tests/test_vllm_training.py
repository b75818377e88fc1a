"""GRPO whose answers vLLM draws in the same process, run for real on a CPU: `make test-vllm`."""

import hashlib
import inspect
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import vllm_models
from test_training import GRPO, curve, letters, requests, weights
from test_training_vllm import odd_ones

from runners.compat import vllm
from runners.compat.trl_vllm import TrainingEngine
from runners.training.callbacks import Hooks
from runners.training.config import LoraSpec, SamplingVllm
from runners.training.grpo import train_grpo

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
ON_CPU = SamplingVllm(cpu=True)
RUN = {"max_steps": 3, "scheduler": "constant", "learning_rate": 3e-2, "max_new_tokens": 12}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return vllm_models.save(tmp_path_factory.mktemp("models") / "tiny")


def trained(folder: str, out: Path, **changes: Any) -> list[dict[str, float]]:
    config = GRPO.model_copy(update={**RUN, "vllm": ON_CPU, **changes})
    train_grpo(folder, requests(), letters, config, out, Hooks(feedback=odd_ones))
    return curve(out)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"lora": LoraSpec(r=4, alpha=64)},
        {"max_turns": 3},
        {"refill": 4},
        {"beta": 0.1, "temperature": 0.7},
    ],
    ids=lambda changes: " ".join(changes) or "plain",
)
def test_vllm_draws_from_the_model_of_every_step(
    tmp_path: Path, folder: str, changes: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    rows = trained(folder, tmp_path, **changes)
    assert len(rows) == 3
    assert max(row["vllm_gap"] for row in rows) < 1e-4
    assert all(row["vllm_ratio"] == pytest.approx(1, abs=1e-3) for row in rows)
    before, after = weights(folder), weights(tmp_path / "model")
    assert max((after[name] - before[name]).abs().max() for name in after) > 1e-2


def test_an_engine_without_new_weights_is_noticed(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(TrainingEngine, "sync_weights", lambda engine: None)
    first, *later = trained(folder, tmp_path)
    assert first["vllm_gap"] < 1e-4
    assert all(row["vllm_gap"] > 1e-2 for row in later)


def test_the_environment_is_left_as_it_was(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """vLLM preloads libraries into all later processes, such as those that execute queries."""
    import os

    before = dict(os.environ)
    trained(folder, tmp_path, max_steps=1, top_p=0.5, vllm=SamplingVllm(cpu=True, correction="none"))
    assert dict(os.environ) == before


def test_vllm_is_the_one_that_was_checked() -> None:
    from vllm.model_executor.layers import utils

    source = inspect.getsource(inspect.unwrap(utils.cpu_unquantized_gemm))
    found = hashlib.sha256(source.encode()).hexdigest()[:12]
    assert (version("vllm").partition("+")[0], found) == (vllm.CHECKED, "f399bc57bd3c")
