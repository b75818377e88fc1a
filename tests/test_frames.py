"""Runs as data frames: what the records hold, by run."""

from pathlib import Path

import pytest

from harness.cli import main
from leaderboards import frames
from tasks.common.errors import DataError


def test_records_of_several_runs_stand_in_one_frame(home: Path) -> None:
    assert main(["eval", "--model", "gold", "--model", "empty", "--task", "pocket", "--limit", "20"]) == 0
    frame = frames.records("gold", "empty")
    assert frame.groupby("run")["metric"].agg(["size", "mean"]).to_dict() == {
        "size": {"empty": 20, "gold": 20},
        "mean": {"empty": 0.0, "gold": 1.0},
    }
    assert set(frame.loc[frame["run"] == "empty", "reason"]) == {"no_sql"}
    with pytest.raises(DataError, match="no finished evaluation 'golt'"):
        frames.records("golt")
    with pytest.raises(DataError, match="gold has no training curve"):
        frames.curve("gold")
