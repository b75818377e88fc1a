"""The tutorial's commands run as they stand, and print what the page shows."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.reference import facts

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
PROGRAMS = {"harness": [sys.executable, "-m", "harness.cli"], "python": [sys.executable]}


def files() -> Iterator[tuple[str, str]]:
    """(path, text) of every file that the reader saves: its first line is a comment with its path."""
    for text in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S):
        yield text.splitlines()[0].removeprefix("# "), text


def steps() -> Iterator[tuple[list[list[str]], str]]:
    """The commands of every shell block, with the output that is shown after it."""
    for block, _, output in re.findall(r"^```sh\n(.*?)^```(\n+```\n(.*?)^```)?", PAGE, re.M | re.S):
        lines = block.replace("\\\n", " ").splitlines()
        yield [shlex.split(line) for line in lines if line.split(" ")[0] in PROGRAMS], output


def shapes(text: str) -> set[str]:
    """The lines of an output without what differs between machines and terminals."""
    lines = (line for line in text.splitlines() if not re.search("[▁▂▃▄▅▆▇█]", line))
    plain = (re.sub(r"\b[0-9a-f]{6,}\b|\d[\d.,]*", "#", re.sub("─+", "─", line)) for line in lines)
    return {" ".join(line.split()) for line in plain} - {"", "..."}


def run(words: list[str], folder: Path) -> str:
    program = [str(ROOT / word) if word.startswith("docs/") else word for word in words[1:]]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HARNESS_HOME": str(folder / "home")}
    command = [*PROGRAMS[words[0]], *program]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=False, text=True, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_tutorial_runs_and_prints_what_it_shows(tmp_path: Path) -> None:
    for name, text in files():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    compared = ""
    for commands, shown in steps():
        printed = "".join(run(words, tmp_path) for words in commands)
        missing = shapes(shown) - shapes(printed)
        assert len(missing) <= 0.2 * len(shapes(shown)), (commands, missing)
        compared = printed if "compare" in [words[1] for words in commands] else compared
    assert re.search(r"B - A\s+\+\d", compared)
    check_described(tmp_path)


def check_described(folder: Path) -> None:
    """The reference names every file and every figure that a training leaves."""
    for stage in ("sft", "grpo"):
        out = folder / "runs" / stage
        assert {path.name for path in out.iterdir()} <= facts.TRAINING_FILES.keys()
        rows = [json.loads(line) for line in (out / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
        figures = {re.sub(r"^(parts|alarms)/.*", r"\1/*", name) for row in rows for name in row}
        assert figures - facts.FIGURES.keys() <= {"crc32"}
    for run in (folder / "home" / "runs").iterdir():
        assert {path.name for path in run.iterdir()} <= facts.RUN_FILES.keys()


def test_the_tutorial_is_read() -> None:
    assert [name for name, _ in files()] == ["bookshop/task.yaml"]
    found = [(words[:2], bool(shown)) for commands, shown in steps() for words in commands]
    verbs = ["check", "eval", "train", "train", "compare", "board", "show"]
    assert found == [
        (["python", "docs/examples/bookshop/make.py"], True),
        *((["harness", verb], True) for verb in verbs),
    ]
