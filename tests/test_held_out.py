"""Evaluation questions do not become training data, wherever they come from."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli import main
from harness.spec import TrainSpec
from harness.training import rows
from tasks.task import Task

Capture = pytest.CaptureFixture[str]
TASK: dict[str, Any] = {
    "name": "mine",
    "dataset": {
        "path": "{split}.jsonl",
        "splits": {"train": "train", "dev": "dev", "test": "test", "more": "more", "mixed": "mixed"},
        "eval_split": "test",
    },
    "databases": {"path": "{database}.sqlite"},
}


EXAMPLES = ("--set", "prompt.examples.count=2", "--set", "prompt.template=cot")
EXAMPLES += ("--set", "dataset.train_split=test", "--set", "dataset.eval_split=dev")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three questions a split on two databases; ``mixed`` holds one of ``test``."""
    for name in ("farm", "zoo"):
        with sqlite3.connect(tmp_path / f"{name}.sqlite") as connection:
            connection.executescript(f"CREATE TABLE {name}_animal (name TEXT);")
    for split in ("train", "dev", "test", "more"):
        write(tmp_path / f"{split}.jsonl", [question(f"What is {split} {i}?") for i in range(3)])
    write(tmp_path / "mixed.jsonl", [question("What is more 9?"), question("what is  TEST 1")])
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(TASK))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return tmp_path


def question(text: str, database: str = "zoo") -> dict[str, Any]:
    return {"question": text, "query": "SELECT 1", "db_id": database}


def write(path: Path, found: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in found))


def row(text: str, shown: str = "zoo_animal(name text)", **labels: Any) -> dict[str, Any]:
    """A row for SFT whose prompt asks ``text`` of what ``shown`` describes."""
    prompt = [{"role": "system", "content": "SQL"}, {"role": "user", "content": f"{shown}\n\n{text}"}]
    return {"prompt": prompt, "completion": [{"role": "assistant", "content": "SELECT 1"}], **labels}


def trained(capsys: Capture, *more: str, method: str = "sft") -> str:
    """What a refused training says."""
    line = ["train", "--task", "mine.yaml", "--method", method, "--model", "nano", "--out", "out"]
    assert main([*line, "--no-eval", *more]) == 2
    *notes, error = capsys.readouterr().err.splitlines(keepends=True)
    assert all("are the same rows of one file" in note for note in notes)
    return error


@pytest.mark.parametrize("method", ["sft", "grpo"])
@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--split", "test"), "mine is evaluated on 'test': train on 'train'"),
        (("--split", "dev"), "the questions of 'dev' choose the best weights"),
        (("--split", "dev", "--set", "dataset.eval_split=dev"), "mine is evaluated on 'dev'"),
        (("--split", "test", "--set", "dataset.eval_split=dev"), "mine is evaluated on 'test'"),
        (("--set", "dataset.train_split=test"), "mine is evaluated on 'test'"),
        (("--set", "dataset.splits.train=test"), "3 of 3 training questions are questions that mine"),
        (("--split", "mixed"), "1 of 2 training questions are questions that mine is evaluated"),
        (
            ("--split", "more", *EXAMPLES),
            "training questions are questions that mine is evaluated on",
        ),
        (
            ("--set", "dataset.splits.my_test=more", "--split", "my_test"),
            "'my_test' has the name of an evaluation split",
        ),
    ],
)  # fmt: skip
def test_a_split_for_evaluation_is_not_trained_on(
    capsys: Capture, method: str, more: tuple[str, ...], says: str
) -> None:
    assert says in trained(capsys, *more, method=method)


