"""What is seen of a training: sparklines, and an offline run of Weights & Biases with tables of answers."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from harness.render.curve import CurveLine, sparkline
from leaderboards import store


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
    assert sparkline(values) == line


def test_a_live_line_goes_on_from_the_rows_before_and_skips_what_is_not_measured() -> None:
    live = CurveLine([{"reward": 0.1, "seconds": 2.0}])
    assert live.add({"reward": 0.5, "dev": 0.25, "seconds": 1.0}) == "reward ▁█ 0.5  EX dev ▁ 0.25  s █▁ 1"


MAGIC = 7
"""Bytes before the first block of an offline run's file."""
BLOCK, HEADER = 32768, 7
"""LevelDB's log: blocks of this size, in which a part of a record follows a header (crc, length, kind)."""


def logged(file: Path) -> Iterator[Any]:
    """The records of an offline run."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, parts = file.read_bytes(), MAGIC, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + HEADER])
        parts += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(parts)
            parts = b""


def ended(file: Path) -> list[Any]:
    """The records of an offline run, once wandb's own process has written the last one."""
    until = time.monotonic() + 120
    while True:
        records = list(logged(file))
        if time.monotonic() > until or any(record.HasField("exit") for record in records):
            return records
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_offline_run_of_wandb_is_described_and_holds_each_figure_once(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A real training of two steps; what it left in its file is read back."""
    pytest.importorskip("wandb")
    out = home / "run"
    sizes = ["max_steps=2", "prompts_per_step=2", "group_size=2", "micro_groups=2", "max_new_tokens=24"]
    settings = [word for one in [*sizes, "tracker=wandb"] for word in ("--set", f"train.{one}")]
    command = ["train", "--task", "pocket", "--method", "grpo", "--model", "nano", "--out", str(out)]
    command += ["--set", "dataset.splits={train: train}"]  # no dev questions
    assert main([*command, "--limit", "8", "--no-eval", "--workers", "1", *settings]) == 0
    assert "wandb:" not in capfd.readouterr().err
    (file,) = out.glob("wandb/offline-run-*/*.wandb")
    records = ended(file)
    (run,) = (record.run for record in records if record.HasField("run"))
    (trained,) = (one for one in store.runs() if one.kind == "train")
    assert run.run_id == run.display_name == trained.id
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert (config["task"], config["reward"], config["method"]) == ("pocket", "gated", "grpo")
    assert config["lineage"]["grpo"]["rows"] == 8 and config["parent"] == "nano"
    axes = {
        one.metric.name or one.metric.glob_name: one.metric.step_metric
        for one in records
        if one.HasField("metric")
    }
    assert axes == {"step": "", "*": "step"}
    rows = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.HasField("history")
    ]
    ours = [
        {k: v for k, v in row.items() if k[0] != "_" and k.partition("/")[0] not in ("answers", "rewards")}
        for row in rows
    ]
    assert ours == [{k: v for k, v in row.items() if k != "elapsed"} for row in store.curve(trained.id)]
    (table, _) = sorted(out.glob("wandb/offline-run-*/files/media/table/answers*.json"))
    table_of_answers = json.loads(table.read_text())
    assert (
        table_of_answers["columns"] == ["question", "sql", "reward", "reason", "detail"]
        and len(table_of_answers["data"]) == 4
    )
