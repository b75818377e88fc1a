"""What trackers hold of a training, read back by their own readers. Both work without a network."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import published_runs
import pytest
from test_live import ended

import harness
from harness.cli import main
from harness.provenance import lineage
from harness.spec import TrainSpec
from harness.training.tracking import REMOTE, Tracker, tracker_of
from leaderboards import store
from leaderboards.types import Run
from runners.training.config import GrpoConfig
from tasks.common.digests import digest_of
from tasks.common.errors import DataError, SpecError
from tasks.common.parse import parse

CURVE = [{"step": 1.0, "reward": 0.25, "loss": -0.5}, {"step": 2.0, "reward": 0.5, "loss": 0.125}]
PARENT, TRAINED = {"weights": "a1"}, {"weights": "b2"}


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, Run, str]:
    """A run of GRPO, an evaluation, and the task."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    task = published_runs.task(tmp_path)
    evaluation = published_runs.scored(tmp_path, task)
    spec = {"train": TrainSpec(model="base", task=task, method="grpo").model_dump(mode="json")}
    run = replace(
        evaluation,
        id="grpo-numbers-000001",
        kind="train",
        method="grpo",
        parent="base",
        parent_content=digest_of(PARENT),
        training={"grpo": {"rows": 8, "api_key": "sk-secret"}},
        spec={**evaluation.spec, **spec},
    )
    return run, evaluation, task


def track(library: str, training: tuple[Run, Run, str], out: Path) -> None:
    """What a training of two steps logs; the first one has scored answers."""
    run, evaluation, name = training
    task = harness.load_task(name)
    samples = task.samples("dev")[:3]
    texts = ["SELECT 0", "SELECT 7", "no SQL"]
    grades = harness.score(task, samples, texts)
    model = out / "model"
    model.mkdir(parents=True)
    (model / lineage.LINEAGE_FILE).write_text(json.dumps(asdict(lineage.of(run, name))))
    with Tracker(run, out, library) as tracker:
        tracker.step(CURVE[0], list(zip(samples, texts, grades, strict=True)))
        tracker.step(CURVE[1], [])
        tracker.trained(model, TRAINED)
        tracker.evaluated([evaluation], [evaluation])


