"""The README's section on one's own database is followed to the letter, on a database made here."""

from __future__ import annotations

import csv
import json
import os
import re
import resource
import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE "Geräte"("Serien-Nr." TEXT PRIMARY KEY, "order" INTEGER, "größe (cm)" REAL) WITHOUT ROWID;
CREATE TABLE "group"(id INTEGER PRIMARY KEY, "from" TEXT REFERENCES "Geräte", "to" TEXT, note);
CREATE TABLE "never filled"(a, b);
CREATE VIEW "heavy use" AS SELECT "from", count(*) AS n FROM "group" GROUP BY "from" HAVING n > 1;
INSERT INTO "Geräte" VALUES ('a-1', 3, 1.5), ('b-2', NULL, 20), ('c-3', 7, 0.25);
INSERT INTO "group" VALUES (1, 'a-1', 'x', NULL), (2, 'a-1', 'y', X'00FF'), (3, 'b-2', 'x', 5);
"""
ANSWERED = [
    ("How many devices are there?", 'SELECT count(*) FROM "Geräte"'),
    ("Which devices are used more than once?", 'SELECT "from" FROM "heavy use"'),
    ("What is the size of each device,\nlargest first?", 'SELECT "größe (cm)" FROM "Geräte" ORDER BY 1 DESC'),
    ('Which groups go to "x"?', 'SELECT id FROM "group" WHERE "to" = \'x\''),
]


def section() -> list[str]:
    """The lines of the section's one block."""
    text = README.partition("## Your own database in five minutes")[2].partition("\n## ")[0]
    (block,) = re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)
    return block.splitlines()


def write_questions(file: Path) -> None:
    """What the reader does: replace the rows of the template, in the columns that it has."""
    with file.open(encoding="utf-8-sig", newline="") as old:
        columns = next(csv.reader(old))
    with file.open("w", encoding="utf-8-sig", newline="") as new:
        rows = csv.DictWriter(new, columns, restval="")
        rows.writeheader()
        for number, (question, sql) in enumerate(ANSWERED, 1):
            rows.writerow({"id": number, "question": question, "sql": sql})


def run(line: str, folder: Path) -> str:
    """Run a line as a shell would, up to its comment; the output."""
    words = shlex.split(line, comments=True)
    assert words[0] == "harness"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "HARNESS_HOME": str(folder / "home"),
        "COLUMNS": "80",
    }
    command = [sys.executable, "-m", "harness.cli", *words[1:]]
    done = subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, encoding="utf-8"
    )
    assert done.returncode in (0, 1) if words[1] == "ask" else done.returncode == 0, (line, done.stderr)
    return done.stdout


def test_the_section_has_these_steps() -> None:
    steps = [line.split()[1] if line.startswith("harness") else "write" for line in section()]
    assert steps == ["init", "ask", "write", "check", "eval"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_from_nothing_to_a_first_ex(tmp_path: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    connection = sqlite3.connect(tmp_path / "my.sqlite")  # stays open, so that the rows stay in the log
    connection.executescript(SCHEMA)
    content = {
        file.name: file.read_bytes() for file in tmp_path.glob("my.sqlite*") if file.suffix != ".sqlite-shm"
    }
    printed = {}
    for line in section():
        if line.startswith("#"):
            (named,) = re.findall(r"into (\S+?);", line)
            write_questions(tmp_path / named)
        else:
            printed[line.split()[1]] = run(line, tmp_path)
    assert "4 tables" in printed["init"] and "100.00%" in printed["check"]
    assert "the prompt showed 4 tables, 11 columns" in printed["ask"]
    assert re.search(r"^gold +100\.0", printed["eval"], re.M) and re.search(
        r"^nano +\d+\.\d", printed["eval"], re.M
    )
    scores = [json.loads(file.read_text()) for file in tmp_path.glob("home/runs/*/scores.json")]
    assert sorted(score["n"] for score in scores) == [4, 4]
    assert max(score["ex"] for score in scores) == 1
    assert all((tmp_path / name).read_bytes() == old for name, old in content.items())
    connection.close()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 300
