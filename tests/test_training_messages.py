"""What a training prints: zero-advantage groups, alarms over a resume, and what to type at the end."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from test_training import curve

from harness.cli import main
from harness.demo import DemoRuns, next_commands
from harness.evaluation import evaluate_model
from harness.recipes import NANO
from harness.render.output import command
from harness.spec import EvalSpec
from harness.training.alarms import STEPS, TrainingAlarms
from leaderboards import store
from rewards.types import Attempt, Grade, Reason
from runners.training.config import GrpoConfig, SftConfig, rows_used, total_steps
from tasks.types import Mode, Sample

ROOT = Path(__file__).parent.parent
SIZES = {
    "prompts_per_step": 4,
    "group_size": 2,
    "micro_groups": 4,
    "max_new_tokens": 16,
    "learning_rate": 1e-3,
}


def train(out: Path, **settings: object) -> list[str]:
    given = [
        word for name, value in (SIZES | settings).items() for word in ("--set", f"train.{name}={value}")
    ]
    line = [
        "train",
        "--task",
        "pocket",
        "--method",
        "grpo",
        "--model",
        "nano",
        "--out",
        str(out),
        "--no-eval",
    ]
    return [*line, "--limit", "64", "--workers", "1", "--set", "dataset.splits={train: train}", *given]


@pytest.mark.parametrize(
    ("config", "rows", "taken", "came_to"),
    [
        (GrpoConfig(max_steps=60, prompts_per_step=64), 12_000, 60, 3_840),
        (GrpoConfig(epochs=2, prompts_per_step=32), 320, 20, 320),
        (GrpoConfig(max_steps=8, prompts_per_step=4, num_iterations=2), 320, 8, 16),
        (SftConfig(epochs=2, batch_size=32), 2_400, 150, 2_400),
        (SftConfig(max_steps=3, batch_size=8), 100, 3, 24),
    ],
)
def test_a_run_says_how_many_steps_it_takes_and_how_many_questions_it_comes_to(
    config: GrpoConfig | SftConfig, rows: int, taken: int, came_to: int
) -> None:
    assert (total_steps(config, rows), rows_used(config, rows)) == (taken, came_to)


def test_zero_advantage_steps_are_warned_of_once_and_measured(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alarms = TrainingAlarms("none", Mode.STRICT)
    for step in range(1, STEPS + 3):
        signs = alarms.step({"step": step, "idle": 1.0})
        printed = capsys.readouterr().err
        assert signs["alarms/no_spread"] == 1.0
        assert ("train.temperature or train.group_size" in printed) is (step == STEPS)
    assert "have zero advantage" in alarms.summary()["warnings"][0] and not capsys.readouterr().err
    for step in range(9, 9 + STEPS):
        signs = alarms.step({"step": step, "idle": 0.5})
    assert signs["alarms/no_spread"] == 0.5 and alarms.summary()["warnings"] == []


def test_a_short_run_of_zero_advantage_warns_at_its_end(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alarms = TrainingAlarms("none", Mode.STRICT)
    alarms.step({"step": 1, "idle": 1.0})
    assert not capsys.readouterr().err
    alarms.summary()
    assert "100% of the groups of the last 1 steps" in capsys.readouterr().err


def test_alarms_continue_from_their_checkpoint(home: Path) -> None:
    def measured(alarms: TrainingAlarms, step: int) -> dict[str, float]:
        samples = [Sample(f"{step}-{i}", "?", "d", ("SELECT 1",)) for i in range(12)]
        attempt = Attempt(
            "SELECT 1", Reason.CORRECT, verdicts={"strict": 1.0}, gold_rows=1, gold_columns=step % 2
        )
        texts = [f"SELECT {i % 3}" for i in range(12)]
        order = (1, -1)[step % 2]  # groups are scored in any order
        scored = [(sample, text, Grade(attempt, {})) for sample, text in zip(samples, texts, strict=True)]
        return alarms.step({"step": step, "idle": step / 10}, scored[::order])

    whole = TrainingAlarms("none", Mode.STRICT)
    expected = [measured(whole, step) for step in range(6)]
    cut = TrainingAlarms("none", Mode.STRICT)
    before = [measured(cut, step) for step in range(3)]
    resumed = TrainingAlarms("none", Mode.STRICT)
    resumed.restore(json.loads(json.dumps(cut.state())))
    assert before + [measured(resumed, step) for step in range(3, 6)] == expected
    assert "alarms/repeated" in expected[3]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_an_alarm_stops_a_killed_and_resumed_run_at_the_step_of_an_undisturbed_one(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """``repeated`` needs 20 questions: five steps of four, three of them before the kill."""
    settings: dict[str, Any] = {"max_steps": 9, "save_every": 3, "stop_if": '["alarms/repeated > 0 for 2"]'}
    assert main(train(home / "whole", **settings)) == 2
    cut = home / "cut"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", *train(cut, **settings)], cwd=home, env=env
    )
    while not (cut / "checkpoints/checkpoint-3/complete").is_file() and running.poll() is None:
        time.sleep(0.02)
    running.kill()
    assert running.wait() == -signal.SIGKILL
    assert main(train(cut, **settings)) == 2
    printed = capsys.readouterr().err
    assert printed.count("stop_if: alarms/repeated > 0 for 2") == 2
    one, two = (
        [(row["step"], row.get("alarms/repeated"), row["alarms/no_spread"]) for row in curve(out)]
        for out in (home / "whole", cut)
    )
    assert one == two and one[-1][0] == 6


@pytest.mark.slow
def test_training_without_evaluations_ends_with_the_model_and_the_next_command(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = train(home / "run", max_steps=2, temperature=0.001)
    assert main([*asked, "--json"]) == 0
    shown = capsys.readouterr()
    assert "Warning" not in shown.err and "have zero advantage" in shown.err
    found = json.loads(shown.out)
    assert found["stages"][0]["steps"] == 2 and found["stages"][0]["model"] == str(home / "run" / "model")
    assert set(found["stages"][0]) >= {"reward", "loss", "best_step", "method"}
    assert found["next"].endswith(
        f"eval --model {home}/run/model --task pocket --set 'dataset.splits={{train: train}}'"
    )
    assert main(asked) == 0  # nothing is trained again
    lines = capsys.readouterr().out.splitlines()
    assert (
        lines[0].startswith(f"{home}/run/model: grpo, 2 steps, reward ")
        and lines[1] == f"next: {found['next']}"
    )


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_closing_commands_of_the_demo_run_as_they_are_printed(home: Path) -> None:
    """Each is given to a shell that knows nothing but PATH, in the folder of the checkout."""
    spec = EvalSpec(model="nano", task="pocket", limit=12)
    runs = DemoRuns(*(evaluate_model(spec.model_copy(update={"seed": seed}), (), 1) for seed in range(3)))
    runs = DemoRuns(*store.runs()) if len(store.runs()) == 3 else runs
    for line in next_commands(NANO, runs):
        done = subprocess.run(
            ["sh", "-c", line], cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
        )
        assert done.returncode == 0 and done.stdout, (line, done.stderr)


def test_a_printed_command_names_its_program_and_home(
    tmp_path: Path, pocket: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Printed by the program in a virtual environment that is not active, and copied from there."""
    program = Path(sys.executable).with_name("harness")
    code = (
        "import sys\nfrom harness.render.output import command\n"
        f"sys.argv[0] = {str(program)!r}\nprint(command('tasks'))"
    )
    for home, begins in (("a home", "HARNESS_HOME='a home' "), ("", "")):
        env = {"PATH": "/usr/bin:/bin"} | ({"HARNESS_HOME": home} if home else {})
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True)
        line = done.stdout.strip()
        assert line.startswith(begins) and line.endswith("harness tasks"), done.stderr
        assert shlex.split(line)[-2] in (".venv/bin/harness", str(program), "harness")
    monkeypatch.setenv("HARNESS_DATA", "/my data")
    assert "HARNESS_DATA='/my data' " in command("check", "spider")
    assert "HARNESS_DATA" not in command("board")
    assert command("board").split()[-2:] == ["harness.cli", "board"]  # under pytest: by the interpreter
