"""Asynchronous GRPO without vLLM: settings, the queue, and training with an engine that keeps old weights."""

import signal
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import async_training
import pytest
import tiny_models
from async_training import Recording, largest_gap
from test_training import curve, letters, requests
from test_training_vllm import odd_ones
from transformers import AutoModelForCausalLM

from harness.spec import TrainSpec
from runners.compat import trl
from runners.training import grpo, requirements
from runners.training import policy as policies
from runners.training.callbacks import Hooks, TrainingCallback
from runners.training.config import AsyncSpec, CurriculumSpec, GrpoConfig, SamplingVllm
from runners.training.engine import SamplingSettings, generate
from runners.training.folder import RunFolder
from runners.training.run import run_training
from runners.types import Reward
from runners.weights import loading
from tasks.common.errors import ModelError, SpecError
from tasks.common.parse import parse
from tasks.types import Sample

SERVER = SamplingVllm(mode="server", cpu=True, correction="token_truncate")
ASYNC = async_training.ASYNC.model_copy(update={"vllm": SERVER})


def test_the_setting_is_named_async() -> None:
    spec = {"task": "pocket", "method": "grpo", "model": "nano"}
    parsed = parse(TrainSpec, spec, ["grpo.async={max_lag: 2}"])
    assert parsed.grpo.asynchronous == AsyncSpec(max_lag=2)
    assert TrainSpec.model_validate(parsed.model_dump(mode="json")) == parsed
    with pytest.raises(SpecError, match=r"async\.max_lag: Input should be greater than or equal to 1"):
        parse(TrainSpec, spec, ["grpo.async={max_lag: 0}"])


@pytest.mark.parametrize(
    ("changes", "world", "says"),
    [
        ({"vllm": None}, 1, "train.async draws answers with a vLLM server .*: set train.vllm.mode=server"),
        ({"vllm": SamplingVllm(cpu=True)}, 1, "set train.vllm.mode=server, or unset train.async"),
        ({"vllm": SamplingVllm(mode="server", correction="none")}, 1, "train.vllm.correction=token_truncate"),
        ({"num_iterations": 2}, 1, "num_iterations is 2: set train.num_iterations=1"),
        ({}, 2, "trains in one process, not in 2: leave out --processes"),
    ],
)
def test_what_cannot_be_asynchronous_is_refused(changes: dict[str, Any], world: int, says: str) -> None:
    with pytest.raises(ModelError, match=says) as error:
        requirements.check(ASYNC.model_copy(update=changes), world)
    assert "\n" not in str(error.value)


def rollout_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "rollouts" and thread.is_alive()]


