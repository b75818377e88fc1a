"""``harness runs``: the list and its filters, removal of runs and of nothing else, and tags."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from test_leaderboards_store import RUN, child, record

from harness.cli import main
from harness.render.runs import age, size
from leaderboards import catalog, store, tags
from leaderboards.board import board
from leaderboards.find import find
from leaderboards.summary import summary
from leaderboards.types import Run

Capture = pytest.CaptureFixture[str]
ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with two evaluations, a training and an unfinished evaluation."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    finish("nano-pocket-aaaaaa", "nano", right=1)
    finish("sft-pocket-bbbbbb", "out/sft/model", right=2, parent="nano", method="sft")
    finish("sft-sft-pocket-cccccc", "out/sft/model", kind="train", parent="nano", method="sft")
    with store.open_run(
        replace(RUN, id="half-spider-dddddd", model="half", task="spider", digest="h")
    ) as half:
        half.append([record("a")])
    return tmp_path / "home"


def finish(run_id: str, model: str, right: int = 0, **changes: object) -> Run:
    run = replace(RUN, id=run_id, model=model, digest=run_id, **changes)  # type: ignore[arg-type]
    with store.open_run(run) as handle:
        handle.append([record(f"q{i}", metric=float(i < right)) for i in range(3)])
        return handle.finish(summary(list(handle.done.values())))


def call(*words: str) -> int:
    """The exit code of a command line, also where argparse leaves by SystemExit."""
    try:
        return main(words)
    except SystemExit as left:
        return int(left.code or 0)


def listed(capsys: Capture, *filters: str) -> list[str]:
    assert call("runs", *filters, "--json") == 0
    return [row["id"] for row in json.loads(capsys.readouterr().out)["runs"]]


def files_of(run_id: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.folder(run_id).iterdir() if path.is_file()}


def test_the_list_has_every_run_with_its_figures_and_state(capsys: Capture) -> None:
    assert call("runs", "--json") == 0
    rows = {row["id"]: row for row in json.loads(capsys.readouterr().out)["runs"]}
    assert list(rows) == [
        "nano-pocket-aaaaaa",
        "sft-pocket-bbbbbb",
        "sft-sft-pocket-cccccc",
        "half-spider-dddddd",
    ]
    assert [row["state"] for row in rows.values()] == ["finished"] * 3 + ["unfinished"]
    assert [(row["ex"], row["n"]) for row in rows.values()] == [
        (1 / 3, 3),
        (2 / 3, 3),
        (None, None),
        (None, None),
    ]
    for run_id, row in rows.items():
        assert row["bytes"] == sum(map(len, files_of(run_id).values()))
        assert 0 <= row["age"] < 60


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        (["--task", "spider"], ["half-spider-dddddd"]),
        (["--model", "out/sft"], ["sft-pocket-bbbbbb", "sft-sft-pocket-cccccc"]),
        (["--model", "out/sft/model"], ["sft-pocket-bbbbbb", "sft-sft-pocket-cccccc"]),
        (["--unfinished"], ["half-spider-dddddd"]),
        (["--unfinished", "--task", "pocket"], []),
        (["--tag", "best"], ["nano-pocket-aaaaaa"]),
        (["--tag", "best", "--model", "out/sft"], []),
    ],
)
def test_filters(filters: list[str], ids: list[str], capsys: Capture) -> None:
    tags.add("nano-pocket-aaaaaa", ["best"])
    assert listed(capsys, *filters) == ids


def test_a_run_that_is_written_is_running_and_cannot_be_removed(capsys: Capture) -> None:
    code = """
    from dataclasses import replace
    handle = store.open_run(replace(RUN, id="live-000000", digest="live"))
    handle.append([record("a")])
    print("open", flush=True)
    input()
    """
    with child(code) as process:
        assert process.stdout and process.stdout.readline() == "open\n"
        assert call("runs", "--json") == 0
        states = {row["id"]: row["state"] for row in json.loads(capsys.readouterr().out)["runs"]}
        assert (states["live-000000"], states["half-spider-dddddd"]) == ("running", "unfinished")
        assert call("runs", "rm", "nano-p", "live-000000", "--yes") == 2
        assert "run live-000000 is being written" in capsys.readouterr().err
        assert store.folder("nano-pocket-aaaaaa").is_dir(), "nothing is removed if one name is refused"
        process.kill()
    assert call("runs", "rm", "live-000000", "--yes") == 0


@pytest.mark.parametrize(
    ("names", "removed"),
    [
        (["nano"], ["nano-pocket-aaaaaa"]),
        (["ha"], ["half-spider-dddddd"]),
        (["nano-", "sft-p"], ["nano-pocket-aaaaaa", "sft-pocket-bbbbbb"]),
        (["nano", "nano-pocket-aaaaaa"], ["nano-pocket-aaaaaa"]),
        (["old"], ["sft-pocket-bbbbbb"]),
    ],
)
def test_named_runs_are_removed(names: list[str], removed: list[str], capsys: Capture) -> None:
    tags.add("sft-pocket-bbbbbb", ["old"])
    before = set(listed(capsys))
    assert call("runs", "rm", "--yes", "--json", *names) == 0
    assert json.loads(capsys.readouterr().out) == {"removed": removed}
    assert before - set(listed(capsys)) == set(removed)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rm", "sft", "--yes"], "'sft' is the start of 2 runs"),
        (["rm", "out/sft", "--yes"], "'out/sft' names 2 runs: sft-sft-pocket-cccccc, sft-pocket-bbbbbb"),
        (["rm", "nanoo", "--yes"], "no run 'nanoo': did you mean 'nano'?"),
        (["rm", "../home", "--yes"], "no run '../home'"),
        (["rm", "..", "--yes"], "no run '..'"),
        (["rm", "", "--yes"], "the name of a run is empty"),
        (["rm", ".", "--yes"], "no run '.'"),
        (["rm", "/", "--yes"], "no run '/'"),
        (["rm", "nano"], "add --yes"),
        (["rm"], "RUN"),
        (["rn", "nano"], "no verb 'rn': known: rm, tag"),
        (["--task", "pocket", "rm", "nano", "--yes"], "--task is an option of the list"),
        (["--task", "pokcet"], "did you mean 'pocket'?"),
        (["--model", "sft"], "no run of a model 'sft': did you mean 'out/sft'?"),
        (["--tag", "x"], "no run has the tag 'x': there are none"),
        (["tag", "nano", "nano"], "'nano' is the model of run nano-pocket-aaaaaa"),
        (["tag", "nano", "half-spider-dddddd"], "is the id of run"),
        (["tag", "nano", "a/b"], "'a/b' is no tag"),
        (["tag", "nano", "-x"], "unexpected argument: -x"),
        (["tag", "nano", "--remove", "x"], "has no tag 'x': there are none"),
    ],
)
def test_a_mistake_is_one_line_and_removes_nothing(
    words: list[str], message: str, capsys: Capture, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    before = sorted(str(path) for path in home.rglob("*"))
    assert call("runs", *words) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1 and not printed.out
    assert sorted(str(path) for path in home.rglob("*")) == before


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("yes\n", 0), ("\n", 1), ("no\n", 1), ("\x04", 1)])
def test_a_removal_asks_on_a_terminal(answer: str, code: int, home: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "harness.cli", "runs", "rm", "nano", "half"]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=theirs, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    os.write(ours, answer.encode())
    printed = process.communicate(timeout=60)[1].decode()
    os.close(ours)
    os.close(theirs)
    assert process.returncode == code
    assert "nano-pocket-aaaaaa, " in printed and "remove these 2 runs? [y/N]" in printed
    assert store.folder("nano-pocket-aaaaaa").is_dir() == bool(code)


def test_an_empty_name_is_not_the_beginning_of_the_only_run(capsys: Capture) -> None:
    for run in store.runs()[1:]:
        catalog.remove(run.id)
    assert [call("runs", "rm", name, "--yes") for name in ("", " ", "\n")] == [2, 2, 2]
    assert capsys.readouterr().err.count("the name of a run is empty") == 3 and len(store.runs()) == 1


def test_only_the_link_to_a_run_elsewhere_is_removed(home: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    store.folder("nano-pocket-aaaaaa").rename(moved)
    (home / "runs" / "nano-pocket-aaaaaa").symlink_to(moved)
    (store.folder("sft-pocket-bbbbbb") / "data").symlink_to(tmp_path)
    assert call("runs", "rm", "nano-pocket-aaaaaa", "sft-pocket-bbbbbb", "--yes") == 0
    assert not os.path.lexists(home / "runs" / "nano-pocket-aaaaaa")
    assert (moved / "records.parquet").is_file() and (home / "runs").is_dir()


def test_a_damaged_run_can_be_removed_by_its_id(home: Path, capsys: Capture) -> None:
    (store.folder("nano-pocket-aaaaaa") / "run.json").write_text("{")
    (home / "runs" / "a-file").write_text("x")
    assert call("runs", "rm", "nano-pocket-aaaaaa", "a-file", "--yes") == 0
    assert {path.name for path in (home / "runs").iterdir()} == {
        "sft-pocket-bbbbbb",
        "sft-sft-pocket-cccccc",
        "half-spider-dddddd",
    }


def test_a_kill_while_a_run_is_removed_leaves_no_half_of_it(home: Path) -> None:
    code = """
    import os, shutil, signal
    shutil.rmtree = lambda path: os.kill(os.getpid(), signal.SIGKILL)
    from leaderboards import catalog
    catalog.remove("nano-pocket-aaaaaa")
    """
    with child(code) as process:
        assert process.wait() == -signal.SIGKILL
    assert "nano-pocket-aaaaaa" not in {run.id for run in store.runs()}
    assert len(store.runs()) == 3


def test_tags_change_no_file_of_the_run_and_name_it_everywhere(capsys: Capture) -> None:
    before = files_of("nano-pocket-aaaaaa")
    assert call("runs", "tag", "nano", "paper", "v1.0") == 0
    assert capsys.readouterr().out == "nano-pocket-aaaaaa: paper, v1.0\n"
    assert files_of("nano-pocket-aaaaaa") == before
    assert find("paper").id == find("v1.0").id == "nano-pocket-aaaaaa"
    assert call("compare", "paper", "sft-pocket-bbbbbb", "--json") == 0
    assert json.loads(capsys.readouterr().out)["a"]["run"] == "nano-pocket-aaaaaa"
    assert call("show", "v1.0", "q1") == 0
    capsys.readouterr()
    assert call("board") == 0
    assert "paper · v1.0" in capsys.readouterr().out
    assert call("runs") == 0
    assert "paper · v1.0" in capsys.readouterr().out
    assert call("show", "paperr", "q1") == 2
    assert "did you mean 'paper'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "left"),
    [
        (["--remove", "a"], ["b"]),
        (["a", "b", "--remove"], []),
        (["c", "--remove", "a"], ["b", "c"]),
        (["a"], ["a", "b"]),
        ([], ["a", "b"]),
    ],
)
def test_tags_are_added_and_removed(words: list[str], left: list[str], capsys: Capture) -> None:
    tags.add("nano-pocket-aaaaaa", ["b", "a"])
    assert call("runs", "tag", "nano", *words, "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"run": "nano-pocket-aaaaaa", "tags": left}


@pytest.mark.parametrize(
    ("name", "run_id"),
    [
        ("nano", "nano-pocket-ffffff"),
        ("out/sft", "sft-pocket-bbbbbb"),
        ("sft-s", "sft-sft-pocket-cccccc"),
        ("half", "half-spider-dddddd"),
    ],
)
def test_a_model_is_tagged_by_its_newest_evaluation(name: str, run_id: str, capsys: Capture) -> None:
    finish("nano-pocket-ffffff", "nano", right=3)
    assert call("runs", "tag", name, "x") == 0
    assert capsys.readouterr().out == f"{run_id}: x\n"


def test_foreign_files_among_the_tags_are_ignored() -> None:
    tags.add("nano-pocket-aaaaaa", ["a"])
    for name in (".hidden", "\x1b[2J", "x" * 41):
        (store.folder("nano-pocket-aaaaaa") / "tags" / name).touch()
    assert tags.read("nano-pocket-aaaaaa") == ("a",)


def test_a_tagged_run_stays_on_the_board_when_it_is_repeated() -> None:
    finish("nano-pocket-eeeeee", "nano", right=1)
    old, new = (store.folder(f"nano-pocket-{end * 6}") for end in "ae")
    content = json.loads((new / "run.json").read_text())
    content["digest"] = "nano-pocket-aaaaaa"
    del content["crc32"]
    (new / "run.json").write_text(json.dumps(content))
    assert old.name not in shown_on_board()
    tags.add(old.name, ["paper"])
    assert {old.name, new.name} <= shown_on_board()


def shown_on_board() -> set[str]:
    return {row.run.id for rows in board().groups.values() for row in rows}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1s"), (42.4, "42s"), (150, "2m"), (7200, "2.0h"), (86400 * 2, "2d"), (4e7, "463d")],
)
def test_ages(seconds: float, text: str) -> None:
    assert age(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_600, "1.0 MB"), (2 * 10**12, "2.0 TB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_the_list_fits_80_columns(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    finish("m" * 60 + "-ffffff", "org/" + "m" * 90)
    tags.add("m" * 60 + "-ffffff", [f"tag-{number}" for number in range(20)])
    moment = datetime.now(UTC) - timedelta(days=4000)
    path = store.folder("sft-pocket-bbbbbb") / "run.json"
    content = json.loads(path.read_text()) | {"ended": moment.isoformat()}
    del content["crc32"]
    path.write_text(json.dumps(content))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    capsys.readouterr()
    assert call("runs") == 0
    printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, printed.splitlines())) <= 80
    assert re.search(r"66\.7 +3 +4000d +[\d.]+ kB +finished", printed)
    joined = "".join(printed.split())
    assert all(f"tag-{number}" in joined for number in range(20)) and "m" * 44 in joined
