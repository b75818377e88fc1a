"""One changed byte in any input of a run makes a new run, which names the change; other changes do not.

Real runs through the command line: a task of files, gold answers, stored answers, and nano.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.cli import main
from harness.evaluation import Evaluation, evaluate
from harness.spec import EvalSpec
from leaderboards import store
from leaderboards.find import find
from leaderboards.identity import parsed
from rewards.grader import WORK, Grader
from rewards.version import scorer_version, sources
from runners.nano import FOLDER
from runners.replay import GoldRunner
from runners.types import Completion, Request, Sampling
from tasks.common.errors import DataError
from tasks.databases.sandbox.pool import Sandbox
from tasks.task import Task

ROOT = Path(__file__).parent.parent
TASK: dict[str, Any] = {
    "name": "mine",
    "dataset": {
        "path": "data/{split}.jsonl",
        "splits": {"train": "train", "dev": "dev"},
        "fields": {"evidence": "hint"},
        "where": {"kept": 1},
    },
    "databases": {"path": "data/{database}.sqlite"},
    "prompt": {"template": "mine.jinja", "examples": {"count": 1}, "system": "You write SQL."},
    "scoring": {"reward": "mine_reward:Mine", "seconds": 5},
}
REWARD = """
from mine_helper import NOTE
from rewards.composite import Execution
from rewards.types import Attempt, Score

class Mine:
    def __call__(self, attempt: Attempt) -> Score:
        return Score(attempt.verdicts["strict"], attempt.reason, NOTE)
