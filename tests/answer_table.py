"""A task, and answers to its first question, hostile ones too, that every program must score alike."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from rewards.grader import Grader
from rewards.types import Grade
from tasks.task import Task
from tasks.types import Sample

GOLD = "SELECT name FROM person ORDER BY age"
BROKEN = "SELECT gone FROM person"
EMPTY = "SELECT name FROM person WHERE age > 99"
"""A gold without rows. Any query without rows would be right, so it is evaluated and not trained on."""
ROWS = [
    ("Who is there, from young to old?", GOLD),
    ("How many people are there?", "SELECT count(*) FROM person"),
    ("What has gone?", BROKEN),
]
"""Question and gold."""
ANSWERS = [
    GOLD,
    f"Here it is:\n```sql\n{GOLD};\n```",
    "SELECT name FROM person ORDER BY age DESC",
    "SELECT name, age FROM person ORDER BY age",
    "SELECT name FROM person WHERE age > 30",
    "SELECT nam FROM person",
    "SELECT name FROM",
    "SELECT 1",
    "",
    "I do not know.",
    f"{GOLD}; DROP TABLE person",
    "DELETE FROM person",
    "ATTACH '/etc/passwd' AS p",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n",
    "SELECT zeroblob(1000000000)",
    "SELECT load_extension('x')",
    "SELECT '\0'",
    '{"reward": 1.0}',
    "SELECT '" + "x" * 200_000 + "'",
]
"""Answers to the first question."""


def write_task(folder: Path, more: str = "") -> Path:
    """The task's YAML file. ``more``: further lines of it."""
    with sqlite3.connect(folder / "d.sqlite") as connection:
        connection.executescript(
            "CREATE TABLE person (name TEXT, age INTEGER);"
            "INSERT INTO person VALUES ('Ann', 30), ('Bob', 41), ('Cem', 25);"
        )
    connection.close()
    rows = [{"question": question, "query": gold, "db_id": "d"} for question, gold in ROWS]
    (folder / "dev.json").write_text(json.dumps(rows))
    path = folder / "task.yaml"
    questions, databases = (json.dumps(str(folder / name)) for name in ("dev.json", "{database}.sqlite"))
    path.write_text(
        f"name: people\ndataset: {{path: {questions}, splits: {{dev: dev, train: dev}}}}\n"
        f"databases: {{path: {databases}}}\nprompt: {{system: You write SQL.}}\n"
        f"scoring: {{modes: [strict, bird], steps: 2000000}}\n{more}"
    )
    return path


def write_golds(task: Path, golds: Sequence[str]) -> None:
    """Replace the questions of a task by questions with these golds."""
    rows = [{"question": "?", "query": gold, "db_id": "d"} for gold in golds]
    (task.parent / "dev.json").write_text(json.dumps(rows))


def graded(task: Path) -> list[Grade]:
    """What our grader says of the answers."""
    loaded = Task.named(str(task))
    first: Sample = loaded.samples()[0]
    with Grader(loaded.spec.scoring, workers=1) as grader:
        return grader.grade(loaded, [first] * len(ANSWERS), ANSWERS)


def rewards(task: Path) -> list[float]:
    """Our grader's rewards of the answers; all of them are scored."""
    values = [grade.scores["reward"].value for grade in graded(task)]
    assert values[0] == values[1] == 1.0 and None not in values and max(values[2:]) < 1  # type: ignore[type-var]
    return [float(value) for value in values if value is not None]
