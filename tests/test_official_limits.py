"""The official modes at our limits: BIRD counts no row twice, and a gold over a limit is unscored."""

from __future__ import annotations

import pytest

from rewards.grader import Grader
from rewards.types import Answer, Attempt, Reason
from tasks.spec import ScoringSpec
from tasks.types import Database, Mode

MODES = (Mode.STRICT, Mode.SPIDER, Mode.BIRD, Mode.BIRD_F1)
COUNT = "WITH x(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM x LIMIT {})"
DATABASE = Database("n", ddl=f"CREATE TABLE n(x); INSERT INTO n {COUNT.format(300)} SELECT a FROM x")
FEW = "SELECT DISTINCT x % 3 FROM n"
MANY = "SELECT a.x % 3 FROM n AS a, n AS b"


def judged(gold: str, answer: str, metric: Mode = Mode.STRICT, rows: int = 1000) -> Attempt:
    with Grader(ScoringSpec(metric=metric, modes=MODES, rows=rows), workers=1) as grader:
        return grader.grade_answers([Answer(DATABASE, (gold,), answer)])[0].attempt


def test_an_answer_of_many_duplicates_is_correct_by_bird_only() -> None:
    attempt = judged(FEW, MANY)
    assert attempt.verdicts == {"strict": 0.0, "spider": 0.0, "bird": 1.0, "bird_f1": 1.0}
    assert attempt.reason is Reason.TOO_MANY_ROWS
    attempt = judged(FEW, MANY, Mode.BIRD)
    assert (attempt.reason, attempt.executes, attempt.rows) == (Reason.CORRECT, True, 3)


def test_a_gold_over_a_limit_is_unscored_only_in_modes_with_that_limit() -> None:
    attempt = judged(MANY, FEW)
    assert attempt.verdicts == {"strict": None, "spider": None, "bird": 1.0, "bird_f1": 1.0}
    assert attempt.reason is Reason.GOLD_FAILED
    attempt = judged(f"SELECT DISTINCT c FROM ({MANY.replace(' FROM', ' AS c FROM', 1)})", FEW)
    assert attempt.verdicts == {"strict": 1.0, "spider": None, "bird": 1.0, "bird_f1": 1.0}


def test_an_answer_of_many_different_rows_is_wrong() -> None:
    attempt = judged(FEW, "SELECT a.x, b.x FROM n AS a, n AS b")
    assert attempt.verdicts == dict.fromkeys(MODES, 0.0)


def test_every_limit_can_be_set() -> None:
    limits = ScoringSpec(seconds=1, steps=2, rows=3, cells=4, bytes=5).limits()
    assert (limits.seconds, limits.steps, limits.rows, limits.cells, limits.bytes) == (1, 2, 3, 4, 5)


@pytest.mark.slow
def test_ten_million_duplicates() -> None:
    answer = "SELECT a.x % 3 FROM n AS a, n AS b, (SELECT x FROM n LIMIT 112) AS c"
    attempt = judged(FEW, answer, Mode.BIRD, 100_000)
    assert attempt.verdicts[Mode.BIRD] == 1.0
    assert attempt.verdicts[Mode.STRICT] == 0.0
