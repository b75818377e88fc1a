"""Damaged run directories: no verb raises or waits, and no run is silently missing."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_leaderboards_store import RUN, record

from harness.cli import main
from harness.render.curve import CurveLine
from leaderboards import store, validation
from leaderboards.summary import summary
from leaderboards.types import Run
from tasks.common.errors import DataError
from tasks.common.files import CHECKSUM

Capture = pytest.CaptureFixture[str]
A, B, HALF, TRAIN = "a-pocket-00000a", "b-pocket-00000b", "half-pocket-00000c", "train-pocket-00000d"
MUTATED = int(os.environ.get("HARNESS_MUTATED", "30"))
"""Run folders of the fast test; the slow one takes 2,000."""
NUMBERS = [True, -1, 0, 1.5, float("nan"), 1e308, 10**400, 2**63]
ODD = [*NUMBERS, None, "", "x", "[/nope]", "\ud800", "\x1b[2J", [], [1], {}, {"a": 1}]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two finished evaluations, an unfinished one and an unfinished training."""
    home = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(home))
        for name, right in ((A, 3), (B, 5)):
            run = replace(RUN, id=name, model=name[0], digest=name, trained_by=TRAIN, parent="nano")
            with store.open_run(run) as handle:
                handle.append([record(str(i), metric=float(i < right), part="p" * (i % 2)) for i in range(6)])
                handle.finish(summary(list(handle.done.values())))
        with store.open_run(replace(RUN, id=HALF, model="half", digest=HALF)) as handle:
            for i in range(4):
                handle.append([record(str(i))])
        with store.open_run(replace(RUN, id=TRAIN, kind="train", model="t", digest=TRAIN)) as handle:
            handle.append_curve([{"step": i, "reward": i / 10, "alarms/repeated": 0.0} for i in range(5)])
    return home


def flipped(path: Path, choose: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(choose.choice((1, 1, 3, 20))):
        if content:
            content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
    path.write_bytes(bytes(content))


def cut(path: Path, choose: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: choose.randrange(len(content) + 1)])


def inserted(path: Path, choose: random.Random) -> None:
    content = path.read_bytes()
    place = choose.randrange(len(content) + 1)
    junk = choose.choice(
        [b"\xff\xfe", b"\0" * 9, b"\n", b"{}\n", b"[" * 9999, b"\r\n", b'"', b"NaN", b"9" * 5000]
    )
    path.write_bytes(content[:place] + junk + content[place:])


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container within a JSON value, with each of its keys."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from places(inner)


def swapped(path: Path, choose: random.Random) -> None:
    """A value of another type, a key that is missing, or one more, in one JSON value of the file."""
    if path.suffix == ".parquet":
        return flipped(path, choose)
    text = path.read_text()
    lines = text.splitlines() if path.suffix == ".jsonl" else [text]
    number = choose.randrange(len(lines))
    value = json.loads(lines[number])
    if choose.randrange(2):
        value.pop(CHECKSUM, None)  # types are checked where no checksum is
    container, key = choose.choice(list(places(value)))
    how = choose.randrange(4)
    if how == 0:
        del container[key]
    elif how == 1 and isinstance(container, dict):
        container[f"new{choose.randrange(99)}"] = choose.choice(ODD)
    else:
        container[key] = choose.choice(ODD)
    lines[number] = json.dumps(value)
    path.write_text("\n".join(lines) + "\n")
    return None


def replaced(path: Path, choose: random.Random) -> None:
    """Something that is no regular file in its place, or nothing at all."""
    path.unlink()
    kind = choose.randrange(8)
    if kind == 0:
        os.mkfifo(path)
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        path.symlink_to(path.parent / "nowhere")
    elif kind == 3:
        path.symlink_to(path)
    elif kind == 4:
        path.symlink_to("/dev/zero")
    elif kind == 5:
        path.touch()
    elif kind == 6:
        path.write_bytes(choose.randbytes(300))


def renamed(path: Path, choose: random.Random) -> None:
    """Another id within, or the whole directory is something else."""
    folder, kind = path.parent, choose.randrange(5)
    if kind == 0:
        shutil.rmtree(folder)
        os.mkfifo(folder)
    elif kind == 1:
        shutil.rmtree(folder)
        folder.mkdir()
    elif kind == 2:
        shutil.rmtree(folder)
        folder.symlink_to(folder)
    else:
        printed = json.loads((folder / "run.json").read_text())
        printed["id"] = choose.choice(["../../etc", "/etc/passwd", A, "", "\x1b[2J", "[/nope]"])
        printed["trained_by"] = choose.choice(["../../etc", "\0", "nosuch", "."])
        (folder / "run.json").write_text(json.dumps(printed))


HOW: list[Callable[[Path, random.Random], None]] = [
    flipped,
    cut,
    inserted,
    swapped,
    swapped,
    replaced,
    renamed,
]


