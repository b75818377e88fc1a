"""The files of a run say their version, and those of every earlier version are read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from leaderboards import store
from leaderboards.compare import compare
from leaderboards.types import SCHEMA
from tasks.common.files import as_json, with_checksum, without_checksum


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with runs that version 1 of the files holds: two evaluations and a training."""
    shutil.copytree(Path(__file__).parent / "fixtures" / "runs_1", tmp_path / "runs")
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    return tmp_path / "runs"


def test_files_of_schema_1_are_read(stored: Path) -> None:
    gold, empty = (next(stored.glob(f"{name}-pocket-*")).name for name in ("gold", "empty"))
    assert [run.schema for run in store.runs()] == [1, 1, 1]
    found = store.records(gold)
    assert [(one.metric, one.reason) for one in found] == [(1.0, "correct")] * 4
    assert [one.database for one in found] == ["festival", "railway", "harbour", "festival"]
    assert json.loads(found[0].prompt)[-1]["role"] == "user" and found[0].sql == found[0].gold
    assert store.summary(empty)["ex"] == 0 and store.summary(gold)["n"] == 4
    compared = compare(empty, gold)
    assert (compared.all.wins, compared.all.losses) == (4, 0)
    (training,) = (run for run in store.runs() if run.kind == "train")
    assert [row["step"] for row in store.curve(training.id)] == [1, 2, 3, 4, 5]
    assert training.training["sft"]["rows"] == 2400


def test_files_of_a_newer_schema_are_left_out(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newer = next(stored.glob("gold-*"))
    content = without_checksum(json.loads((newer / "run.json").read_text()))
    (newer / "run.json").write_bytes(as_json(with_checksum({**content, "schema": SCHEMA + 1})))
    assert newer.name not in [run.id for run in store.runs()]
    assert f"left out run {newer.name}: its files have schema {SCHEMA + 1}" in capsys.readouterr().err
