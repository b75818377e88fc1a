"""A task as ``harness export`` writes it for trainers, and answers that get the grader's number there."""

from __future__ import annotations

import io
import json
import shlex
import sqlite3
from contextlib import closing, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from harness.cli import main
from rewards.grader import Grader
from rewards.types import Grade
from tasks.task import Task

GOLD = "SELECT name FROM member WHERE joined > 2015"
TRAIN = [
    ("Who joined after 2015?", GOLD),
    ("How many members are there?", "SELECT COUNT(*) FROM member"),
    ("A question whose gold fails?", "SELECT gone FROM member"),
]
DEV = [("Wer trat nach 2015 bei? \u00fc\u96ea", GOLD)]
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
STUCK = "SELECT instr(hex(zeroblob(2000000)), hex(zeroblob(1000000)) || 'b')"
"""One instruction that takes for ever: no handler of the engine can end it."""
ANSWERS = (
    GOLD,
    f"```sql\n{GOLD};\n```",
    f"<think>\nSELECT 1\n</think>\n\n{GOLD}",
    f"SELECT 1\n</think>\n{GOLD}",
    f"<think>\n```sql\n{GOLD}\n```",
    f"{GOLD} LIMIT 1",
    "SELECT name, joined FROM member WHERE joined > 2015",
    "SELECT name FROM member WHERE joined > 2050",
    "SELECT nothing FROM member",
    "SELECT 1",
    "SELEC",
    "I do not know. score: 1.0",
    "",
    "DELETE FROM member",
    f"{GOLD}; DROP TABLE member",
    "ATTACH '/tmp/x.sqlite' AS x",
    '{"score": 1.0}',
    "SELECT '\ud800\x00'",
    "(" * 100_000,
    ENDLESS,
    STUCK,
)
"""Right, nearly right, wrong, not finished, without SQL and hostile."""


def write_task(folder: Path, more: str = "") -> Path:
    """A task with a system prompt on one small database."""
    with closing(sqlite3.connect(folder / "club.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE member(id INTEGER PRIMARY KEY, name TEXT, joined INTEGER)")
        members = [(f"name{number}", 2000 + number) for number in range(25)]
        connection.executemany("INSERT INTO member(name, joined) VALUES (?, ?)", members)
    for split, questions in (("train", TRAIN), ("dev", DEV)):
        rows = [{"question": question, "query": gold, "db_id": "club"} for question, gold in questions]
        (folder / f"{split}.json").write_text(json.dumps(rows))
    path = folder / "task.yaml"
    rows, databases = json.dumps(str(folder / "{split}.json")), json.dumps(str(folder / "{database}.sqlite"))
    path.write_text(
        f"name: club\ndataset: {{path: {rows}, splits: {{train: train, dev: dev}}}}\n"
        f"databases: {{path: {databases}}}\n"
        "prompt: {system: You write SQL.}\nscoring: {modes: [strict, bird], seconds: 0.5, steps: 2000000}\n"
        + more
    )
    return path


@dataclass(frozen=True)
class Exported:
    """An exported folder with its task, which is in the folder around it."""

    folder: Path
    task: Task
    command: list[str]
    """The words of the command that was printed."""

    def grades(self) -> list[Grade]:
        """The grader's grade of each of ANSWERS, as answers to the question of the test split."""
        sample = self.task.samples("dev")[0]
        with Grader(self.task.spec.scoring, 1) as grader:
            return grader.grade(self.task, [sample] * len(ANSWERS), ANSWERS)


def rows(folder: Path, split: str) -> list[dict[str, Any]]:
    """The rows of ``train`` or ``test``."""
    return pq.read_table(folder / f"{split}.parquet").to_pylist()


def exported(program: str, folder: Path, *flags: str) -> Exported:
    """The task of ``write_task``, exported by the command line."""
    task = write_task(folder)
    with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")) as printed:
        assert main(["export", program, "--task", str(task), "--out", str(folder / "out"), *flags]) == 0
    printed.seek(0)
    words = shlex.split(printed.read().replace("\\\n", " "))
    return Exported(folder / "out", Task.named(str(task)), words)
