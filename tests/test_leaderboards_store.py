"""Run directories survive kills, full disks, torn lines, hostile text and each other."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leaderboards import store
from leaderboards.types import Record, Run
from tasks.common.errors import DataError

RUN = Run(
    id="nano-pocket-000001",
    kind="eval",
    model="nano",
    task="pocket",
    task_digest="d1",
    split="test",
    metric="strict",
    scorer_version="1",
    digest="abc",
    sampling={"temperature": 0.0},
    training={"sft": {"rows": 100, "given": "gold SQL"}},
)


def record(sample_id: str, index: int = 0, **changes: object) -> Record:
    plain = Record(
        sample_id, "How many?", "club", "SELECT 1", "correct", index, metric=1.0, strict=1.0, reward=1.0
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))
    return tmp_path


def child(code: str, **environment: str) -> subprocess.Popen[str]:
    """A process of its own that has RUN and record at hand."""
    head = "from leaderboards import store\nfrom test_leaderboards_store import RUN, record\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(code)],
        cwd=Path(__file__).parent.parent,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_finished_run_reads_back_as_it_was_written() -> None:
    records = [record("a"), record("b", metric=None, strict=None, reason="gold_failed"), record("b", 1)]
    with store.open_run(RUN) as handle:
        handle.append(records)
        finished = handle.finish({"ex": 1.0})
    assert store.runs() == [finished]
    assert finished.finished and finished.started
    assert store.records(RUN.id) == records
    assert store.scores(RUN.id) == {"ex": 1.0}
    left = {path.name for path in store.folder(RUN.id).iterdir()}
    assert left == {"run.json", "records.parquet", "scores.json", "lock"}


def test_an_unfinished_run_goes_on_where_it_stopped() -> None:
    with store.open_run(RUN) as handle:
        handle.append([record("a")])
    with store.open_run(replace(RUN, id="another")) as handle:
        assert handle.run.id == RUN.id
        assert set(handle.done) == {("a", 0)}
        handle.append([record("b")])
        handle.finish({})
    assert [r.sample_id for r in store.records(RUN.id)] == ["a", "b"]
    with store.open_run(replace(RUN, id="fresh")) as handle:
        assert handle.run.id == "fresh", "a finished run is never written to again"


@pytest.mark.parametrize("change", [{"digest": "other"}, {"kind": "train"}, {"spec": {"modes": ["bird"]}}])
def test_a_run_of_another_digest_kind_or_verdicts_is_not_continued(change: dict[str, Any]) -> None:
    with store.open_run(RUN) as handle:
        handle.append([record("a")])
    with store.open_run(replace(RUN, id="other", **change)) as handle:
        assert handle.run.id == "other" and not handle.done


def test_runs_that_begin_within_a_second_are_in_their_order() -> None:
    names = [f"run-{number:06}" for number in (3, 1, 2, 0)]
    for name in names:
        with store.open_run(replace(RUN, id=name)) as handle:
            handle.finish({})
    assert [run.id for run in store.runs()] == names
    last = store.finished(RUN)
    assert last and last.id == names[-1]


@pytest.mark.parametrize("tail", [b'{"record": {"sample_id": "b"', b"\x00\x00\x00", b"\xff\xfe", b"{}{}"])
def test_a_torn_last_line_is_ignored_and_the_next_append_is_whole(tail: bytes) -> None:
    with store.open_run(RUN) as handle:
        handle.append([record("a")])
    with (handle.path / "partial.jsonl").open("ab") as file:
        file.write(tail)
    with store.open_run(RUN) as handle:
        assert set(handle.done) == {("a", 0)}
        handle.append([record("b")])
    with store.open_run(RUN) as handle:
        assert set(handle.done) == {("a", 0), ("b", 0)}


def test_a_key_written_twice_counts_once_and_the_later_wins() -> None:
    with store.open_run(RUN) as handle:
        handle.append([record("a"), record("b")])
        handle.append([record("a", reason="wrong_rows")])
        handle.finish({})
    assert [r.reason for r in store.records(RUN.id)] == ["wrong_rows", "correct"]


def test_the_order_of_the_records_does_not_depend_on_the_order_of_arrival() -> None:
    with store.open_run(RUN) as handle:
        handle.append([record("b", 1), record("c"), record("b", 0), record("a")])
        handle.finish({})
    assert [r.key for r in store.records(RUN.id)] == [("a", 0), ("b", 0), ("b", 1), ("c", 0)]


def test_sigkill_at_any_moment_leaves_a_run_that_goes_on() -> None:
    process = child(
        """
        with store.open_run(RUN) as handle:
            for i in range(10**6):
                handle.append([record(str(i), n) for n in range(50)])
                print(i, flush=True)
        """
    )
    assert process.stdout is not None
    while int(process.stdout.readline()) < 5:
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    with store.open_run(RUN) as handle:
        assert handle.run.id == RUN.id
        assert len(handle.done) >= 300
        assert handle.seconds > 0
        handle.finish({})
    assert len(store.records(RUN.id)) == len(handle.done)


def test_two_processes_never_write_the_same_run() -> None:
    process = child("with store.open_run(RUN): print('open', flush=True); input()")
    assert process.stdout is not None and process.stdout.readline() == "open\n"
    with store.open_run(replace(RUN, id="second")) as handle:
        assert handle.run.id == "second"
    process.kill()
    process.communicate()


@pytest.mark.parametrize("limit", [300, 2_000, 9_000])
def test_a_full_disk_is_one_line_and_what_was_kept_stays(limit: int) -> None:
    with store.open_run(RUN) as handle:
        handle.append([record("a")])
    before = (handle.path / "partial.jsonl").stat().st_size
    process = child(
        f"""
        import resource, signal
        from tasks.common.errors import DataError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        handle = store.open_run(RUN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({before + limit}, {before + limit}))
        try:
            handle.append([record(str(i), question="long " * 30) for i in range(100)])
        except DataError as error:
            print(error)
        """
    )
    out, err = process.communicate()
    assert out.count("\n") == 1 and "cannot write" in out and "partial.jsonl" in out, err
    with store.open_run(RUN) as handle:
        assert set(handle.done) == {("a", 0)}
        assert (handle.path / "partial.jsonl").stat().st_size == before


def test_a_disk_that_fills_while_finishing_leaves_the_run_unfinished_and_whole() -> None:
    process = child(
        """
        import resource, signal
        from tasks.common.errors import DataError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        handle = store.open_run(RUN)
        handle.append([record(str(i)) for i in range(100)])
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        try:
            handle.finish({})
        except DataError as error:
            print(error)
        """
    )
    out, err = process.communicate()
    assert "cannot write" in out and "records.parquet" in out, err
    (run,) = store.runs()
    assert not run.finished
    assert {path.name for path in store.folder(run.id).iterdir()} == {"run.json", "partial.jsonl", "lock"}
    with store.open_run(RUN) as handle:
        assert len(handle.done) == 100
        handle.finish({})
    assert len(store.records(RUN.id)) == 100


def test_a_home_that_cannot_be_written_is_one_line(home: Path) -> None:
    (home / "runs").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"cannot write .*: Not a directory"):
        store.open_run(RUN)


@pytest.mark.parametrize(
    "text", ["\ud800 lone", "NUL \x00 inside", "\r\n lines \u2028 apart", "😀 'quote\" \\", ""]
)
def test_hostile_text_is_kept(text: str) -> None:
    with store.open_run(RUN) as handle:
        handle.append([record("a", completion=text)])
    with store.open_run(RUN) as handle:
        handle.finish({})
    assert store.records(RUN.id)[0].completion == text.replace("\ud800", "?")


@pytest.mark.parametrize("content", ["", "{", '{"id": 1}', "[]", "null", '{"colour": "blue"}'])
def test_a_broken_run_is_named_in_one_line_and_left_out(
    content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store.open_run(RUN).finish({})
    broken = store.folder("broken")
    broken.mkdir()
    (broken / "run.json").write_text(content)
    assert [run.id for run in store.runs()] == [RUN.id]
    err = capsys.readouterr().err
    assert err.startswith("left out run broken: ") and err.count("\n") == 1


def test_broken_records_are_a_data_error_that_names_the_run() -> None:
    store.open_run(RUN).finish({})
    (store.folder(RUN.id) / "records.parquet").write_bytes(b"PAR1 nonsense PAR1")
    with pytest.raises(DataError, match=RUN.id):
        store.records(RUN.id)


def test_a_curve_is_read_by_step_and_a_step_logged_again_counts_once() -> None:
    with store.open_run(replace(RUN, kind="train")) as handle:
        handle.append_curve([{"step": 1, "reward": 0.1}, {"step": 2, "reward": 0.2}])
        handle.append_curve([{"step": 2, "reward": 0.25}, {"step": 3, "reward": 0.3}])
    assert [(row["step"], row["reward"]) for row in store.curve(RUN.id)] == [(1, 0.1), (2, 0.25), (3, 0.3)]
    assert store.curve("nothing") == []


def test_time_is_summed_over_sessions() -> None:
    with store.open_run(RUN) as handle:
        handle.append([record("a")])
    line = json.loads((handle.path / "partial.jsonl").read_text())
    changed = {"record": line["record"], "elapsed": 100.0}
    (handle.path / "partial.jsonl").write_text(json.dumps(changed) + "\n")
    with store.open_run(RUN) as handle:
        assert 100 <= handle.finish({}).seconds < 110


@pytest.mark.parametrize(
    ("model", "start"),
    [
        ("nano", "nano-pocket-"),
        ("/tmp/out/My SFT/", "out-my-sft-pocket-"),
        ("/tmp/demo/sft/model", "demo-sft-pocket-"),
        ("Qwen/Qwen3-0.6B@main", "qwen-qwen3-0.6b-main-pocket-"),
        ("replay:/data/preds/codes.sql", "replay-preds-codes.sql-pocket-"),
        ("../../etc", "etc-pocket-"),
        ("", "pocket-"),
    ],
)
def test_ids_are_plain_names(model: str, start: str) -> None:
    made = store.new_id(model, "pocket")
    assert made.startswith(start) and len(made) == len(start) + 6


def test_a_run_that_ends_before_its_first_answer_leaves_nothing() -> None:
    with pytest.raises(KeyboardInterrupt), store.open_run(RUN) as writer:
        assert writer.path.is_dir()
        raise KeyboardInterrupt
    assert store.runs() == [] and not writer.path.exists()
