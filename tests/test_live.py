"""What is seen of a training: sparklines, and an offline run of Weights & Biases with tables of answers."""

import json
from pathlib import Path

import pytest

from harness.live import Live, Tracker, spark
from rewards.types import Attempt, Grade, Reason, Score
from tasks.types import Sample


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ([1.0], "▁"),
        ([3.0, 3.0, 3.0], "▁▁▁"),
        ([0.0, 1.0], "▁█"),
        ([-1.0, 0.0, 1.0], "▁▅█"),
        ([float(i) for i in range(160)], "▁▁▂▂▃▃▄▄▅▅▆▆▇▇██"),
    ],
)
def test_a_sparkline_goes_from_the_least_to_the_largest(values: list[float], line: str) -> None:
    assert spark(values) == line


def test_a_live_line_goes_on_from_the_rows_before_and_skips_what_is_not_measured() -> None:
    live = Live([{"reward": 0.1, "seconds": 2.0}])
    assert live.add({"reward": 0.5, "dev": 0.25, "seconds": 1.0}) == "reward ▁█ 0.5  EX dev ▁ 0.25  s █▁ 1"


@pytest.mark.slow
def test_an_offline_run_of_wandb_holds_the_curve_and_a_table_of_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    tracker = Tracker()
    attempt = Attempt("SELECT 1", Reason.WRONG_ROWS, detail="row 1 differs")
    grades = [Grade(attempt, {"reward": Score(value, attempt.reason)}) for value in (0.25, None)]
    samples = [Sample("a", "How many?", "d", ("SELECT 2",))] * 2
    tracker.add(samples, grades)
    tracker.step({"step": 1, "reward": 0.25})  # no run is open: nothing to log to
    with wandb.init(project="test", dir=str(tmp_path)):
        tracker.add(samples, grades)
        tracker.step({"step": 2, "reward": 0.25})
    (table,) = tmp_path.glob("wandb/offline-run-*/files/media/table/answers*.json")
    told = json.loads(table.read_text())
    assert told["columns"] == ["question", "sql", "reward", "reason", "detail"]
    assert told["data"] == [
        ["How many?", "SELECT 1", value, "wrong_rows", "row 1 differs"] for value in (0.25, None)
    ]
