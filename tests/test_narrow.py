"""Tables in a narrow terminal: no line is wider than it, and no figure is cut or split."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import replace
from fcntl import ioctl
from pathlib import Path

import pytest
from rich.cells import cell_len
from test_leaderboards_store import RUN, record

from harness.cli import main
from leaderboards import store, tags
from leaderboards.summary import summary

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parent.parent
MODELS = [
    "nano",
    "Qwen/Qwen3-0.6B-Instruct-2507",
    "runs/experiment_name_without_any_break_at_all_0123456789/grpo/model",
    "\u65e5\u672c\u8a9e" * 12,
]
TASKS = {
    "spider": [""],
    "parts": ["seen", "unseen"],
    "many": ["a-" * 12, "seen", "unseen", "compositional-long"],
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs of models with long names, on tasks with and without parts."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    for task, parts in TASKS.items():
        for number, model in enumerate(MODELS):
            evaluate(task, parts, number, model)
    tags.add("m2-many", [f"tag-{number}" for number in range(9)])
    return tmp_path


def evaluate(task: str, parts: list[str], number: int, model: str) -> None:
    run = replace(
        RUN, id=f"m{number}-{task}", model=model, task=task, digest=f"{task}{number}", parent="nano"
    )
    with store.open_run(run) as handle:
        for i in range(100):
            right = float(i % 50 < 25 + number)
            modes = {"spider": right, "bird": right} if not parts[0] else {}
            reason = "correct" if right else ("forbidden_statement", "execution_error")[i % 2]
            facts = {
                "part": parts[i % len(parts)],
                "database": "d" * 60,
                "difficulty": ("easy", "hard")[i % 2],
            }
            figures = {"metric": right, "strict": right, "tokens": 123456, "executes": True}
            handle.append(
                [record(f"q{i:04}", reason=reason, question="long " * 40, **figures, **facts, **modes)]
            )
        handle.finish(summary(list(handle.done.values())))


COMMANDS = [
    "board --reasons",
    "compare m0-many m3-many",
    "compare m0-many m1-many m3-many",
    "runs",
    "show m2-many q0001",
]
FIGURES = {
    "board --reasons": [
        "52.0",
        "42.3-61.5",
        "123,456",
        "spider 52.0",
        "bird 52.0",
        "seen",
        "50   50.0 %",
        "1.000",
    ],
    "compare m0-many m3-many": ["+6.0 points", "50.0 %", "56.0 %"],
    "compare m0-many m1-many m3-many": ["+6.0", "50.0 %", "56.0 %"],
    "runs": ["50.0  100", "finished", "tag-8", "12 runs"],
    "show m2-many q0001": ["m2-many", "results cannot be shown", "strict 1.00"],
}
"""Command -> figures that are in its output whatever the width."""


def lines_of(text: str) -> Iterator[str]:
    for line in text.splitlines():
        yield re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip("\r")


@pytest.mark.parametrize("width", [80, 72, 100, 200])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_table_fits_and_has_every_figure(
    command: str, width: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    assert main(command.split()) == 0
    lines = list(lines_of(capsys.readouterr().out))
    assert max(map(cell_len, lines)) <= width
    text = "\n".join(lines)
    assert [figure for figure in FIGURES[command] if figure not in text] == []
    assert not re.search(r"\d…|…\d", text.replace(" … ", " ")), "a figure is cut"


@pytest.mark.parametrize("command", ["board", "runs"])
def test_the_width_of_the_terminal_itself_is_used(command: str) -> None:
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", command],
        cwd=ROOT,
        env=environment | {"TERM": "xterm"},
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs)
    output = b""
    while True:
        try:
            block = os.read(ours, 65536)
        except OSError:
            break
        if not block:
            break
        output += block
    assert process.wait(timeout=60) == 0
    widths = [cell_len(line) for line in lines_of(output.decode())]
    assert 70 < max(widths) <= 80