def resumed(run: Run) -> None:
    """What a training or an evaluation that is started again does with its own run."""
    with store.open_run(run) as handle:
        CurveLine(store.curve(handle.run.id)).add({"reward": 0.5})
        handle.append([record("new")])
        handle.append_curve([{"step": 9, "reward": 1.0}])
        handle.finish(summary(list(handle.done.values())))


def survives(home: Path, damaged: str, capsys: Capture) -> None:
    """Every reader of runs meets this home; the damaged run is shown or named."""
    capsys.readouterr()
    assert main(["board", "--json"]) == 0
    printed = capsys.readouterr()
    board = json.loads(printed.out)
    shown = {row["run"] for group in board["groups"] for row in group["rows"]} | set(board["unfinished"])
    for name in {A, B, HALF} - shown:
        assert name == damaged and f"left out run {name}: " in printed.err
    if damaged == TRAIN:
        assert {A, B, HALF} <= shown
    for line in (["board", "--reasons"], ["compare", A, B], ["show", A, "0"], ["show", B, "0", "--json"]):
        code = main(line)
        printed = capsys.readouterr()
        assert code in (0, 2) and (code == 0 or damaged in printed.err), (line, printed.err)
        assert "\x1b" not in printed.out + printed.err
    for run in (replace(RUN, id="x1", digest=HALF), replace(RUN, id="x2", kind="train", digest=TRAIN)):
        resumed(run)
    capsys.readouterr()


def mutate(whole: Path, home: Path, seed: int) -> tuple[str, str]:
    """A copy of the whole home with one damage; the run that is damaged, and how."""
    choose = random.Random(seed)
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(whole, home)
    files = sorted(path for path in (home / "runs").glob("*/*") if path.name != "lock" or seed % 5 == 0)
    path = choose.choice(files)
    how = choose.choice(HOW) if path.name != "lock" else replaced
    how(path, choose)
    return path.parent.name, f"seed {seed}: {how.__name__} {path.relative_to(home)}"


def check(whole: Path, tmp_path: Path, capsys: Capture, seeds: range) -> None:
    home = tmp_path / "mutated"
    os.environ["HARNESS_HOME"] = str(home)
    for seed in seeds:
        damaged, how = mutate(whole, home, seed)
        try:
            survives(home, damaged, capsys)
        except Exception as error:
            raise AssertionError(how) from error


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path))


def test_no_damage_ends_a_verb_or_hides_a_run(whole: Path, tmp_path: Path, capsys: Capture) -> None:
    check(whole, tmp_path, capsys, range(MUTATED))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_two_thousand_damaged_folders(whole: Path, tmp_path: Path, capsys: Capture) -> None:
    check(whole, tmp_path, capsys, range(10_000, 12_000))


FLIPS = [
    *((A, "run.json"), (A, "scores.json"), (A, "records.parquet")),
    *((HALF, "partial.jsonl"), (TRAIN, "curve.jsonl")),
]


def believed(run_id: str) -> list[object]:
    """All values that are read of a run, each as text; empty where it is named as broken."""
    try:
        run = validation.run(store.folder(run_id))
        if run.finished:
            return [repr(run), repr(store.summary(run_id)), *map(repr, store.records(run_id))]
        with store.open_run(run) as handle:
            return [*map(repr, handle.done.values()), *map(repr, store.curve(run_id))]
    except (DataError, OSError, ValueError):
        return []


@pytest.mark.parametrize(("run_id", "name"), FLIPS)
def test_no_flipped_bit_is_believed(run_id: str, name: str, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    file = store.folder(run_id) / name
    content, right = file.read_bytes(), set(believed(run_id))
    assert right
    choose = random.Random(0)
    for _ in range(60):
        changed = bytearray(content)
        changed[choose.randrange(len(changed))] ^= 1 << choose.randrange(8)
        file.write_bytes(changed)
        assert set(believed(run_id)) <= right


@pytest.mark.parametrize("name", ["run.json", "scores.json"])
def test_what_an_older_version_wrote_has_no_checksum_and_is_read(
    name: str, whole: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    file = store.folder(A) / name
    printed = json.loads(file.read_text())
    del printed[CHECKSUM]
    file.write_text(json.dumps(printed))
    assert len(believed(A)) == 8


def test_a_damaged_run_is_left_for_an_older_one_of_the_model(
    whole: Path, tmp_path: Path, capsys: Capture
) -> None:
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    newer = "a-pocket-ffffff"
    shutil.copytree(store.folder(A), store.folder(newer))
    damaged = store.folder(newer) / "records.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    for line in (["show", "a", "0"], ["compare", "a", "b"], ["compare", "b", "a"]):
        assert main(line) == 0
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1 and printed.err.startswith(f"left out run {newer}: records of ")
        assert f"{newer}" not in printed.out
    assert main(["show", newer, "0"]) == 2
    assert main(["compare", newer, B]) == 2
