"""Two processes over gloo learn what one does; what cannot be divided is one line."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from safetensors.torch import load_file
from test_training import curve, weights
from training_processes import train

from harness.cli import main
from harness.training import launch
from runners.training import requirements
from runners.training.config import GrpoConfig, LoraSpec, SamplingVllm
from runners.training.distributed import per_pass
from runners.training.plan import Workload, model_shape, plan
from runners.weights.loading import load
from tasks.common.errors import HarnessError, ModelError

METHODS = ("grpo", "grpo-batch", "grpo-refill", "grpo-turns", "sft")
FIGURES = (
    *("reward", "no_spread", "loss", "tokens", "expected", "length", "clipped", "turns", "idle"),
    *("entropy", "kl", "token_accuracy"),
)
SHARDED = ("grpo-fsdp2", "lora-fsdp2", "sft-fsdp2")
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _both(tmp_path_factory.mktemp("processes"), METHODS)


@pytest.fixture(scope="module")
def sharded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _both(tmp_path_factory.mktemp("sharded"), SHARDED)


def _both(place: Path, methods: tuple[str, ...]) -> Path:
    """``one`` and ``two``: the same trainings by one process and by two."""
    folder = tiny_models.save(place / "tiny")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    paths = os.pathsep.join([str(HERE), str(HERE.parent)])
    running = subprocess.Popen(
        [*torchrun, str(HERE / "training_processes.py"), folder, str(place / "two"), *methods],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )
    for method in methods:
        train(method, folder, place / "one" / method)
    assert running.wait() == 0
    return place


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_have_the_first_gradient_of_one(both: Path, method: str) -> None:
    same_gradient(both, method)


@pytest.mark.slow
@pytest.mark.parametrize("method", SHARDED)
def test_sharded_processes_have_the_first_gradient_of_one(sharded: Path, method: str) -> None:
    same_gradient(sharded, method)


def same_gradient(place: Path, method: str) -> None:
    one, two = (load_file(place / name / method / "gradient.safetensors") for name in ("one", "two"))
    scale = torch.cat([grad.flatten() for grad in one.values()]).norm()
    apart = torch.cat([(one[key] - two[key]).flatten() for key in one]).norm()
    assert scale > 0 and apart / scale < 1e-5


@pytest.mark.parametrize("method", ["grpo", "grpo-batch", "grpo-turns", "sft"])
def test_and_after_three_steps_the_weights_and_curve_of_one(both: Path, method: str) -> None:
    same_end(both, method)


@pytest.mark.slow
@pytest.mark.parametrize("method", SHARDED)
def test_and_sharded_ones_too_stopped_in_between_and_evaluated(sharded: Path, method: str) -> None:
    same_end(sharded, method)
    model, _ = load(str(sharded / "two" / method / "model"))
    assert model(input_ids=torch.arange(9)[None]).logits.isfinite().all()
    rows = [row.get("dev") is not None for row in curve(sharded / "two" / method)]
    assert rows == [method == "grpo-fsdp2"] * 3


def same_end(place: Path, method: str) -> None:
    one, two = (weights(place / name / method / "model") for name in ("one", "two"))
    start = weights(place / "tiny")
    assert one.keys() == two.keys()
    moved, apart = (
        sum(float((one[key] - other[key]).square().sum()) for key in one) ** 0.5 for other in (start, two)
    )
    assert apart < 1e-3 * moved
    for first, second in zip(curve(place / "one" / method), curve(place / "two" / method), strict=True):
        for figure in FIGURES:
            assert first.get(figure) == pytest.approx(second.get(figure), abs=1e-4), figure


def test_figures_of_several_turns_and_idle_passes_are_of_all_processes(both: Path) -> None:
    for row in curve(both / "two" / "grpo-turns"):
        assert 1 < row["turns"] < 3 and row["length"] > 6 and row["idle"] >= 0.25
    first, *_ = curve(both / "two" / "grpo-turns")
    own = 4 * 4 * first["length"]
    assert first["tokens"] > own and first["entropy"] > 1


def test_a_refill_changes_no_figure_of_what_was_asked_first(both: Path) -> None:
    one, two = (curve(both / name / "grpo-refill")[0] for name in ("one", "two"))
    for figure in ("reward", "no_spread", "length", "clipped", "unscored"):
        assert one[figure] == pytest.approx(two[figure], abs=1e-5), figure


def test_every_process_may_ask_further_prompts(both: Path) -> None:
    rows = curve(both / "two" / "grpo-refill")
    assert all(row["asked"] in (4, 6, 8) for row in rows) and any(row["asked"] > 4 for row in rows)


@pytest.mark.parametrize(
    ("whole", "micro", "count", "says"),
    [
        (8, 4, 2, 4),
        (8, 4, 4, 2),
        (8, 16, 1, 8),
        (4, 2, 8, "prompts 4 cannot be divided among 8 processes: set a multiple of 8"),
        (12, 4, 2, "prompts 12, 6 for each of 2 processes, is no multiple of micro 4"),
        (12, 5, 1, "prompts 12 is no multiple of micro 5"),
    ],
)
def test_a_step_is_divided_evenly_or_refused(whole: int, micro: int, count: int, says: int | str) -> None:
    if isinstance(says, int):
        assert per_pass(whole, micro, count, ("prompts", "micro")) == says
    else:
        with pytest.raises(ModelError, match=says):
            per_pass(whole, micro, count, ("prompts", "micro"))


@pytest.mark.parametrize(
    ("count", "recipe", "asked"), [(0, "", 1), (2, "", 2), (0, "8x80gb", 8), (4, "8x80gb", 4)]
)
def test_a_recipe_says_how_many_by_default(count: int, recipe: str, asked: int) -> None:
    assert launch.process_count(count, recipe) == asked


TRAIN = ["train", "--task", "pocket", "--method", "grpo", "--no-eval", "--limit", "16"]
SMALL = ["--set", "train.prompts_per_step=4", "--set", "train.group_size=4", "--set", "train.save_every=1"]


def test_more_processes_than_prompts_is_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--model", "nano", "--out", str(home / "x"), "--processes", "8", *SMALL]
    assert main([*TRAIN, *out]) == 2
    assert "prompts_per_step 4 cannot be divided among 8 processes" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*TRAIN, *out, "--processes", "0"])
    assert "'0' is not a positive number" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "world", "says"),
    [
        ({}, 1, "fsdp2 shards weights over processes: add --processes N"),
        ({"lora": LoraSpec(four_bit=True)}, 2, "4-bit weights are not sharded"),
        ({"vllm": SamplingVllm()}, 2, "train.vllm takes whole weights: set train.sharding=none"),
        ({"deepspeed": "ds.json"}, 2, "train.sharding or train.deepspeed, not both"),
    ],
)
def test_what_cannot_be_sharded_is_one_line(changes: dict[str, Any], world: int, says: str) -> None:
    with pytest.raises(ModelError, match=says):
        requirements.check(GrpoConfig().model_copy(update={"sharding": "fsdp2", **changes}), world)


def test_a_plan_counts_the_parts_of_sharded_weights() -> None:
    model, load = model_shape(tiny_models.model().config), Workload(0, 0, processes=8)
    full = GrpoConfig(prompts_per_step=8, micro_groups=1)
    sharded = full.model_copy(update={"sharding": "fsdp2"})
    assert plan(model, full, load).static == (4 + 8 + 2 * 4) * model.weights
    copies = 2 * model.linear  # autocast makes them in a pass
    assert plan(model, full, replace(load, prompt=8, answer=1)).memory["learning"] > copies
    assert plan(model, sharded, load).static == pytest.approx((2 + 4 / 8 + 4 + 12 / 8) * model.weights, abs=2)


@pytest.mark.parametrize(
    ("text", "world", "says"),
    [
        (None, 2, "train.deepspeed: no file"),
        ("{", 2, "is not JSON"),
        ('{"zero_optimization": {"stage": 3}}', 2, "stage 3.*train.sharding=fsdp2"),
        ('{"zero_optimization": {"stage": 2}}', 1, "add --processes N"),
        ('{"zero_optimization": {"stage": 2}}', 2, "pip install -e '..deepspeed.'"),
    ],
)
def test_a_deepspeed_file_that_cannot_be_used_is_one_line(
    tmp_path: Path, text: str | None, world: int, says: str
) -> None:
    path = tmp_path / "ds.json"
    if text is not None:
        path.write_text(text)
    if "pip" in says and find_spec("deepspeed"):
        pytest.skip("deepspeed is installed here")
    with pytest.raises(HarnessError, match=says):
        requirements.check(GrpoConfig(deepspeed=str(path)), world)


@pytest.mark.slow
def test_one_failing_process_ends_all_with_one_line(home: Path) -> None:
    (home / "paying.py").write_text(
        "import os\n"
        "from rewards.types import Attempt, Reason, Score\n"
        "class Broken:\n"
        "    def __call__(self, attempt: Attempt) -> Score:\n"
        "        assert os.environ['RANK'] == '0', 'not here'\n"
        "        return Score(0.5, Reason.CORRECT)\n"
    )
    command = [*TRAIN, "--model", "nano", "--out", str(home / "x"), "--processes", "2", *SMALL]
    ended = _run([*command, "--set", "scoring.reward=paying:Broken", "--trust-task"], home)
    assert ended.returncode == 2 and "Traceback" not in ended.stderr
    lines = [line for line in ended.stderr.splitlines() if line.startswith("harness train:")]
    assert lines == ["harness train: scoring.reward: paying:Broken raised AssertionError: not here"]


def _run(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *command], cwd=home, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_ctrl_c_keeps_a_checkpoint_and_the_same_command_goes_on(home: Path) -> None:
    out = home / "run"
    command = [*TRAIN, "--model", "nano", "--out", str(out), "--processes", "2", *SMALL]
    command += ["--set", "train.max_steps=40", "--set", "train.eval_every=1000"]
    running = subprocess.Popen([sys.executable, "-m", "harness.cli", *command], cwd=home)
    while not list(out.glob("checkpoints/*/complete")) and running.poll() is None:
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    assert running.wait() == 130
    before = len(curve(out))
    assert 0 < before < 40 and not (out / "model").exists()
    assert _run(command, home).returncode == 0
    assert [row["step"] for row in curve(out)] == list(range(1, 41))
    assert json.loads((out / "training.json").read_text())["result"]["steps"] == 40
