"""Trainings, folders and lineage are identified by content, wherever it is."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli import main
from harness.provenance import lineage
from harness.spec import TrainSpec
from harness.training import rows
from leaderboards import store
from runners.nano import FOLDER
from runners.training.config import CurriculumSpec, GrpoConfig
from tasks.common.errors import DataError
from tasks.task import Task

Capture = pytest.CaptureFixture[str]
SPLITS = ("train", "dev", "test")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    with sqlite3.connect("zoo.sqlite") as connection:
        connection.executescript("CREATE TABLE animal (name TEXT); INSERT INTO animal VALUES ('owl');")
    for split in SPLITS:
        found = [
            {"question": f"What is {split} {i}?", "query": "SELECT name FROM animal", "db_id": "zoo"}
            for i in range(4)
        ]
        Path(f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    spec = {
        "name": "mine",
        "dataset": {
            "path": "{split}.jsonl",
            "splits": {one: one for one in SPLITS},
            "eval_split": "test",
        },
        "databases": {"path": "{database}.sqlite"},
        "answer": {"max_new_tokens": 2},
    }
    Path("mine.yaml").write_text(yaml.safe_dump(spec))
    shutil.copytree(FOLDER, "base")
    return tmp_path


def trained(out: str, *more: str, model: str = "base") -> int:
    line = ["train", "--task", "mine.yaml", "--method", "sft", "--model", model, "--out", out, "--no-eval"]
    return main([*line, "--set", "train.max_steps=1", "--set", "train.batch_size=4",
                 "--set", "train.micro_batch=4", *more])  # fmt: skip


def trainings() -> list[str]:
    return [run.id for run in store.runs() if run.kind == "train"]


def edit(name: str, old: str, new: str) -> None:
    text = Path(name).read_text()
    assert old in text
    Path(name).write_text(text.replace(old, new, 1))


def other_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)


@pytest.mark.slow
def test_a_finished_training_is_reused_by_its_content(capsys: Capture) -> None:
    """Unchanged, then moved with its base, then with changes."""
    assert trained("out") == 0
    first = trainings()
    assert len(first) == 1
    assert trained("out") == 0
    Path("elsewhere").mkdir()
    shutil.move("out", "elsewhere/moved")
    shutil.move("base", "elsewhere/base")
    assert trained("elsewhere/moved", model="elsewhere/base") == 0
    assert trainings() == first

    for name, old, new, says in (
        ("train.jsonl", "SELECT name", "SELECT NAME", "mine's gold"),
        ("dev.jsonl", "What is dev 0", "What is Dev 0", "the training's dev questions"),
    ):
        kept = Path(name).read_text()
        edit(name, old, new)
        assert trained("elsewhere/moved", model="elsewhere/base") == 2
        assert f"{says} changed since the training in elsewhere/moved began" in capsys.readouterr().err
        Path(name).write_text(kept)
    other_byte(Path("elsewhere/base/model.safetensors"))
    assert trained("elsewhere/moved", model="elsewhere/base") == 2
    assert "elsewhere/base's weights changed since the training in" in capsys.readouterr().err


def test_a_note_describes_the_files_that_it_was_written_beside(capsys: Capture) -> None:
    note = lineage.Lineage(method="sft", parent="base", task="mine", run="run-1")
    lineage.write(Path("base"), note)
    assert lineage.read(Path("base")).run == "run-1"
    shutil.copytree("base", "copy")
    assert lineage.read(Path("copy")).run == "run-1"
    other_byte(Path("copy/model.safetensors"))
    assert lineage.read(Path("copy")) == lineage.Lineage()
    assert "copy/harness.json describes other files than those in the folder" in capsys.readouterr().err


def test_files_alone_need_no_training_split() -> None:
    edit("mine.yaml", "train: train", "more: train")
    prompt = [{"role": "user", "content": "What is an owl?"}]
    row = {"prompt": prompt, "completion": [{"role": "assistant", "content": "SELECT 1"}]}
    Path("rows.jsonl").write_text((json.dumps(row) + "\n") * 4)
    assert trained("out", "--data", "rows.jsonl") == 0


def curriculum() -> Any:
    config = GrpoConfig(curriculum=CurriculumSpec(run="gold"))
    spec = TrainSpec(task="mine.yaml", method="grpo", model="base", grpo=config)
    task = Task.named("mine.yaml")
    return rows.training_rows(spec, task, rows.questions(spec, task))


@pytest.mark.parametrize(
    ("name", "old", "new", "says"),
    [
        ("train.jsonl", "SELECT name", "SELECT NAME", "the golds of the split"),
        ("train.jsonl", "What is train 1", "What was train 1", "the questions of the split"),
        ("zoo.sqlite", "", "", "the content of the database zoo"),
        ("mine.yaml", "answer:", "scoring: {seconds: 3}\nanswer:", "the scoring settings"),
    ],
)
def test_a_curriculum_starts_from_an_evaluation_of_the_same_content(
    name: str, old: str, new: str, says: str
) -> None:
    asked = ["eval", "--task", "mine.yaml", "--model", "gold", "--split", "train", "--workers", "1"]
    assert main(asked) == 0
    assert [one.passes for one in curriculum()] == [(1, 1)] * 4
    if old:
        edit(name, old, new)
    else:
        with sqlite3.connect(name) as connection:
            connection.execute("INSERT INTO animal VALUES ('cat')")
    with pytest.raises(DataError, match=f"there is a change in {says}: evaluate again"):
        curriculum()
    assert main(asked) == 0
    assert [one.passes for one in curriculum()] == [(1, 1)] * 4


EDITS = """
import sqlite3
from rewards.types import Attempt, Score

class Edits:
    def __call__(self, attempt: Attempt) -> Score:
        with sqlite3.connect("zoo.sqlite") as connection:
            connection.execute("INSERT INTO animal VALUES ('hen')")
        connection.close()
        return Score(0.5, attempt.reason)
"""


@pytest.mark.slow
def test_a_database_that_changes_during_a_training_is_named(capsys: Capture) -> None:
    Path("edits.py").write_text(EDITS)
    line = [
        "train",
        "--task",
        "mine.yaml",
        "--method",
        "grpo",
        "--model",
        "base",
        "--out",
        "out",
        "--no-eval",
    ]
    settings = (
        "scoring.reward=edits:Edits",
        "train.max_steps=1",
        "train.prompts_per_step=2",
        "train.group_size=2",
    )
    more = [part for setting in settings for part in ("--set", setting)]
    assert main([*line, "--trust-task", "--workers", "1", *more]) == 0
    assert "the content of zoo changed during the training" in capsys.readouterr().err
    (run,) = store.runs()
    assert run.finished and store.scores(run.id)["changed_databases"] == ["zoo"]