class Engine:
    """In the place of TRL's ``VLLMGeneration``: the model with the weights that were sent last."""

    folder: ClassVar[str] = ""
    fails_at: ClassVar[int] = -1

    def __init__(self, model: Any, temperature: float, max_completion_length: int, **_: Any) -> None:
        self.trained = model
        self.model = AutoModelForCausalLM.from_pretrained(self.folder)
        self.settings = SamplingSettings(
            temperature, 1.0, max_completion_length, (tiny_models.tokenizer().eos_token_id,)
        )
        self.calls = 0

    def sync_weights(self) -> None:
        self.model.load_state_dict({name: one.clone() for name, one in self.trained.state_dict().items()})

    def generate(self, prompts: Any, images: Any, num_generations: int, profiler: Any) -> Any:
        self.calls += 1
        if self.calls == self.fails_at:
            raise ModelError("train.vllm: the server at http://x: Request failed: 500, out of memory")
        drawn = generate(self.model, [list(prompt) for prompt in prompts], self.settings, 0)
        logprobs = [[[value] for value in answer.logprobs] for answer in drawn]
        return prompts, [answer.tokens for answer in drawn], logprobs, None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.save(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    Engine.folder, Engine.fails_at = folder, -1
    Recording.weights, Recording.learned = {}, []
    monkeypatch.setattr(trl, "TrainingEngine", Engine)


def judged(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
    """As ``letters``; right with an e, so that pass rates change."""
    return [
        replace(one, correct=float("e" in text))
        for one, text in zip(letters(samples, texts), texts, strict=True)
    ]


def trained(folder: str, config: GrpoConfig, out: Path, on_step: Any = None) -> None:
    """``train_grpo`` behind its checks, which want a server; TRL asks no server of ``mode: colocate``."""
    config = config.model_copy(update={"vllm": SamplingVllm(correction="token_truncate")})
    run = RunFolder(out, {})
    callback = TrainingCallback(run, config, Hooks(on_step=on_step, feedback=odd_ones, trainer=Recording))
    source, policy = policies.load_policy(folder, config, run)
    tokenizer = loading.load_tokenizer(source)
    trainer = grpo.make_trainer(policy, tokenizer, requests(), judged, callback)
    run_training(trainer, source, callback, {"curriculum": trainer.inputs.chooser})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"asynchronous": AsyncSpec(max_lag=3)},
        {"max_turns": 3},
        {"refill": 4, "curriculum": CurriculumSpec()},
    ],
    ids=["plain", "lag 3", "turns", "refill"],
)
def test_each_batch_comes_from_the_weights_that_its_lag_names(
    tmp_path: Path, folder: str, changes: dict[str, Any]
) -> None:
    config = ASYNC.model_copy(update={"learning_rate": 3e-2, **changes})
    trained(folder, config, tmp_path)
    rows = curve(tmp_path)
    assert config.asynchronous
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[0]["lag"] == 0 and all(row["lag"] <= config.asynchronous.max_lag for row in rows)
    assert config.asynchronous.max_lag > 1 or all(row["lag"] == 1 for row in rows[1:])
    assert rows[0]["overlap"] == 0 and all(0 <= row["overlap"] <= 1 for row in rows)
    assert rows[0]["vllm_gap"] < 1e-5 and max(row["vllm_gap"] for row in rows) > 1e-3
    for row in rows:
        assert row["learning_seconds"] + row["waiting_seconds"] == pytest.approx(row["seconds"], abs=1e-4)
    for (step, groups), row in zip(Recording.learned, rows, strict=True):
        assert largest_gap(folder, step - int(row["lag"]), groups) < 1e-4
    step, groups = Recording.learned[-1]
    assert largest_gap(folder, step, groups) > 1e-3, "the weights that are named matter"


class Stop(Exception):
    """Ends a training as a kill does: nothing is saved."""


@pytest.mark.parametrize("curriculum", [None, CurriculumSpec(memory=0.9)], ids=["even", "curriculum"])
def test_a_run_that_ended_goes_on_with_the_prompts_that_were_drawn(
    tmp_path: Path, folder: str, curriculum: CurriculumSpec | None
) -> None:
    config = ASYNC.model_copy(update={"max_steps": 8, "save_every": 2, "curriculum": curriculum})

    def stop(row: Mapping[str, float]) -> None:
        time.sleep(0.1)  # by now the next step's answers are drawn and scored
        if row["step"] == 3:
            raise Stop

    with pytest.raises(Stop):
        trained(folder, config, tmp_path, stop)
    assert not rollout_threads()
    trained(folder, config, tmp_path)
    prompts = [(step, [group.prompt for group in groups]) for step, groups in Recording.learned]
    assert [step for step, _ in prompts] == [0, 1, 2, 2, 3, 4, 5, 6, 7] and prompts[2] == prompts[3]
    assert [row["lag"] for row in curve(tmp_path)] == [0, 1, 0, 1, 1, 1, 1, 1]
    if not curriculum:
        asked = [index for _, chosen in dict(prompts).items() for index in chosen]
        assert sorted(asked) == sorted([*range(16)] * 2)


def test_an_error_while_answers_are_drawn_ends_the_run(tmp_path: Path, folder: str) -> None:
    Engine.fails_at = 4
    with pytest.raises(ModelError, match="the server at http://x: Request failed: 500, out of memory"):
        trained(folder, ASYNC, tmp_path)
    assert len(curve(tmp_path)) == 3 and not rollout_threads()


def test_ctrl_c_ends_the_step_and_saves_it(tmp_path: Path, folder: str) -> None:
    def interrupt(row: Mapping[str, float]) -> None:
        if row["step"] == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trained(folder, ASYNC, tmp_path, interrupt)
    assert len(curve(tmp_path)) in (2, 3) and not rollout_threads()
    done = len(curve(tmp_path))
    assert (tmp_path / "checkpoints" / f"checkpoint-{done}" / "complete").is_file()
    trained(folder, ASYNC, tmp_path)
    assert [row["step"] for row in curve(tmp_path)] == [1, 2, 3, 4, 5, 6]