def test_wandb_starts_after_its_process_has_ended(training: tuple[Run, Run, str], tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    track("wandb", training, tmp_path / "one")
    found = subprocess.run(["pgrep", "-P", str(os.getpid()), "wandb-core"], capture_output=True, text=True)
    assert found.stdout
    for number in map(int, found.stdout.split()):
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
    track("wandb", training, tmp_path / "two")
    assert list((tmp_path / "two").glob("wandb/offline-run-*/*.wandb"))


def test_an_offline_run_of_wandb(training: tuple[Run, Run, str], tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    run, evaluation, _ = training
    track("wandb", training, tmp_path / "out")
    (file,) = (tmp_path / "out").glob("wandb/offline-run-*/*.wandb")
    records = ended(file)
    (started,) = (record.run for record in records if record.HasField("run"))
    config = {item.key: json.loads(item.value_json) for item in started.config.update}
    assert (started.run_id, config["parent"], config["method"]) == (run.id, "base", "grpo")
    assert config["lineage"] == {"grpo": {"rows": 8, "api_key": "[key]"}}
    rows: list[dict[str, Any]] = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    figures = [{name: row[name] for name in CURVE[0] if name in row} for row in rows]
    assert figures == [*CURVE, {"step": 2.0}], "the evaluations are at the last step"
    ex = store.summary(evaluation.id)["ex"]
    assert (rows[2]["before/ex"], rows[2]["after/ex"]) == (ex, ex)
    artifacts = [record.artifact for record in records if record.HasField("artifact")]
    (model,) = (artifact for artifact in artifacts if artifact.type == "model")
    assert model.name == f"model-{digest_of(TRAINED)}"
    assert json.loads(model.metadata)["parent_artifact"] == f"model-{digest_of(PARENT)}"
    tables = {
        path.name.partition("_")[0]: json.loads(path.read_text())
        for path in (tmp_path / "out").glob("wandb/offline-run-*/files/media/table/*.json")
    }
    assert [row[1:4] for row in tables["answers"]["data"]] == [
        ["SELECT 0", 1.0, "correct"],
        ["SELECT 7", tables["answers"]["data"][1][2], "wrong_rows"],
        ["", 0.0, "no_sql"],
    ]
    assert [row[0] for row in tables["evaluations"]["data"]] == ["before", "after"]
    histogram = next(key for key in rows[0] if key.startswith("rewards"))
    assert rows[0][histogram]


@pytest.fixture
def trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    if importlib.util.find_spec("trackio") is None:
        pytest.skip("trackio is not installed: `make test` installs it")
    import trackio as library
    from trackio import sqlite_storage, utils

    for module in (library, sqlite_storage, utils):
        for name in ("TRACKIO_DIR", "MEDIA_DIR", "ARTIFACTS_DIR"):
            if hasattr(module, name):
                part = "" if name == "TRACKIO_DIR" else name.partition("_")[0].lower()
                monkeypatch.setattr(module, name, tmp_path / "trackio" / part)
    yield library


def test_a_run_of_trackio(
    trackio: Any, training: tuple[Run, Run, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    run, evaluation, _ = training
    track("trackio", training, tmp_path / "out")
    assert "rackio" not in capsys.readouterr().out
    (found,) = trackio.Api().runs("sql-harness")
    assert (found.name, found.config["method"]) == (run.id, "grpo")
    rows = trackio.sqlite_storage.SQLiteStorage.get_logs("sql-harness", run.id)
    assert [row["reward"] for row in rows if "reward" in row] == [0.25, 0.5]
    assert [row["step"] for row in rows if "reward" in row] == [1, 2]
    (last,) = (row for row in rows if "after/ex" in row)
    assert last["after/ex"] == store.summary(evaluation.id)["ex"]
    answers = next(row["answers"] for row in rows if "answers" in row)
    assert [row["reason"] for row in answers["_value"]] == ["correct", "wrong_rows", "no_sql"]


def test_the_old_setting_names_its_replacement() -> None:
    with pytest.raises(SpecError, match="wandb is now tracker: write tracker=wandb"):
        parse(GrpoConfig, {}, ["wandb=true"])


def steps_of(out: Path) -> list[float]:
    """The steps in all parts of an offline run, sorted."""
    rows = [row.history.item for file in out.glob("wandb/offline-run-*/*.wandb") for row in ended(file)]
    steps = [item for row in rows for item in row if "step" in (item.key, "/".join(item.nested_key))]
    return sorted(json.loads(item.value_json) for item in steps)


def test_a_resumed_training_logs_each_step_once_and_then_what_was_left(
    training: tuple[Run, Run, str], tmp_path: Path
) -> None:
    pytest.importorskip("wandb")
    evaluation, run = training[1], replace(training[0], ended="")
    out = tmp_path / "out"
    out.mkdir()
    with tracker_of("wandb", run, out) as tracker:
        assert tracker
        for row in CURVE:
            tracker.step(row, [])
    time.sleep(1.1)  # the second is part of the name of an offline run's folder
    with store.open_run(run) as writer:
        writer.append_curve(CURVE)
        with tracker_of("wandb", run, out) as tracker:
            assert tracker
            for row in (CURVE[1], {**CURVE[1], "step": 3.0}):
                tracker.step(row, [])
        made_by = writer.finish({}).id
    assert steps_of(out) == [1.0, 2.0, 3.0]
    time.sleep(1.1)
    with tracker_of("wandb", replace(run, id="another"), out, made_by) as tracker:
        assert tracker, "the evaluations are missing"
        tracker.evaluated([evaluation], [evaluation])
    assert steps_of(out) == [1.0, 2.0, 3.0, 3.0], "the evaluations are at the last step"
    for library, id_ in (("wandb", made_by), ("trackio", made_by), ("wandb", "another")):
        with tracker_of(library, run, out, id_) as tracker:
            assert tracker is None


def test_each_run_of_wandb_keeps_its_files_in_its_own_folder(
    training: tuple[Run, Run, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    monkeypatch.delenv("WANDB_DATA_DIR")
    monkeypatch.delenv("WANDB_CACHE_DIR", raising=False)
    for name in ("first", "second"):
        track("wandb", training, tmp_path / name)
        assert not {"WANDB_DATA_DIR", "WANDB_CACHE_DIR"} & os.environ.keys()
        assert list((tmp_path / name / "wandb").glob("artifacts/staging*"))


def test_wandb_writes_nothing_to_the_home(training: tuple[Run, Run, str], tmp_path: Path) -> None:
    """In a process of its own: wandb has one service for all runs of a process, which writes logs."""
    pytest.importorskip("wandb")
    home = tmp_path / "user"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "XDG"))}
    command = [sys.executable, "-m", "harness.cli", "export", training[1].id, "--to", "wandb"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")], env={**kept, "HOME": str(home)}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    assert [path for path in home.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("library", "variable", "value"),
    [("wandb", "WANDB_MODE", "nonsense"), ("trackio", "TRACKIO_SERVER_URL", "host?write_token=t0psecret")],
)
def test_a_tracker_that_cannot_start_is_refused_before_the_first_evaluation(
    library: str,
    variable: str,
    value: str,
    training: tuple[Run, Run, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip(library)
    monkeypatch.setenv(variable, value)
    known = {run.id for run in store.runs()}
    line = ["train", "--task", "pocket", "--method", "sft", "--model", "nano", "--out", str(tmp_path / "out")]
    settings = [f"train.tracker={library}", "train.max_steps=1", "train.batch_size=1"]
    assert main([*line, "--limit", "4", *(word for one in settings for word in ("--set", one))]) == 2
    shown = capsys.readouterr().err
    assert f"{library} cannot start a run: " in shown.splitlines()[-1]
    assert "t0psecret" not in shown and "Traceback" not in shown
    assert {run.id for run in store.runs()} == known


@pytest.mark.parametrize("variable", REMOTE)
def test_what_trackio_uploads_is_private_and_a_line_says_so(
    variable: str,
    training: tuple[Run, Run, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trackio = pytest.importorskip("trackio")
    asked: dict[str, Any] = {}

    def refused(**settings: Any) -> None:
        asked.update(settings)
        raise ValueError(f"no answer from {os.environ[variable]}")

    monkeypatch.setattr(trackio, "init", refused)
    monkeypatch.setenv(
        variable, {"TRACKIO_SPACE_ID": "me/sql"}.get(variable, "https://host/?write_token=t0p")
    )
    with pytest.raises(DataError, match=f"no answer from {variable}: unset {variable}"):
        Tracker(training[0], tmp_path, "trackio")
    shown = capsys.readouterr().err
    assert asked["private"] is True and "t0p" not in shown
    assert f"because {variable} is set" in shown and ("me/sql" in shown or "host" in shown)
