"""Ray Train starts the processes of a training: the same training, and lost workers cost no step."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

STEPS = 5
TRAIN = ("train", "--task", "pocket", "--method", "grpo", "--model", "nano", "--no-eval", "--limit", "16")
SMALL = ("prompts_per_step=4", "group_size=4", f"max_steps={STEPS}", "save_every=1")


def command(out: Path, on: str = "ray", processes: int = 2, changed: tuple[str, ...] = ()) -> list[str]:
    settings = [word for setting in (*SMALL, *changed) for word in ("--set", f"train.{setting}")]
    words = [*TRAIN, "--out", str(out), "--processes", str(processes), *["--on", on] * bool(on), *settings]
    return [sys.executable, "-m", "harness.cli", *words]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Each command starts a cluster of its own, and ends it."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    folder = tempfile.mkdtemp(prefix="hr-", dir="/tmp")  # names of sockets must be short
    monkeypatch.setenv("RAY_TMPDIR", folder)
    yield tmp_path
    shutil.rmtree(folder)
    left = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [words for words in left if any(folder in word for word in words)]


def curve(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]


@contextmanager
def started(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    stderr = (home / "stderr").open("w")
    with stderr, subprocess.Popen(command(home / "out"), stderr=stderr) as process:
        yield process


def wait_for_steps(out: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    file = out / "curve.jsonl"
    while not file.is_file() or len(curve(out)) < count:
        assert process.poll() is None, "the training ended before it could be disturbed"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same training under torch's launcher."""
    place = tmp_path_factory.mktemp("local")
    environment = {**os.environ, "HARNESS_HOME": str(place / "home")}
    assert subprocess.run(command(place / "out", on=""), env=environment).returncode == 0
    return place / "out"


def same_training(out: Path, local: Path) -> None:
    rows, expected = curve(out), curve(local)
    assert [row["reward"] for row in rows] == [row["reward"] for row in expected]
    weights, others = (load_file(path / "model" / "model.safetensors") for path in (out, local))
    assert weights.keys() == others.keys() and all(weights[key].equal(others[key]) for key in weights)


def test_the_same_weights_as_under_torchs_launcher(home: Path, local: Path) -> None:
    ran = subprocess.run(command(home / "out"), capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert f"grpo, {STEPS} steps" in ran.stdout
    same_training(home / "out", local)


def test_after_a_lost_worker_the_training_goes_on(home: Path, local: Path) -> None:
    with (
        (home / "stderr").open("w") as stderr,
        subprocess.Popen(command(home / "out"), stderr=stderr) as process,
    ):
        wait_for_steps(home / "out", 2, process)
        (worker, *_) = [p for p in psutil.process_iter() if "RayTrainWorker" in p.name() or _is_worker(p)]
        worker.kill()
    assert process.returncode == 0, (home / "stderr").read_text()
    same_training(home / "out", local)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "RayTrainWorker" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def test_ctrl_c_saves_and_the_same_command_continues(home: Path, local: Path) -> None:
    with (
        (home / "stderr").open("w") as stderr,
        subprocess.Popen(command(home / "out"), stderr=stderr) as process,
    ):
        wait_for_steps(home / "out", 2, process)
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130, (home / "stderr").read_text()
    assert 2 <= len(curve(home / "out")) < STEPS
    assert subprocess.run(command(home / "out")).returncode == 0
    same_training(home / "out", local)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"processes": 64, "changed": ("prompts_per_step=64",)}, "--processes 64 on a cluster with"),
        ({"on": "ray://127.0.0.1:9"}, "processes are started from a node of the cluster"),
        ({"changed": ("lora.targets=[nothing]",)}, "nothing"),
    ],
)
def test_a_user_error_is_one_line(home: Path, changes: dict[str, Any], says: str) -> None:
    ran = subprocess.run(command(home / "out", **changes), capture_output=True, text=True)
    assert ran.returncode == 2, ran.stderr
    assert says in ran.stderr.splitlines()[-1] and "Traceback" not in ran.stderr
