"""A training run that is cut off goes on where it was, and ends where an undisturbed one ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import tiny_models
import torch
from test_training import GRPO, SFT, curve, examples, letters, requests, weights

from runners.training.callbacks import Hooks
from runners.training.folder import RunFolder
from runners.training.grpo import train_grpo
from runners.training.sft import train_sft
from tasks.common.errors import ModelError

STEPS = {"max_steps": 8, "save_every": 3, "eval_every": 4}

SCRIPT = """
import os, signal, sys
from pathlib import Path
from test_training_resume import train
from runners.training.callbacks import Hooks

method, folder, out, last = sys.argv[1:]

def die(row):
    if row["step"] == int(last):
        os.kill(os.getpid(), signal.SIGKILL)

train(method, folder, Path(out), Hooks(on_step=die))
"""


def train(method: str, folder: str, out: Path, hooks: Hooks | None = None) -> None:
    if method == "sft":
        train_sft(folder, examples(), SFT.model_copy(update=STEPS), out, hooks)
    else:
        extra = {"shared_prefix": method == "grpo", "beta": 0.01}
        train_grpo(folder, requests(), letters, GRPO.model_copy(update=STEPS | extra), out, hooks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.save(tmp_path_factory.mktemp("models") / "tiny")


def same_end(first: Path, second: Path) -> None:
    one, other = weights(first / "model"), weights(second / "model")
    assert all(torch.allclose(one[key], other[key], atol=1e-6) for key in one)
    timeless = [
        [{key: value for key, value in row.items() if not key.endswith("seconds")} for row in curve(out)]
        for out in (first, second)
    ]
    assert timeless[0] == timeless[1] and len(timeless[0]) == 8


@pytest.mark.slow
@pytest.mark.parametrize("method", ["sft", "grpo", "grpo-stock"])
def test_a_killed_run_ends_with_the_weights_and_curve_of_an_undisturbed_one(
    tmp_path: Path, folder: str, method: str
) -> None:
    for last in ("5", "7"):  # killed after the first checkpoint, resumed, killed after the second
        arguments = [method, folder, str(tmp_path / "cut"), last]
        here = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
        killed = subprocess.run(
            [sys.executable, "-c", SCRIPT, *arguments], env={**os.environ, "PYTHONPATH": here}, check=False
        )
        assert killed.returncode == -signal.SIGKILL
    (tmp_path / "cut" / "checkpoints" / "checkpoint-99").mkdir()  # as if it had died while saving
    train(method, folder, tmp_path / "cut")
    train(method, folder, tmp_path / "whole")
    same_end(tmp_path / "cut", tmp_path / "whole")


@pytest.mark.parametrize("method", ["sft", "grpo"])
def test_ctrl_c_ends_the_step_and_the_run_goes_on_later(tmp_path: Path, folder: str, method: str) -> None:
    def interrupt(row: Mapping[str, float]) -> None:
        if row["step"] == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(method, folder, tmp_path / "cut", Hooks(on_step=interrupt))
    assert len(curve(tmp_path / "cut")) == 5
    assert not (tmp_path / "cut" / "model").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    train(method, folder, tmp_path / "cut")
    train(method, folder, tmp_path / "whole")
    same_end(tmp_path / "cut", tmp_path / "whole")


def test_the_best_weights_are_kept_over_a_resume(tmp_path: Path, folder: str) -> None:
    def interrupt(row: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    config = SFT.model_copy(update={"max_steps": 4, "eval_every": 1})
    with pytest.raises(KeyboardInterrupt):
        train_sft(folder, examples(), config, tmp_path, Hooks(evaluate=lambda model: 1.0, on_step=interrupt))
    result = train_sft(folder, examples(), config, tmp_path, Hooks(evaluate=lambda model: 0.5))
    assert (result.best_step, result.best, result.steps) == (1, 1.0, 4)


def test_a_finished_run_is_returned_without_training(tmp_path: Path, folder: str) -> None:
    first = train_sft(folder, examples(), SFT, tmp_path)
    steps: list[object] = []
    assert train_sft(folder, examples(), SFT, tmp_path, Hooks(on_step=steps.append)) == first
    assert not steps


def test_a_folder_of_another_run_is_refused_and_says_what_differs(tmp_path: Path, folder: str) -> None:
    train_sft(folder, examples(), SFT.model_copy(update={"max_steps": 1}), tmp_path)
    with pytest.raises(ModelError, match=r"config\.learning_rate = 0\.005, this one has 0\.1"):
        train_sft(folder, examples(), SFT.model_copy(update={"max_steps": 1, "learning_rate": 0.1}), tmp_path)
    with pytest.raises(ModelError, match="with rows = "):
        train_sft(folder, examples(16), SFT.model_copy(update={"max_steps": 1}), tmp_path)


def test_a_half_written_checkpoint_and_a_half_written_row_are_dropped(tmp_path: Path) -> None:
    run = RunFolder(tmp_path, {"method": "sft"})
    for step, whole in ((3, True), (12, True), (15, False)):
        (run.checkpoints / f"checkpoint-{step}").mkdir(parents=True)
        if whole:
            (run.checkpoints / f"checkpoint-{step}" / "complete").touch()
    last = run.last_checkpoint()
    assert last is not None and last.name == "checkpoint-12"
    assert not (run.checkpoints / "checkpoint-15").exists()
    rows = [json.dumps({"step": step}) for step in range(1, 15)]
    (tmp_path / "curve.jsonl").write_text("\n".join(rows) + '\n{"step": 15, "lo')
    run.truncate_curve(12)
    assert [row["step"] for row in run.curve()] == list(range(1, 13))
