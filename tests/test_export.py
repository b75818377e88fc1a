"""What other programs are given: prime-rl's config, as the docs show it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from harness.cli import main

PAGE = Path(__file__).parent.parent / "docs" / "models.md"


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
