"""One evaluation by several processes: the same run as by one, even if one is killed."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_docs import ROOT, blocks

from harness.cli import main, parser
from harness.verbs.measure import as_they_are_now
from leaderboards import shards, store
from leaderboards.shards import Shard
from leaderboards.types import Run
from tasks.common.errors import DataError

PAGE = ROOT / "docs" / "how-to" / "scale.md"
NANO = ("--model", "nano", "--task", "pocket", "--limit", "40", "--samples", "2", "--temperature", "1")
GOLD = ("--model", "gold", "--task", "pocket", "--limit", "9")


@pytest.mark.parametrize("count", range(1, 12))
def test_the_shards_of_items_are_those_items(count: int) -> None:
    items = list(range(11))
    parts = [Shard(index, count).of(items) for index in range(1, count + 1)]
    assert [item for part in parts for item in part] == items
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def process(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "harness.cli", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def contents(run: Run) -> list[dict[str, Any]]:
    """The records of a run without times; log-probabilities to the precision of float32 sums."""
    records = [asdict(record) | {"seconds": 0.0} for record in store.records(run.id)]
    return [one | {"logprob": pytest.approx(one["logprob"], abs=1e-4)} for one in records]


def evaluated_alone(home: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Run, list[Any], Mapping[str, Any]]:
    """The same evaluation by one process in a home of its own: the run, its records and its figures."""
    with monkeypatch.context() as patch:
        other = home.with_name("other")
        other.mkdir()
        (other / "pocket-1").symlink_to(home / "pocket-1")
        patch.setenv("HARNESS_HOME", str(other))
        assert main(["eval", *NANO]) == 0
        (run,) = store.runs()
        return run, contents(run), store.scores(run.id)


@pytest.mark.slow
def test_four_processes_of_which_one_is_killed_make_the_run_of_one(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = [process("eval", *NANO, "--shard", f"{index}/4") for index in range(1, 5)]
    while not list(home.glob("runs/*/shards-of-4/3/lock")):
        time.sleep(0.01)
    started[2].kill()
    assert [one.wait() for one in started] == [0, 0, -signal.SIGKILL, 0]
    (run,) = store.runs()
    assert not run.finished and shards.missing(run.id) == [Shard(3, 4)]
    assert main(["eval", *NANO, "--shard", "3/4"]) == 0
    (run,) = store.runs()
    assert run.finished and not list(store.folder(run.id).glob("shards*"))
    alone, records, scores = evaluated_alone(home, monkeypatch)
    assert [asdict(one) | {"seconds": 0.0} for one in store.records(run.id)] == records
    assert store.scores(run.id) == scores
    assert (run.digest, run.sampling, run.identity) == (alone.digest, alone.sampling, alone.identity)


def test_a_finished_run_is_every_shard_s_answer(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *GOLD]) == 0
    assert main(["eval", *GOLD, "--shard", "2/3"]) == 0
    assert len(store.runs()) == 1


def test_each_process_says_what_the_run_waits_for(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *GOLD, "--shard", "2/3"]) == 0
    (run,) = store.runs()
    assert f"shard 2/3 is complete; run {run.id} waits for 1/3, 3/3" in capsys.readouterr().err
    assert main(["merge", run.id]) == 2
    assert f"run {run.id} waits for shard 1/3, 3/3" in capsys.readouterr().err
    assert main(["runs"]) == 0
    assert "unfinished" in capsys.readouterr().out


def test_a_run_that_another_process_finishes_meanwhile_waits_for_nothing(home: Path) -> None:
    """As while this process evaluates its second model."""
    assert main(["eval", *GOLD, "--shard", "1/2"]) == 0
    (before,) = store.runs()
    assert main(["eval", *GOLD, "--shard", "2/2"]) == 0
    assert shards.missing(before.id) == []
    (now,) = as_they_are_now([before], Shard(1, 2))
    assert now.finished and now == store.runs()[0]


def test_a_division_by_another_number_is_another_run(home: Path) -> None:
    for words in (["--shard", "1/2"], ["--shard", "1/3"], []):
        assert main(["eval", *GOLD, *words]) == 0
    assert [run.finished for run in store.runs()] == [False, False, True]


def test_a_shard_is_judged_by_one_process(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *GOLD, "--shard", "1/2"]) == 0
    (run,) = store.runs()
    with holding(store.folder(run.id) / "shards-of-2" / "1" / "lock"):
        assert main(["eval", *GOLD, "--shard", "1/2"]) == 2
        assert f"another process judges shard 1/2 of {run.id}" in capsys.readouterr().err
        assert main(["runs", "rm", run.id, "--yes"]) == 2
    assert main(["runs", "rm", run.id, "--yes"]) == 0


def test_damaged_records_of_a_shard_are_judged_again(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *GOLD, "--shard", "1/2"]) == 0
    (run,) = store.runs()
    file = store.folder(run.id) / "shards-of-2" / "1" / "partial.jsonl"
    file.write_bytes(file.read_bytes().replace(b"SELECT", b"SELECx", 1))
    assert main(["eval", *GOLD, "--shard", "2/2"]) == 2
    assert "the records of shard 1/2 are damaged" in capsys.readouterr().err
    assert main(["eval", *GOLD, "--shard", "1/2"]) == 0
    (run,) = store.runs()
    assert run.finished and store.scores(run.id)["n"] == 9


def test_a_shard_in_the_place_of_another_makes_no_run(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", *GOLD, "--shard", "1/2"]) == 0
    (run,) = store.runs()
    folder = store.folder(run.id) / "shards-of-2"
    shutil.copytree(folder / "1", folder / "2")
    assert main(["merge", run.id]) == 2
    assert "two shards hold the same answers" in capsys.readouterr().err
    assert not store.runs()[0].finished


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"records": 4, "seconds": "long", "memory": 1, "gpu_memory": null}', "\0"]
)
def test_a_damaged_note_of_a_shard_is_one_line(
    home: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    assert main(["eval", *GOLD, "--shard", "1/2"]) == 0
    (run,) = store.runs()
    (store.folder(run.id) / "shards-of-2" / "1" / "done.json").write_text(content)
    assert main(["eval", *GOLD, "--shard", "2/2"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"harness eval: run {run.id}: ")
    assert not store.runs()[0].finished


def test_a_folder_of_more_shards_than_there_are_questions_is_none(home: Path) -> None:
    assert main(["eval", *GOLD, "--shard", "1/2"]) == 0
    (run,) = store.runs()
    folder = store.folder(run.id)
    (folder / "shards-of-2").rename(folder / f"shards-of-{10**12}")
    with pytest.raises(DataError, match="has no shards"):
        shards.missing(run.id)


def test_merge_makes_the_run_that_the_last_process_could_not(home: Path) -> None:
    assert main(["eval", *GOLD, "--shard", "1/2"]) == 0
    (run,) = store.runs()
    with holding(store.folder(run.id) / "lock"):
        last = process("eval", *GOLD, "--shard", "2/2")
        while not shards.is_complete(run.id, Shard(2, 2)):
            time.sleep(0.01)
        last.kill()
        last.wait()
    assert not store.runs()[0].finished
    assert main(["merge", run.id]) == 0
    assert store.runs()[0].finished and store.scores(run.id)["n"] == 9
    assert main(["merge", run.id]) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--shard", "1/10"], "9 questions cannot be divided into 10 shards"),
        (["--shard", "1/2", "--fresh"], "--fresh does not go with --shard"),
        *(
            (["--shard", wrong], f"'{wrong}' is no shard")
            for wrong in ("0/2", "3/2", "1", "1/", "a/b", "1/-2")
        ),
    ],
)
def test_wrong_shards(words: list[str], message: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert main(["eval", *GOLD, *words]) == 2
    except SystemExit as ended:
        assert ended.code == 2
    assert message in capsys.readouterr().err


def test_a_run_without_shards_cannot_be_merged(home: Path) -> None:
    with pytest.raises(DataError, match="no-such-run"):
        shards.merge("no-such-run")


def test_the_scripts_of_the_page_are_valid() -> None:
    """Slurm's script runs in bash, SkyPilot's file is YAML, and both call ``harness eval`` as it is."""
    slurm, sky = (block for block in blocks(PAGE.read_text()) if "--shard" in block)
    subprocess.run(["bash", "-n"], input=slurm, text=True, check=True)
    assert re.search(r"^#SBATCH --array=1-8$", slurm, re.M)
    task = yaml.safe_load(sky)
    subprocess.run(["bash", "-n"], input=task["run"], text=True, check=True)
    assert task["num_nodes"] > 1
    for script in (slurm, task["run"]):
        (call,) = re.findall(r"harness (eval .*)", script.replace("\\\n", " "))
        words = re.sub(r'--shard ".*"', "--shard 1/8", call)
        assert parser().parse_args(shlex.split(words)).shard == Shard(1, 8)


class holding:
    """Another process holds the lock of a file while the block runs."""

    def __init__(self, file: Path) -> None:
        code = "from pathlib import Path\nfrom tasks.common import files\n"
        code += f"lock = files.lock(Path({str(file)!r}))\nprint(lock is not None, flush=True)\ninput()"
        self._process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> None:
        assert self._process.stdout and self._process.stdout.readline() == "True\n"

    def __exit__(self, *_: object) -> None:
        self._process.communicate("\n")