@pytest.mark.parametrize(
    "found",
    [
        row("What is test 1?", task="mine", split="test"),
        row("What is test 1?", task="mine", split="train", database="zoo"),
        row("What is test 1?", task="other", split="x"),
        row("What is test 1?"),
        row("Question: what is TEST 1"),
        row("-- What is test 1?", "CREATE TABLE zoo_animal (name TEXT);"),
        row("What is train 1?\n\nQ: What is test 2?", "zoo_animal(name)\n"),
        row("Question: What is\ntest 2?"),
        row("<question>What is test 1?</question>"),
        row("1. What is test 1?"),
        row("What is test 1?", database="Zoo"),
        row("What is test 1?", shown=""),
        {**row("Answer."), "prompt": [{"role": "system", "content": "zoo_animal\nWhat is test 1?"}]},
    ],
)
def test_a_row_of_a_file_is_known_by_its_content(capsys: Capture, found: dict[str, Any]) -> None:
    write(Path("rows.jsonl"), [row("What is train 1?"), found])
    error = trained(capsys, "--data", "rows.jsonl")
    assert "rows.jsonl, line 2: " in error and "which mine is evaluated on" in error


@pytest.mark.parametrize(
    "found",
    [
        row("What is train 1?", task="mine", split="train", database="zoo"),
        row("What is test 1?", task="mine", split="train", database="farm"),
        row("What is test 1?", "farm_animal(name text)"),
        row("Of all the animals there are, what is test 1?"),
        row("What is test 1 in Texas?"),
    ],
)
def test_other_questions_and_the_same_words_of_another_database_are_allowed(
    found: dict[str, Any],
) -> None:
    write(Path("rows.jsonl"), [found])
    spec = TrainSpec(task="mine.yaml", method="sft", model="nano", data=("rows.jsonl",))
    assert len(rows.training_rows(spec, Task.named("mine.yaml"), [])) == 1


def test_what_a_datasets_own_splits_share_is_counted(capsys: Capture) -> None:
    write(Path("train.jsonl"), [question("What is train 1?"), question("What is test 1?")])
    spec = TrainSpec(task="mine.yaml", method="sft", model="nano")
    task = Task.named("mine.yaml")
    assert len(rows.questions(spec, task)) == 2
    assert "1 of 2 training questions of mine are also in the split" in capsys.readouterr().err
    write(Path("rows.jsonl"), [row("What is test 1?")])
    assert len(rows.training_rows(spec.model_copy(update={"data": ("rows.jsonl",)}), task, [])) == 1


def test_examples_do_not_come_from_the_split_that_is_measured(capsys: Capture) -> None:
    more = ["--set", "dataset.train_split=test", "--set", "prompt.examples.count=1"]
    more += ["--set", "prompt.template=cot"]
    assert main(["eval", "--task", "mine.yaml", "--model", "gold", *more]) == 2
    assert "is also the evaluation split" in capsys.readouterr().err


def test_the_file_may_declare_a_split_for_training_whatever_it_is_called() -> None:
    written = {**TASK, "dataset": {**TASK["dataset"], "train_split": "dev"}}
    Path("mine.yaml").write_text(yaml.safe_dump(written))
    spec = TrainSpec(task="mine.yaml", method="sft", model="nano", dev_limit=0)
    assert len(rows.questions(spec, Task.named("mine.yaml"))) == 3


@pytest.mark.parametrize(
    ("rows_", "says"),
    [
        (["a", "b", "a"], "rows 0 and 2 of 'test' have the same id 'a'"),
        (["", "b", ""], "row 0 has no value in the column 'id'"),
    ],
)
def test_an_id_that_two_rows_have_is_refused(capsys: Capture, rows_: list[str], says: str) -> None:
    write(Path("test.jsonl"), [question(f"What is {i}?") | {"id": one} for i, one in enumerate(rows_)])
    command = ["eval", "--task", "mine.yaml", "--model", "gold", "--set", "dataset.fields.id=id"]
    assert main(command) == 2
    assert says in capsys.readouterr().err


def test_a_row_that_stands_there_twice_is_asked_twice_and_reported(capsys: Capture) -> None:
    """As in BIRD's mini-dev, whose 500 rows have 498 ids."""
    write(Path("test.jsonl"), [question("What?") | {"id": "a"} for _ in range(3)])
    task = Task.named("mine.yaml", ["dataset.fields.id=id"])
    assert [sample.id for sample in task.samples()] == ["a", "a#2", "a#3"]
    assert "2 rows of 'test' repeat an earlier row word for word" in capsys.readouterr().err
