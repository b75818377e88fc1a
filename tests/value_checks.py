"""Checks of an engine's values: the cells that expressions become, and which of them are equal."""

from __future__ import annotations

from collections.abc import Sequence

from rewards.grader import Grader
from rewards.types import Answer, Attempt
from tasks.databases.sandbox.executor import Executor
from tasks.spec import ScoringSpec
from tasks.types import Cell, Database, Limits, Mode

Pairs = Sequence[tuple[str, str, bool]]
"""Two expressions, and whether they are equal in ``strict``."""


def check_cells(database: Database, cells: Sequence[tuple[str, Cell]], source: str = "") -> None:
    """Each expression becomes its cell. ``source``: the FROM clause under which they are read."""
    executor = Executor(Limits(seconds=5))
    for expression, cell in cells:
        outcome = executor.run(database, 0, f"SELECT {expression}, NULL {source}")
        assert outcome.rows == ((cell, None),), (expression, outcome)
        assert type(outcome.rows[0][0]) is type(cell), expression


def attempts_of(database: Database, pairs: Pairs) -> list[Attempt]:
    """The second expression of each pair as an answer, with the first as its gold."""
    modes = (Mode.STRICT, Mode.SPIDER, Mode.BIRD, Mode.BIRD_F1)
    answers = [Answer(database, (f"SELECT {one}",), f"SELECT {other}") for one, other, _ in pairs]
    with Grader(ScoringSpec(modes=modes), workers=1, digests=True) as grader:
        return [grade.attempt for grade in grader.grade_answers(answers)]


def check_attempt(equal: bool, attempt: Attempt) -> None:
    """The verdict on a pair in ``strict``; the official modes judge it too."""
    assert attempt.reason == ("correct" if equal else "wrong_rows"), attempt.detail
    assert set(attempt.verdicts.values()) <= {0.0, 1.0}, "the official modes judge it too"
