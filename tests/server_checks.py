"""Checks that hold on every database server; each engine's tests call them with databases of its own."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from attacked import GOLDS, attack, content

from rewards.exploits import load
from rewards.grader import Grader
from rewards.types import Answer, Reason
from tasks.common.errors import DataError, SpecError
from tasks.databases.sandbox import executor as sandbox
from tasks.databases.sandbox.executor import Executor
from tasks.databases.schema import describe
from tasks.spec import ScoringSpec
from tasks.task import Task
from tasks.types import Database, Engine, Limits, Status

LIMITS = Limits(seconds=1, rows=1000, bytes=2**20)
BY_CITY = "SELECT city FROM branch ORDER BY city"
FIRST = "SELECT name FROM member ORDER BY joined LIMIT 3"
ORDERED = [
    (BY_CITY, "SELECT city FROM branch ORDER BY 1, branch_id DESC", "correct"),
    (BY_CITY, "SELECT city FROM branch ORDER BY 1 DESC", "wrong_order"),
    (FIRST, "SELECT name FROM member ORDER BY joined, name LIMIT 3", "correct"),
    (FIRST, "SELECT name FROM member ORDER BY joined DESC LIMIT 3", "wrong_rows"),
]
"""Gold, answer, and the reason of its verdict."""


def check_same_verdicts(files: Database, copy: Database) -> None:
    """The copy of ``files`` on a server returns the same rows, and answers get the same verdicts there."""
    executor = Executor(Limits())
    for gold in GOLDS.values():
        for number in range(2):
            ours, theirs = (executor.run(database, number, gold) for database in (files, copy))
            assert sorted(ours.rows) == sorted(theirs.rows), gold
    with Grader(ScoringSpec(instances=2), workers=1) as grader:
        for database in (files, copy):
            grades = grader.grade_answers([Answer(database, (gold,), sql) for gold, sql, _ in ORDERED])
            assert [grade.attempt.reason for grade in grades] == [reason for *_, reason in ORDERED]


def check_wrong_url(folder: Path, databases: str, message: str) -> None:
    """A task with this section ``databases`` is refused in one line, which shows no secret."""
    (folder / "rows.jsonl").write_text('{"question": "q", "query": "SELECT 1", "db_id": "x"}\n')
    separator = " " if databases.startswith("{") else "\n  "
    spec = (
        f"name: t\ndataset:\n  path: rows.jsonl\n  splits: {{dev: dev}}\ndatabases:{separator}{databases}\n"
    )
    (folder / "t.yaml").write_text(spec)
    with pytest.raises(SpecError) as caught:
        task = Task.named(str(folder / "t.yaml"))
        task.database(task.samples()[0])
    error = str(caught.value)
    assert message in error and "secret" not in error and "\n" not in error


def check_stays_away(away: Database, named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers on a server that is not there are unscored; ``named``: what errors call it."""
    monkeypatch.setattr(sandbox, "PATIENCE", 4.0)
    executor = Executor(LIMITS)
    for most in (60.0, 3.0):  # it is not waited for again
        began = time.monotonic()
        outcome = executor.run(away, 0, "SELECT 1")
        assert outcome.status is Status.INFRASTRUCTURE and time.monotonic() - began < most
    with pytest.raises(DataError, match=named):
        describe(away)


def check_quick_exploits(engine: Engine, club: Database) -> None:
    """The exploits of an engine's own get no reward and change nothing; ``test_exploits.py`` runs all."""
    general = {exploit.name for exploit in load("sqlite")}
    pack = [
        exploit
        for exploit in load(engine)
        if exploit.name not in general and Reason.TIMEOUT not in exploit.reasons
    ]
    assert len(pack) > 100
    before = content(club)
    with Grader(ScoringSpec(seconds=5), workers=2) as grader:
        grades = grader.grade_answers([attack(exploit, "rows", club) for exploit in pack])
    for exploit, grade in zip(pack, grades, strict=True):
        assert grade.attempt.reason in exploit.reasons, (exploit.name, grade.attempt)
        assert grade.scores["execution"].value == 0.0, exploit.name
    assert content(club) == before
