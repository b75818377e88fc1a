"""Peak memory: a run stores its own, and the board, the sheets and the page show it."""

from __future__ import annotations

import csv
import io
import json
import resource
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from test_leaderboards import Evaluate, printed
from test_leaderboards import evaluate as evaluate
from test_leaderboards import home as home

from harness.cli import main
from harness.page.formats import memory as on_page
from harness.render.board import render_board
from harness.render.runs import size
from leaderboards import store
from leaderboards.board import board
from leaderboards.types import Run
from tasks.common import memory

BLOCK = 200_000_000
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux can begin a peak anew")


def test_a_run_stores_the_peak_of_its_process(evaluate: Evaluate) -> None:
    run = evaluate("a", [1.0, 0.0])
    assert run.memory is not None and 10_000_000 < run.memory < 20_000_000_000
    assert store.runs()[0].memory == run.memory
    assert not run.gpu_memory


@linux
def test_a_run_does_not_count_what_the_process_needed_before(evaluate: Evaluate) -> None:
    before = evaluate("a", [1.0]).memory or 0
    block = bytearray(BLOCK)
    with_block = evaluate("b", [1.0]).memory or 0
    del block
    assert with_block > before + 0.9 * BLOCK
    assert (evaluate("c", [1.0]).memory or 0) < with_block - 0.9 * BLOCK


@linux
def test_the_memory_of_the_process_that_started_it_does_not_count() -> None:
    block = bytearray(BLOCK)
    code = "from tasks.common.memory import peak; print(peak())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert int(found.stdout) < 0.5 * len(block)


@pytest.mark.parametrize(("system", "unit"), [("linux", 1024), ("darwin", 1)])
def test_the_unit_of_getrusage_is_that_of_the_system(
    system: str, unit: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "missing")
    monkeypatch.setattr(sys, "platform", system)
    known = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert memory.peak() == pytest.approx(known * unit, rel=0.2)


def test_the_peak_of_gpus_is_the_sum_of_what_torch_allocated(
    evaluate: Evaluate, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    peaks = {0: 5, 1: 6}
    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        device_count=lambda: 2,
        max_memory_allocated=lambda device: peaks[device],
        reset_peak_memory_stats=lambda device: peaks.update({device: (device + 1) * 10**9}),
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    run = evaluate("a", [1.0])
    assert run.gpu_memory == 3 * 10**9
    assert "3.0 GB" in printed(render_board(board())) and "3.0 GB GPU" in on_page(run)
    assert main(["board", "--markdown"]) == 0
    assert "GPU memory" in capsys.readouterr().out
    cuda.is_initialized = lambda: False
    assert evaluate("b", [1.0]).gpu_memory is None


def test_memory_is_on_the_board_and_in_its_sheets(
    evaluate: Evaluate, capsys: pytest.CaptureFixture[str]
) -> None:
    training = Run(**{**FACTS, "id": "t", "kind": "train", "started": "2026-11-22T09:00:00+00:00"})
    with store.open_run(training) as handle:
        handle.append_curve([{"step": 1, "loss": 0.5}])
        trained = handle.finish({"steps": 1})
    run = evaluate("a", [1.0, 0.0], trained_by="t")
    assert run.memory and trained.memory
    for width in (80, 120):
        text = printed(render_board(board()), width)
        assert size(run.memory) in text and "trained in" in text
        assert max(map(len, text.splitlines())) <= width
    assert main(["board", "--json"]) == 0
    ((row,),) = [group["rows"] for group in json.loads(capsys.readouterr().out)["groups"]]
    assert row["memory"] == run.memory and row["trained_in"]["memory"] == trained.memory
    assert main(["board", "--csv"]) == 0
    (line,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (line["memory"], line["gpu_memory"]) == (str(run.memory), "")
    assert line["training_memory"] == str(trained.memory)


FACTS = {
    "model": "m",
    "task": "pocket",
    "task_digest": "d1",
    "split": "train",
    "metric": "strict",
    "scorer_version": "1",
    "digest": "t",
}


def test_runs_of_older_versions_have_a_dash(
    home: Path, evaluate: Evaluate, capsys: pytest.CaptureFixture[str]
) -> None:
    run = evaluate("a", [1.0])
    path = store.folder(run.id) / "run.json"
    content = json.loads(path.read_text())
    for name in ("crc32", "memory", "gpu_memory"):
        del content[name]
    path.write_text(json.dumps(content))
    (old,) = store.runs()
    assert old.memory is None and on_page(old) == "\N{EN DASH}"
    assert "memory -" in printed(render_board(board()), 60)
    assert main(["board", "--markdown"]) == 0
    header, _, row = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    shown = dict(zip(header.split("|"), row.split("|"), strict=True))
    assert shown[" memory "].strip() == "-"
