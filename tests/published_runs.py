"""A small task on SQLite and stored answers to it, among them hostile ones, for the tests of publishing."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

from harness.cli import main
from leaderboards import store
from leaderboards.types import Run
from runners.known.models import MODELS

HOSTILE = [
    "SELECT 4\r\n-- a\rb",
    'SELECT "<script>alert(1)</script>", \'=HYPERLINK("http://x")\'',
    "SELECT '\x1b[31m\u202e\u2028 \x00 \ud7ff \U0001f600'",
    "```sql\nSELECT 7\n``` --- </textarea>| a | b |\n\n# no heading",
]
"""Answers to the questions 4 to 7; the first and the last are right."""
ANSWERS = [["SELECT 0"], ["SELECT 1"], ["SELECT 9"], ["no SQL"], *([text] for text in HOSTILE), ["SELECT 1"]]
"""The answers to each question; the gold of question i is ``SELECT i``, and that of the last one fails."""
EX = 4 / 8


def task(folder: Path) -> str:
    """Write the task of one question for each of ``ANSWERS``."""
    with sqlite3.connect(folder / "d.sqlite") as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
    connection.close()
    rows = [
        {"question": f"<b>Number</b> {i} | [x](javascript:alert(1))?", "query": f"SELECT {i}", "db_id": "d"}
        for i in range(len(ANSWERS) - 1)
    ]
    rows.append({"question": "What is gone?", "query": "SELECT gone FROM t", "db_id": "d"})
    ids = [{"id": f"q{i}", **row} for i, row in enumerate(rows)]
    (folder / "dev.json").write_text(json.dumps(ids))
    path = folder / "task.yaml"
    path.write_text(
        f"name: numbers\ndescription: Small numbers\n"
        f"dataset: {{path: '{folder}/dev.json', splits: {{dev: dev}}, fields: {{id: id}}}}\n"
        f"databases: {{path: '{folder}/{{database}}.sqlite'}}\n"
    )
    return str(path)


def scored(folder: Path, task: str, name: str = "answers", answers: list[list[str]] = ANSWERS) -> Run:
    """The run that ``harness score`` makes of these answers."""
    file = folder / f"{name}.jsonl"
    rows = [{"id": f"q{i}", "sql": text} for i, group in enumerate(answers) for text in group]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["score", str(file), "--task", task, "--workers", "1"]) == 0
    return store.runs()[-1]


def evaluated(folder: Path) -> Run:
    """The run of an evaluation of a copy of nano in ``folder``."""
    model = folder / "runs" / "sft" / "model"
    shutil.copytree(MODELS["nano"].folder, model)
    line = ["eval", "--model", str(model), "--task", task(folder), "--workers", "1"]
    assert main([*line, "--max-new-tokens", "8"]) == 0
    return store.runs()[-1]
