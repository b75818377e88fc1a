"""Asynchronous GRPO with a vLLM server on a CPU, run for real: `make test-vllm`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import async_training
import pytest
import vllm_models
from async_training import Recording, largest_gap, train
from test_training import curve

from runners.compat.trl_vllm import FolderClient
from runners.endpoints.vllm_server import VllmServer
from runners.open import open_runner
from runners.settings import RunnerConfig
from runners.training.config import AsyncSpec, CurriculumSpec, LoraSpec
from tasks.common.errors import ModelError

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
EXTRA = {"enforce_eager": True, "logprobs_mode": "processed_logprobs", "max_logprobs": -1}
SETTINGS = RunnerConfig.model_validate({"vllm": {"server": True, "extra": EXTRA}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return vllm_models.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def url(folder: str) -> Iterator[str]:
    """The URL of a server of the model, which accepts new weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VLLM_SERVER_DEV_MODE", "1")
        runner = open_runner(f"vllm:{folder}", SETTINGS)
    assert isinstance(runner, VllmServer)
    yield runner.url.removesuffix("/v1")
    runner.close()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"asynchronous": AsyncSpec(max_lag=2)},
        {"max_turns": 3, "temperature": 0.7},
        {"refill": 4, "curriculum": CurriculumSpec()},
        {"lora": LoraSpec(r=4, alpha=64)},
    ],
    ids=["plain", "lag 2", "turns", "refill", "lora"],
)
def test_vllm_draws_from_the_weights_that_the_lag_names(
    tmp_path: Path, folder: str, url: str, changes: dict[str, Any]
) -> None:
    Recording.weights, Recording.learned = {}, []
    config = async_training.ASYNC.model_copy(update=changes)
    train(folder, url, tmp_path, learning_rate=3e-2, **changes)
    rows = curve(tmp_path)
    assert config.asynchronous
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0]["lag"] == 0 and rows[0]["vllm_gap"] < 1e-4
    assert all(row["lag"] <= config.asynchronous.max_lag for row in rows)
    assert all(row["lag"] > 0 for row in rows[1:]) and max(row["vllm_gap"] for row in rows) > 1e-3
    assert rows[0]["overlap"] == 0 and max(row["overlap"] for row in rows) > 0
    for (step, groups), row in zip(Recording.learned if not config.lora else (), rows, strict=False):
        assert largest_gap(folder, step - int(row["lag"]), groups, config.temperature) < 1e-4


def test_a_killed_run_goes_on_with_every_prompt_once(tmp_path: Path, folder: str, url: str) -> None:
    out, learned = tmp_path / "out", tmp_path / "learned.jsonl"
    command = [sys.executable, async_training.__file__, folder, url, str(out)]
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(command, env=environment)
    while running.poll() is None and not (learned.is_file() and learned.read_text().count("\n") > 3):
        time.sleep(0.02)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL and not (out / "model").exists()
    subprocess.run(command, env=environment, check=True)
    found = [json.loads(line) for line in learned.read_text().splitlines()]
    steps = [step for step, _ in found]
    assert steps.count(0) == 1 and len(found) > 8, "it went on from a checkpoint, and repeated a step"
    prompts: dict[int, list[int]] = {}
    for step, chosen in found:
        assert prompts.setdefault(step, chosen) == chosen
    assert sorted(prompts) == [*range(8)]
    for epoch in (range(4), range(4, 8)):
        assert sorted(prompt for step in epoch for prompt in prompts[step]) == [*range(16)]
    assert [row["step"] for row in curve(out)] == [*range(1, 9)]


def test_a_server_that_keeps_its_weights_is_noticed(
    tmp_path: Path, folder: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FolderClient, "update_named_params", lambda *_: None)
    with pytest.raises(ModelError, match="does not have the model's weights"):
        train(folder, url, tmp_path, learning_rate=3e-2)
    assert len(curve(tmp_path)) < 3


def test_the_error_of_the_server_is_quoted(tmp_path: Path, folder: str, url: str) -> None:
    with pytest.raises(
        ModelError, match=f"the server at {url}: Request failed: 400, .*valid integer"
    ) as error:
        train(folder, url, tmp_path, {"extra": {"stop_token_ids": ["none"]}})
    assert "\n" not in str(error.value)
