"""SIGKILL of a training in two processes, its launcher or one of them: no process is left, no step lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
from test_training import curve, weights

from runners.nano import FOLDER

pytestmark = pytest.mark.slow

LAST = 8
TRAIN = ["--task", "pocket", "--model", "nano", "--limit", "32", "--no-eval", "--processes", "2"]
COMMON = {
    "dataset.splits": "{train: train}",  # no dev: the last weights are kept, not the best
    "train.max_steps": LAST,
    "train.save_every": 2,
    "train.learning_rate": "1e-3",
}
SETTINGS: dict[str, dict[str, object]] = {
    "sft": {"train.batch_size": 8, "train.micro_batch": 2},
    "grpo": {
        "train.prompts_per_step": 4,
        "train.group_size": 4,
        "train.micro_groups": 1,
        "train.max_new_tokens": 48,
        "train.refill": 4,
        "train.curriculum": "{}",
    },
}


def command(method: str, out: Path) -> list[str]:
    given = {**COMMON, **SETTINGS[method]}
    settings = [part for key, value in given.items() for part in ("--set", f"{key}={value}")]
    return [
        sys.executable,
        "-m",
        "harness.cli",
        "train",
        "--method",
        method,
        "--out",
        str(out),
        *TRAIN,
        *settings,
    ]


@pytest.fixture(scope="module")
def whole(pocket: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Undisturbed runs."""
    home = tmp_path_factory.mktemp("home")
    (home / pocket.name).symlink_to(pocket)
    for method in SETTINGS:
        subprocess.run(command(method, home / method), check=True, env=environment(home), cwd=home)
    return {method: home / method for method in SETTINGS}


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "HARNESS_HOME": str(home), "OMP_NUM_THREADS": "1"}


def killed(method: str, who: str, home: Path, steps: int) -> tuple[int, str]:
    """Start the training and kill its launcher, or a process, after so many steps; exit code and stderr."""
    out = home / "cut"
    running = subprocess.Popen(
        command(method, out), env=environment(home), cwd=home, stderr=subprocess.PIPE, text=True
    )
    family: list[psutil.Process] = []
    while running.poll() is None and (len(family) < 2 or done(out) < steps):
        time.sleep(0.02)
        family = psutil.Process(running.pid).children(recursive=True)
    ranks = {one.environ().get("RANK"): one for one in family if one.ppid() == running.pid}
    (running if who == "launcher" else ranks[who]).send_signal(signal.SIGKILL)
    printed = running.communicate(timeout=60)[1]
    _, left = psutil.wait_procs(family, timeout=60)
    assert not left, [one.cmdline() for one in left]
    assert not (out / "model").exists()
    return running.returncode, printed


def done(out: Path) -> int:
    return len(curve(out)) if (out / "curve.jsonl").is_file() else 0


def test_a_launcher_killed_at_once_leaves_no_process(home: Path) -> None:
    """The processes that it started have not yet asked to end with it."""
    assert killed("sft", "launcher", home, 0)[0] == -signal.SIGKILL


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("method", "who"), [("sft", "launcher"), ("sft", "0"), ("grpo", "launcher"), ("grpo", "1")]
)
def test_a_killed_training_goes_on_to_the_same_weights(
    whole: dict[str, Path], home: Path, method: str, who: str
) -> None:
    for steps in (3, 5):
        code, printed = killed(method, who, home, steps)
        if who == "launcher":
            assert code == -signal.SIGKILL
        else:
            assert code == 1 and printed.splitlines()[-1] == f"harness train: process {who} ended with -9"
            assert "Traceback" not in printed
    subprocess.run(command(method, home / "cut"), check=True, env=environment(home), cwd=home)
    one, other, start = (
        weights(folder) for folder in (whole[method] / "model", home / "cut" / "model", FOLDER)
    )
    assert all(torch.allclose(one[key], other[key], rtol=0, atol=1e-6) for key in one)
    assert any(not torch.allclose(one[key], start[key].float(), atol=1e-4) for key in start)
    assert figures(whole[method]) == figures(home / "cut") and len(curve(home / "cut")) == LAST


def figures(out: Path) -> list[dict[str, float]]:
    """The curve without times, and without the alarms, which look at the answers of one start."""
    return [
        {
            key: value
            for key, value in row.items()
            if not key.endswith("seconds") and not key.startswith("alarms")
        }
        for row in curve(out)
    ]
