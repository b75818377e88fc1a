"""What other programs are given: prime-rl's config, as the docs show it."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from harness.adapters.lm_eval import LmEvalTask
from harness.cli import main
from tasks.task import Task

PAGE = Path(__file__).parent.parent / "docs" / "how-to" / "verifiers.md"


def test_the_example_in_the_docs_is_what_the_command_writes(capsys: pytest.CaptureFixture[str]) -> None:
    (shown,) = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert main(["export", "prime-rl", "--task", "spider", "--turns", "3"]) == 0
    assert capsys.readouterr().out == shown
    config = tomllib.loads(shown)
    for part, split in (("train", "train"), ("eval", "dev")):
        (source,) = config["orchestrator"][part]["source"]
        assert source["env"]["turns"] == 3
        assert source["env"]["taskset"] == {
            "id": "harness_sql",
            "spec": "spider",
            "split": split,
            "overrides": [],
            "trust": False,
        }


def test_a_task_of_one_s_own_is_named_by_its_whole_path(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / 'my "task".yaml'
    path.write_text("name: mine\ndataset: {path: x.json, splits: {train: a, dev: b}}\n")
    line = ["export", "prime-rl", "--task", str(path), "--set", "answer.max_new_tokens=7", "--model", "o/m"]
    assert main(line) == 0
    config = tomllib.loads(capsys.readouterr().out)
    (source,) = config["orchestrator"]["train"]["source"]
    assert source["env"]["taskset"]["spec"] == str(path)
    assert source["env"]["taskset"]["overrides"] == ["answer.max_new_tokens=7"]
    assert config["orchestrator"]["train"]["sampling"]["max_completion_tokens"] == 7
    assert config["model"]["name"] == "o/m"


HOSTILE = [
    '"""; import os; os.system("touch PWNED"); """',
    'it\'s \\ a "name"\nimport os  # {0} {name} %s',
    "..outside\\..\\",
    "caf\u00e9 \u96ea \U0001f600 \u202e\x7f\x9b[2J",
    "-rf",
    "[/nope] :m: {{ 7 * 7 }}",
]


def hostile_task(folder: Path, name: str) -> Path:
    """A task of one question in which every free text is hostile."""
    (folder / "rows.json").write_text(
        json.dumps([{"question": name, "query": "SELECT 1", "db_id": name, "ddl": "CREATE TABLE t(a)"}])
    )
    path = folder / "task.yaml"
    spec = {
        "name": name,
        "dataset": {
            "path": str(folder / "rows.json"),
            "splits": {name: "x"},
            "fields": {"ddl": "ddl"},
            "eval_split": name,
            "train_split": name,
        },
        "prompt": {"system": name},
        "answer": {"stop": [name]},
    }
    path.write_text(yaml.safe_dump(spec))
    return path


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text_in_the_folder_for_lm_eval(name: str, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    exported = LmEvalTask(Task.named(str(hostile_task(tmp_path, name))))
    exported.write_folder(out)
    assert {path.parent for path in tmp_path.rglob("harness_*")} == {out}
    source = (out / f"{exported.name}.py").read_text()
    ast.parse(source)
    code = "import sys, importlib; sys.path.insert(0, '.'); m = importlib.import_module(sys.argv[1])"
    shown = f"{code}; import json; print(json.dumps(m.documents()[sys.argv[2]][0]))"
    ran = subprocess.run(
        [sys.executable, "-c", shown, exported.name, name], cwd=out, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    row = json.loads(ran.stdout.splitlines()[-1])
    assert (row["question"], row["database"], row["system"]) == (name, name, name)
    assert not list(tmp_path.rglob("PWNED"))
    settings = (out / f"{exported.name}.yaml").read_text().replace("!function ", "")
    assert yaml.safe_load(settings)["test_split"] == name


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text_in_toml(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = hostile_task(tmp_path, name)
    line = ["export", "prime-rl", "--task", str(task), f"--model={name}", "--set", "answer.max_new_tokens=7"]
    assert main(line) == 0
    shown = capsys.readouterr().out
    assert not set(shown) & {"\x1b", "\x9b", "\x7f", "\u202e"}
    config = tomllib.loads(shown)
    (source,) = config["orchestrator"]["train"]["source"]
    assert (config["model"]["name"], source["name"], source["env"]["taskset"]["split"]) == (name, name, name)