"""
Edit = Callable[[Path], object]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a task of two questions on two databases, and stored answers to them."""
    place = tmp_path / "project"
    (place / "data").mkdir(parents=True)
    for name in ("one", "two", "unused"):
        with sqlite3.connect(place / "data" / f"{name}.sqlite") as connection:
            connection.executescript("CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1), (2);")
    row = {"query": "SELECT a FROM t", "hint": "", "kept": 1}
    rows = [row | {"question": f"What is {name}?", "db_id": name} for name in ("one", "two")]
    left_out = row | {"question": "Left out?", "db_id": "unused", "kept": 0}
    write_rows(place / "data" / "dev.jsonl", [*rows, left_out])
    train = [row | {"question": f"Example {i}?", "db_id": "one", "query": f"SELECT {i}"} for i in range(3)]
    write_rows(place / "data" / "train.jsonl", train)
    write_rows(place / "answers.jsonl", [{"id": str(i), "sql": "SELECT a FROM t"} for i in range(2)])
    (place / "rules.jinja").write_text("Answer in SQL.")
    (place / "mine.jinja").write_text(
        "{% include 'rules.jinja' %}\n{{ schema }}{{ evidence }}\n"
        "{% for one in examples %}{{ one.question }} {{ one.gold[0] }}{% endfor %}\n{{ question }}"
    )
    (place / "mine_reward.py").write_text(REWARD)
    (place / "mine_helper.py").write_text("NOTE = 'a'\n")
    (place / "mine.yaml").write_text(yaml.safe_dump(TASK))
    shutil.copytree(FOLDER, place / "runs" / "sft+grpo" / "model")
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))
    for module in ("mine_reward", "mine_helper"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return place


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def evaluated(capsys: Capture, model: str = "gold", *more: str, task: str = "mine.yaml") -> tuple[str, str]:
    """Id of the run that ``harness eval`` ends with, made or handed back, and what it printed to stderr."""
    capsys.readouterr()
    line = ["eval", "--model", model, "--task", task, "--workers", "1", "--trust-task", "--json"]
    assert main([*line, *more]) == 0
    printed = capsys.readouterr()
    (group,) = json.loads(printed.out)["groups"]
    return group["rows"][0]["run"], printed.err


def replaced(name: str, old: str, new: str) -> Edit:
    """Change some bytes of a file, but neither its size nor its times."""

    def edit(place: Path) -> None:
        path = place / name
        before, text = path.stat(), path.read_bytes()
        assert old.encode() in text and len(old) == len(new)
        path.write_bytes(text.replace(old.encode(), new.encode(), 1))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return edit


def cell(place: Path) -> None:
    with sqlite3.connect(place / "data" / "one.sqlite") as connection:
        connection.execute("UPDATE t SET a = 7 WHERE a = 2")


def nothing(_: Path) -> None:
    """Change nothing: the change is on the command line."""


@pytest.mark.parametrize(
    ("edit", "more", "printed"),
    [
        (replaced("data/dev.jsonl", "SELECT a", "SELECT A"), (), "mine's gold"),
        (replaced("data/dev.jsonl", "is one", "is One"), (), "mine's questions"),
        (replaced("data/dev.jsonl", '"hint": ""', '"hint":"x"'), (), "mine's questions"),
        (
            replaced("data/dev.jsonl", '"kept": 0', '"kept": 1'),
            (),
            "mine's questions, mine's gold and mine's database unused",
        ),
        (cell, (), "mine's database one"),
        (replaced("mine.jinja", "{{ question }}", "{{question  }}"), (), "mine's prompt"),
        (replaced("rules.jinja", "SQL.", "SQL!"), (), "mine's prompt"),
        (replaced("mine.yaml", "write SQL.", "write SQL!"), (), "mine's prompt"),
        (nothing, ("--set", "prompt.schema.format=ddl"), "mine's prompt"),
        (replaced("data/train.jsonl", "Example 0", "example 0"), (), "mine's few-shot examples"),
        (nothing, ("--set", "scoring.seconds=4"), "mine's scoring"),
        (nothing, ("--set", "scoring.reward=gated"), "mine's reward"),
        (replaced("mine_reward.py", '["strict"], ', '["strict"] ,'), (), "mine's reward"),
        (replaced("mine_helper.py", "'a'", "'b'"), (), "mine's reward"),
        (nothing, ("--set", "answer.stop=[x]"), "the settings of sampling"),
    ],
)
def test_a_changed_input_of_a_task_makes_a_new_run_and_is_named(
    project: Path, capsys: Capture, edit: Edit, more: tuple[str, ...], printed: str
) -> None:
    first, _ = evaluated(capsys)
    assert evaluated(capsys)[0] == first
    edit(project)
    second, error = evaluated(capsys, "gold", *more)
    assert second != first
    assert error.startswith(f"{printed} changed since run {first}: judging again\n")


@pytest.mark.parametrize("pick", ["fixed", "nearest"])
def test_the_order_of_examples_counts_and_that_of_questions_does_not(
    project: Path, capsys: Capture, pick: str
) -> None:
    """Rows with ids are written in another order; all questions have the same text."""
    more = ["--set", "dataset.fields.id=id", "--set", "prompt.examples.count=3"]
    more += ["--set", f"prompt.examples.pick={pick}"]
    found = {}
    for name in ("train", "dev"):
        file = project / "data" / f"{name}.jsonl"
        found[name] = [json.loads(line) | {"id": str(i)} for i, line in enumerate(file.open())]
        write_rows(file, found[name])
    first, _ = evaluated(capsys, "gold", *more)
    write_rows(project / "data" / "dev.jsonl", found["dev"][::-1])
    assert evaluated(capsys, "gold", *more) == (first, "")
    write_rows(project / "data" / "train.jsonl", found["train"][::-1])
    second, error = evaluated(capsys, "gold", *more)
    assert second != first and "mine's few-shot examples changed" in error


def test_stored_answers_count_with_their_column_and_without_ids_with_the_order_of_rows(
    project: Path, capsys: Capture
) -> None:
    write_rows(project / "two.jsonl", [{"id": str(i), "a": "SELECT 1", "b": "SELECT 2"} for i in range(2)])
    a, b = (evaluated(capsys, "replay:two.jsonl", "--set", f"runner.replay.column={one}")[0] for one in "ab")
    assert a != b
    (project / "lines.sql").write_text("SELECT a FROM t\nSELECT 1\nSELECT 2\n")
    rows = [json.loads(line) | {"id": f"q{i}"} for i, line in enumerate((project / "data/dev.jsonl").open())]
    write_rows(project / "data" / "dev.jsonl", rows)
    more = ("--set", "dataset.fields.id=id", "--set", "prompt.examples.count=0")
    first, _ = evaluated(capsys, "replay:lines.sql", *more)
    assert evaluated(capsys, "replay:lines.sql", *more) == (first, "")
    write_rows(project / "data" / "dev.jsonl", [rows[2], *rows[:2]])  # the row that is left out goes first
    second, error = evaluated(capsys, "replay:lines.sql", *more)
    assert second != first and "mine's questions changed" in error


def moved(place: Path) -> None:
    """Move all files to other names; write the YAML's keys in another order, with comments."""
    (place / "else" / "where").mkdir(parents=True)
    for name in ("data", "mine.jinja", "rules.jinja"):
        shutil.move(place / name, place / "else" / "where" / name)
    (place / "else" / "where" / "mine.jinja").rename(place / "else" / "where" / "other.jinja")
    task = yaml.safe_load((place / "mine.yaml").read_text())
    task["dataset"]["path"] = str(place / "else/where/data/{split}.jsonl")
    task["databases"]["path"] = str(place / "else/where/data/{database}.sqlite")
    task["prompt"]["template"] = str(place / "else/where/other.jinja")
    text = yaml.safe_dump(dict(reversed(task.items())), sort_keys=False)
    (place / "mine.yaml").write_text(f"# moved\n{text}")


def touched(place: Path) -> None:
    for path in place.rglob("*"):
        os.utime(path)


def unused(place: Path) -> None:
    """Change a database without rows, a row outside the filter, an example that no prompt shows."""
    with sqlite3.connect(place / "data" / "unused.sqlite") as connection:
        connection.execute("UPDATE t SET a = 7")
    replaced("data/dev.jsonl", "Left out", "left out")(place)


def copied(place: Path) -> None:
    shutil.copytree(place / "data", place / "copy")
    shutil.rmtree(place / "data")
    (place / "data").symlink_to("copy")


@pytest.mark.parametrize("edit", [moved, touched, unused, copied])
def test_an_irrelevant_change_makes_no_new_run(project: Path, capsys: Capture, edit: Edit) -> None:
    first, _ = evaluated(capsys)
    edit(project)
    assert evaluated(capsys) == (first, "")


def test_stored_answers_are_identified_by_their_content(project: Path, capsys: Capture) -> None:
    first, _ = evaluated(capsys, "replay:answers.jsonl")
    shutil.copy("answers.jsonl", "moved.jsonl")
    assert evaluated(capsys, "replay:moved.jsonl") == (first, "")
    replaced("answers.jsonl", "SELECT a", "SELECT b")(project)
    second, error = evaluated(capsys, "replay:answers.jsonl")
    assert second != first and f"answers's answers changed since run {first}: judging again" in error
    assert evaluated(capsys, "replay:moved.jsonl")[0] == first
    assert find("replay:moved.jsonl").id == first
    with pytest.raises(DataError, match=r"no finished evaluation 'replay:none\.jsonl'"):
        find("replay:none.jsonl")


def one_byte(name: str) -> Edit:
    """Change the last byte of a file's white space, weights or text."""

    def edit(place: Path) -> None:
        path = place / name
        content = bytearray(path.read_bytes())
        at = len(content) - 2 if path.suffix == ".safetensors" else content.index(b"\n")
        content[at] = content[at] ^ 1 if path.suffix == ".safetensors" else ord(" ")
        path.write_bytes(content)

    return edit


MODEL = "runs/sft+grpo/model"
SHORT = ("--limit", "1", "--max-new-tokens", "2")
short_context = replaced(f"{MODEL}/config.json", '_embeddings": 2048', '_embeddings": 128 ')
"""The attention of a model with a short context is compared sooner."""


@pytest.mark.parametrize(
    ("edit", "printed"),
    [
        (one_byte(f"{MODEL}/model.safetensors"), "weights"),
        (one_byte(f"{MODEL}/config.json"), "config"),
        (one_byte(f"{MODEL}/generation_config.json"), "generation config"),
        (one_byte(f"{MODEL}/tokenizer.json"), "tokenizer"),
        (replaced(f"{MODEL}/chat_template.jinja", "{% for message in", "{%for  message in"), "chat template"),
    ],
)
def test_a_changed_file_of_a_model_makes_a_new_run_and_is_named(
    project: Path, capsys: Capture, edit: Edit, printed: str
) -> None:
    short_context(project)
    first, _ = evaluated(capsys, MODEL, *SHORT)
    edit(project)
    second, error = evaluated(capsys, MODEL, *SHORT)
    assert second != first and f"runs/sft+grpo's {printed} changed since run {first}: judging again" in error


def test_a_copy_of_a_model_is_the_same_model(project: Path, capsys: Capture) -> None:
    """``nano`` itself, a copy with a plus in its path, a link, and a copy with a README and a checkpoint."""
    first, _ = evaluated(capsys, "nano", *SHORT)
    assert evaluated(capsys, MODEL, *SHORT)[0] == first
    (project / "link").symlink_to(MODEL)
    (project / MODEL / "README.md").write_text("new")
    (project / MODEL / "checkpoint-1").mkdir()
    (project / MODEL / "checkpoint-1" / "model.safetensors").write_text("other")
    assert evaluated(capsys, "link", *SHORT)[0] == first
    shutil.rmtree(project / MODEL)
    shutil.copytree(FOLDER, project / MODEL)
    one_byte(f"{MODEL}/model.safetensors")(project)
    assert evaluated(capsys, "link", *SHORT)[0] != first


def test_weights_count_in_the_folder_that_their_index_names(project: Path, capsys: Capture) -> None:
    from runners.weights import loading

    loaded, tokenizer = loading.load("nano")
    loaded.save_pretrained(project / "parts", max_shard_size="1MB")
    tokenizer.save_pretrained(project / "parts")
    index = project / "parts" / "model.safetensors.index.json"
    *_, last = sorted((project / "parts").glob("*.safetensors"))
    (project / "parts" / "below").mkdir()
    last.rename(project / "parts" / "below" / last.name)
    index.write_text(index.read_text().replace(last.name, f"below/{last.name}"))
    first, _ = evaluated(capsys, "parts", *SHORT)
    one_byte(f"parts/below/{last.name}")(project)
    second, error = evaluated(capsys, "parts", *SHORT)
    assert second != first and f"parts's weights changed since run {first}" in error


def test_a_copy_is_found_by_its_content_whatever_its_name(project: Path, capsys: Capture) -> None:
    first, _ = evaluated(capsys, MODEL, *SHORT)
    shutil.copytree(MODEL, "other+one/model")
    assert find("other+one/model").id == find("hf:other+one/model").id == first


def test_an_adapter_counts_with_its_base(project: Path, capsys: Capture) -> None:
    from peft import LoraConfig, get_peft_model

    from runners.weights import loading

    lora = LoraConfig(r=1, target_modules="all-linear", task_type="CAUSAL_LM")
    loaded: Any = loading.load("nano")[0]
    get_peft_model(loaded, lora).save_pretrained(project / "adapter")
    shutil.copytree(MODEL, "base")
    named, copied = "base+adapter", f"{MODEL}+else/adapter"
    first, _ = evaluated(capsys, named, *SHORT)
    shutil.copytree("adapter", "else/adapter")
    assert evaluated(capsys, copied, *SHORT)[0] == first
    one_byte("adapter/adapter_model.safetensors")(project)
    second, error = evaluated(capsys, named, *SHORT)
    assert f"base+adapter's adapter changed since run {first}" in error
    one_byte("base/model.safetensors")(project)
    third, error = evaluated(capsys, named, *SHORT)
    assert f"base+adapter's weights changed since run {second}" in error
    assert len({first, second, third}) == 3


def test_a_changed_module_of_the_scorer_makes_a_new_run(project: Path) -> None:
    """The packages are copied and run from the copy, like an installation."""
    for name in ("harness", "tasks", "rewards", "runners", "leaderboards"):
        shutil.copytree(ROOT / name, project / "code" / name, ignore=shutil.ignore_patterns("__pycache__"))
    line = [sys.executable, "-m", "harness.cli", "eval", "--model", "gold", "--task", "mine.yaml"]
    line += ["--trust-task", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(project / "code")}

    def run() -> tuple[str, str]:
        done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
        return json.loads(done.stdout)["groups"][0]["rows"][0]["run"], done.stderr

    first, _ = run()
    assert run()[0] == first
    with (project / "code" / "rewards" / "matching" / "numbers.py").open("a") as file:
        file.write("# changed\n")
    second, error = run()
    assert second != first and f"the scorer changed since run {first}: judging again" in error


def test_all_that_a_worker_loads_of_ours_is_part_of_the_scorers_version(project: Path) -> None:
    with Sandbox(1) as sandbox:
        ((_, loaded),) = sandbox.map("identity_jobs:loaded", [WORK])
    ours = {str(path) for path in sources()}
    packages = tuple(str(ROOT / name) for name in ("harness", "tasks", "rewards", "runners", "leaderboards"))
    found = {path for path in loaded if path.startswith(packages)}
    assert {"judge.py", "executor.py", "types.py"} <= {Path(path).name for path in found}
    assert {path for path in found if Path(path).name != "__init__.py"} - ours == set()
    code = "import sys, pkgutil, rewards\nfor one in pkgutil.walk_packages(rewards.__path__, 'rewards.'):\n"
    code += "    __import__(one.name)\n"
    code += "print(*(m.__file__ for m in list(sys.modules.values()) if getattr(m, '__file__', None)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    here = {path for path in done.stdout.split() if path.startswith(packages)}
    reads_specs = {"__init__.py", "spec.py", "databases_spec.py", "security.py", "about.py", "dataset.py"}
    assert {path for path in here if Path(path).name not in reads_specs} - ours == set()
    assert scorer_version("sqlite") != scorer_version("duckdb")


def test_runs_without_an_identity_are_shown_and_never_reused(project: Path, capsys: Capture) -> None:
    first, _ = evaluated(capsys)
    file = store.folder(first) / "run.json"
    old = json.loads(file.read_text())
    del old["identity"], old["parent_content"], old["crc32"], old["records_sha256"]
    file.write_text(json.dumps(old | {"digest": "0123456789ab", "scorer_version": "1", "task_digest": "0"}))
    second, error = evaluated(capsys)
    assert second != first and f"run {first} did not record its inputs: judging again" in error
    assert main(["board", "--json"]) == 0
    groups = json.loads(capsys.readouterr().out)["groups"]
    assert sorted(row["run"] for group in groups for row in group["rows"]) == sorted([first, second])


@pytest.mark.parametrize("found", [{}, [], "x", {"task": 1}, None, {"databases": {}}])
def test_an_invalid_identity_is_read_as_none(found: object) -> None:
    assert parsed(found) is None


def board(capsys: Capture) -> list[set[str]]:
    """The runs of each group of the board."""
    capsys.readouterr()
    assert main(["board", "--json"]) == 0
    groups = json.loads(capsys.readouterr().out)["groups"]
    return [{row["run"] for row in group["rows"]} for group in groups]


def compared(capsys: Capture, a: str, b: str) -> tuple[int, str]:
    capsys.readouterr()
    code = main(["compare", a, b, "--json"])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (replaced("data/dev.jsonl", "SELECT a", "SELECT A"), "they differ in the golds of the split"),
        (replaced("data/dev.jsonl", "is one", "is One"), "they differ in the questions of the split"),
        (cell, "they differ in the content of the database one"),
        (replaced("mine.yaml", "seconds: 5", "seconds: 4"), "they differ in the scoring settings"),
    ],
)
def test_runs_with_different_content_are_neither_ranked_nor_compared(
    project: Path, capsys: Capture, edit: Edit, says: str
) -> None:
    first, _ = evaluated(capsys)
    edit(project)
    second, _ = evaluated(capsys, "empty")
    assert sorted(map(list, board(capsys))) == sorted([[first], [second]])
    code, printed = compared(capsys, first, second)
    assert code == 2 and says in printed


