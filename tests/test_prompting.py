"""Few-shot examples, chain of thought and evidence: their source, the prompt, and the record."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from leaderboards import store
from tasks.common.errors import DataError, SpecError
from tasks.common.parse import parse
from tasks.examples import Examples
from tasks.spec import ExamplesSpec, TaskSpec
from tasks.task import Task
from tasks.types import Sample

TRAIN = [
    "How many members joined in 2020?",
    "Which branch has the most members?",
    "List the names of all members.",
    "What is the average price of a book?",
    "Which books were never borrowed?",
]
DEV = ["Which books were borrowed most?", "How many members joined?"]


@pytest.fixture
def yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.execute("CREATE TABLE t(x INTEGER)")
    connection.close()
    for split, questions in {"train": TRAIN, "dev": DEV}.items():
        rows = [
            {"question": q, "query": f"SELECT {i}", "db_id": "d", "id": f"{split}-{i}", "hint": f"Hint {i}"}
            for i, q in enumerate(questions)
        ]
        (tmp_path / split).with_suffix(".json").write_text(json.dumps(rows))
    path = tmp_path / "task.yaml"
    path.write_text(
        f"name: few\ndataset:\n  path: {tmp_path}/{{split}}.json\n  splits: {{train: train, dev: dev}}\n"
        f"  fields: {{id: id, evidence: hint}}\ndatabases: {{path: '{tmp_path}/{{database}}.sqlite'}}\n"
    )
    return path


@pytest.fixture
def shown(yaml: Path) -> Callable[..., str]:
    """The prompt of the first dev question."""

    def prompt(*overrides: str) -> str:
        task = Task.named(str(yaml), overrides)
        return task.messages(task.samples()[0])[-1]["content"]

    return prompt


def test_nearest_examples_come_before_the_question_the_nearest_last(
    shown: Callable[..., str],
) -> None:
    found = shown("prompt.examples.count=2", "prompt.examples.pick=nearest", "prompt.evidence=false")
    assert found == (
        "t(x integer)\n\n"
        "Which branch has the most members?\nSELECT 1\n\n"
        "Which books were never borrowed?\nSELECT 4\n\n"
        "Which books were borrowed most?"
    )


def test_fixed_examples_are_the_same_for_every_question_and_change_with_the_seed(yaml: Path) -> None:
    def picks(seed: int) -> set[tuple[str, ...]]:
        task = Task.named(str(yaml), ["prompt.examples.count=3", f"prompt.examples.seed={seed}"])
        return {tuple(one.id for one in task.examples(sample)) for sample in task.samples()}

    assert len(picks(0)) == 1
    assert len(set.union(*(picks(seed) for seed in range(8)))) > 1


@pytest.mark.parametrize("pick", ["fixed", "nearest"])
def test_an_example_is_never_the_question_itself(yaml: Path, pick: str) -> None:
    task = Task.named(str(yaml), ["prompt.examples.count=4", f"prompt.examples.pick={pick}"])
    for sample in task.samples("train"):
        picked = task.examples(sample)
        assert len(picked) == 4 and sample not in picked
        assert all(one.id.startswith("train-") for one in picked)


def test_the_same_question_again_is_no_example_but_on_another_database_it_is() -> None:
    def sample(id: str, question: str, database: str = "d") -> Sample:
        return Sample(id, question, database, ("SELECT 1",))

    known = [sample("a", "how  many?"), sample("b", "How many?", "e"), sample("c", "Other words")]
    picked = Examples(ExamplesSpec(count=3, pick="nearest"), known).pick(sample("x", "How many?"))
    assert [one.id for one in picked] == ["c", "b"]


def test_no_shared_word_no_crash(yaml: Path) -> None:
    task = Task.named(str(yaml), ["prompt.examples.count=2", "prompt.examples.pick=nearest"])
    assert len(task.examples(Sample("x", "???", "d", ("SELECT 1",)))) == 2


def test_without_examples_the_training_split_is_not_read(yaml: Path) -> None:
    yaml.with_name("train.json").unlink()
    task = Task.named(str(yaml))
    assert task.messages(task.samples()[0])
    with pytest.raises(DataError, match=r"train\.json"):
        task = Task.named(str(yaml), ["prompt.examples.count=1"])
        task.messages(task.samples()[0])


def test_a_task_without_a_training_split_has_no_examples(tmp_path: Path, yaml: Path) -> None:
    yaml.write_text(yaml.read_text().replace("train: train, ", ""))
    task = Task.named(str(yaml), ["prompt.examples.count=1"])
    with pytest.raises(DataError, match="no split 'train'"):
        task.messages(task.samples()[0])


def test_a_template_without_examples_is_one_line(tmp_path: Path, shown: Callable[..., str]) -> None:
    (tmp_path / "mine.jinja").write_text("{{ schema }} {{ question }}")
    with pytest.raises(SpecError, match="shows no examples: loop over 'examples'"):
        shown(f"prompt.template={tmp_path}/mine.jinja", "prompt.examples.count=1")


@pytest.mark.parametrize("template", ["plain", "instruct", "cot"])
def test_evidence_is_on_or_off(shown: Callable[..., str], template: str) -> None:
    assert "Hint 0" in shown(f"prompt.template={template}")
    assert "Hint 0" not in shown(f"prompt.template={template}", "prompt.evidence=false")


@pytest.mark.parametrize("template", ["instruct", "cot"])
def test_chat_templates_show_examples_in_the_answers_form(shown: Callable[..., str], template: str) -> None:
    found = shown(f"prompt.template={template}", "prompt.examples.count=5")
    assert found.count("```sql\nSELECT ") == 5
    assert "\n\n\n" not in found
    bare = shown(f"prompt.template={template}")
    assert "answered rightly" not in bare and "\n\n\n" not in bare


def test_a_chain_of_thought_is_read_from_its_last_block(tmp_path: Path, yaml: Path) -> None:
    """A thought that quotes a wrong query first is judged by its last one; the record has the examples."""
    thought = "First try:\n```sql\nSELECT 99\n```\nNo: the count.\n```sql\nSELECT {}\n```"
    rows = [{"id": f"dev-{i}", "completion": thought.format(i)} for i in range(2)]
    answers = tmp_path / "answers.jsonl"
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = ["eval", "--model", f"replay:{answers}", "--task", str(yaml), "--workers", "1"]
    settings = ["prompt.template=cot", "prompt.examples.count=2", "prompt.examples.pick=nearest"]
    assert main([*line, *(part for one in settings for part in ("--set", one))]) == 0
    records = store.records(store.runs()[-1].id)
    assert [(one.sql, one.metric) for one in records] == [("SELECT 0", 1.0), ("SELECT 1", 1.0)]
    assert [json.loads(one.examples) for one in records] == [["train-1", "train-4"], ["train-2", "train-0"]]
    assert "Which books were never borrowed?" in json.loads(records[0].prompt)[0]["content"]


@pytest.mark.parametrize(
    ("override", "message"), [("count=-1", "count"), ("pick=near", "nearest"), ("cont=1", "count")]
)
def test_wrong_settings_name_the_key(yaml: Path, override: str, message: str) -> None:
    data: dict[str, Any] = {"name": "x", "dataset": {"path": "p", "splits": {"dev": "x"}}}
    with pytest.raises(SpecError, match=message):
        parse(TaskSpec, data, [f"prompt.examples.{override}"])
