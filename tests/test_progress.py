"""Progress: lines for a log file, the running score, and nothing where it is quick."""

from __future__ import annotations

import pytest

from harness.render.progress import LINE_SECONDS, Tally, bar, lines
from leaderboards.types import Record


def test_a_log_gets_a_line_now_and_then_with_rate_and_time_left() -> None:
    clock = iter([0.0, 10.0, LINE_SECONDS + 10, LINE_SECONDS + 10, 50.0, 100.0, 100.0])
    written: list[str] = []
    report = lines("nano", 300, 100, written.append, lambda: next(clock))
    report(20, "EX 1.0%")  # after 10 s: nothing
    report(60, "EX 50.0%, 2 unscored")  # 40 s: 80 of 200 done
    report(10)  # 10 s later: nothing
    report(110)
    assert written == [
        "nano: 180/300, 2.0/s, 60 s left, EX 50.0%, 2 unscored",
        "nano: 300/300, 2.0/s, 0 s left",
    ]


def test_an_unknown_total_has_no_time_left() -> None:
    clock = iter([0.0, 40.0, 40.0])
    written: list[str] = []
    lines("sft", 0, 0, written.append, lambda: next(clock))(10, "loss 1.2")
    assert written == ["sft: 10, 0.2/s, loss 1.2"]


def test_what_is_quick_writes_nothing_to_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    with bar("quick", 2) as report:
        report(1)
        report(1, "EX 100.0%")
    assert capsys.readouterr().err == ""


def test_the_score_runs_along_and_says_what_is_unscored() -> None:
    def record(metric: float | None) -> Record:
        return Record(
            sample_id="1", question="?", database="d", completion="", reason="correct", metric=metric
        )

    tally = Tally([])
    assert tally.add([record(None)]) == "EX -, 1 unscored"
    assert tally.add([record(1.0), record(0.0), record(1.0)]) == "EX 66.7%, 1 unscored"
    assert Tally([record(1.0)]).add([record(1.0)]) == "EX 100.0%"