def test_a_limit_or_another_prompt_does_not_change_the_content(project: Path, capsys: Capture) -> None:
    """A limited run covers fewer databases; the others may have changed since."""
    first, _ = evaluated(capsys)
    limited, _ = evaluated(capsys, "empty", "--limit", "1")
    assert board(capsys) == [{first, limited}]
    asked, _ = evaluated(capsys, "empty", "--set", "prompt.schema.format=ddl")
    assert {first, limited} in board(capsys) and {asked} in board(capsys)
    code, printed = compared(capsys, first, asked)
    assert code == 0 and json.loads(printed)["differ"] == ["the prompt"]
    replaced("data/two.sqlite", "INTEGER", "INTEGeR")(project)
    fresh, _ = evaluated(capsys)
    assert {fresh, limited} in board(capsys) and {first} in board(capsys)
    assert compared(capsys, limited, fresh)[0] == 0 and compared(capsys, first, fresh)[0] == 2


class Edits(GoldRunner):
    """Answers correctly, and changes a file meanwhile."""

    def __init__(self, edit: Edit, place: Path) -> None:
        self.edit, self.place = edit, place

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        self.edit(self.place)
        yield from super().generate(requests, sampling)


def test_a_file_that_changes_while_it_is_judged_ends_the_run_unfinished(project: Path) -> None:
    spec = EvalSpec(model="gold", task="mine.yaml")
    task = Task.named("mine.yaml", trust=True)
    with Grader(task.spec.scoring, workers=1) as grader:
        asked = Evaluation(spec, task, Edits(cell, project), grader)
        with pytest.raises(DataError, match="mine's database one changed during the evaluation"):
            evaluate(asked)
    assert [run.finished for run in store.runs()] == [False]
