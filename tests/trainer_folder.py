"""The folders that ``harness export`` writes for trainers, and further answers that trainers draw."""

from __future__ import annotations

import io
import shlex
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import answer_table
import pyarrow.parquet as pq
from answer_table import GOLD, write_task

from harness.cli import main
from rewards.grader import Grader
from rewards.types import Grade
from tasks.task import Task

STUCK = "SELECT instr(hex(zeroblob(2000000)), hex(zeroblob(1000000)) || 'b')"
"""One instruction that takes for ever: no handler of the engine can end it."""
THOUGHT = f"I think that\n```sql\n{GOLD}\n``` is right, but"
ANSWERS = (
    *answer_table.ANSWERS,
    f"<think>\nSELECT 1\n</think>\n\n{GOLD}",
    f"SELECT 1\n</think>\n{GOLD}",
    f"<think>\n{THOUGHT}",
    "SELECT '\ud800'",
    STUCK,
)


@dataclass(frozen=True)
class Exported:
    """An exported folder with its task, which is in the folder around it."""

    folder: Path
    task: Task
    command: list[str]
    """The words of the command that was printed."""


def rows(folder: Path, split: str) -> list[dict[str, Any]]:
    """The rows of ``train`` or ``test``."""
    return pq.read_table(folder / f"{split}.parquet").to_pylist()


def exported(program: str, folder: Path, *flags: str) -> Exported:
    """The task of ``write_task`` with a short deadline, exported by the command line."""
    task = str(write_task(folder))
    deadline = ["--set", "scoring.seconds=0.5"]
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as printed:
        line = ["export", program, "--task", task, "--out", str(folder / "out"), *deadline, *flags]
        assert main(line) == 0
    printed.seek(0)
    words = shlex.split(printed.read().replace("\\\n", " "))
    return Exported(folder / "out", Task.named(task, deadline[1:]), words)


def grades(made: Exported, answers: Sequence[str] = ANSWERS) -> list[Grade]:
    """The grader's grades of answers to the first question."""
    sample = made.task.samples()[0]
    with Grader(made.task.spec.scoring, 1) as grader:
        return grader.grade(made.task, [sample] * len(answers), answers)
