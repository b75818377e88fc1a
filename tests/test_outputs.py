"""What a command writes to: no foreign file is lost, no two processes share an output, no leftovers stay."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cpu_time import takes_less
from test_leaderboards_store import RUN, record

from harness.cli import main
from leaderboards import store
from tasks import pocket
from tasks.common import files
from tasks.common.errors import DataError
from tasks.common.secrets import without_secrets

Capture = pytest.CaptureFixture[str]
EVAL = ["eval", "--model", "gold", "--task", "pocket", "--limit", "3"]
SAMPLE = ["sample", "--model", "gold", "--task", "pocket", "--limit", "3", "--samples", "1"]


@pytest.fixture(autouse=True)
def _at_home(home: Path) -> None:
    """Every test has a HARNESS_HOME of its own."""


def foreign(out: Path, kind: str) -> None:
    """Something in the way of a run's copy."""
    if kind == "file":
        out.write_text("mine")
    elif kind == "link":
        out.symlink_to(out.parent / "nowhere" / "else")
    else:
        out.mkdir()
        (out / kind).write_text("mine")


@pytest.mark.parametrize("kind", ["file", "notes.txt", "scores.json", "records.parquet", ".git"])
def test_eval_refuses_an_out_of_somebody_else_before_it_asks(
    kind: str, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "out"
    foreign(out, kind)
    assert main([*EVAL, "--out", str(out)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(out) in error
    assert (out if kind == "file" else out / kind).read_text() == "mine"
    assert store.runs() == []


def test_eval_copies_into_an_empty_folder_and_over_its_own_copy(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    for limit in ("3", "4"):
        assert main([*EVAL[:-1], limit, "--out", str(out)]) == 0
        run = json.loads((out / "run.json").read_text())
        assert run["limit"] == int(limit)
        assert {path.name for path in out.iterdir()} == {"run.json", "scores.json", "records.parquet"}
    assert main([*EVAL, "--model", "empty", "--out", str(tmp_path / "two")]) == 0
    assert len(list((tmp_path / "two").glob("*/run.json"))) == 2


@pytest.mark.parametrize("content", ["mine", '{"id": 1}\n', "[1]\n", "[" * 99999])
def test_sample_refuses_a_file_of_somebody_else(content: str, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "own.jsonl"
    out.write_text(content)
    assert main([*SAMPLE, "--out", str(out)]) == 2
    assert "choose another file" in capsys.readouterr().err
    assert out.read_text() == content and store.runs() == []


def test_sample_writes_over_its_own_file(tmp_path: Path) -> None:
    out = tmp_path / "new" / "own.jsonl"
    for _ in range(2):
        assert main([*SAMPLE, "--out", str(out)]) == 0
    assert len(out.read_text().splitlines()) == 3
    assert [path.name for path in out.parent.iterdir()] == ["own.jsonl"]


HOLD = """
import sys, time
from pathlib import Path
from harness.provenance import outputs
with getattr(outputs, sys.argv[1])(Path(sys.argv[2])):
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def held(what: str, place: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes to this place."""
    command = [sys.executable, "-c", HOLD, what, str(place)]
    root = Path(__file__).parent.parent
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("what", "name", "line"),
    [
        ("training_into", "out", "train --task pocket --method sft --model nano --limit 4 --out"),
        ("rows_into", "own.jsonl", " ".join(SAMPLE) + " --out"),
        ("evaluation_into", "out", " ".join(EVAL) + " --out"),
    ],
)
def test_two_processes_do_not_write_to_one_out(
    what: str, name: str, line: str, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / name
    with held(what, out) as other:
        assert main([*line.split(), str(out)]) == 2
        printed = capsys.readouterr().err.strip().split("\n")[-1]
        assert f"(process {other.pid}) writes to {out}" in printed
        other.send_signal(signal.SIGKILL)
        other.wait()
    if what != "training_into":
        assert main([*line.split(), str(out)]) == 0, "the lock ended with its holder"


BUILD = "import sys; from tasks import pocket; pocket.ensure()"


def test_what_a_killed_build_of_pocket_leaves_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "fresh"
    monkeypatch.setenv("HARNESS_HOME", str(place))
    with subprocess.Popen([sys.executable, "-c", BUILD], cwd=Path(__file__).parent.parent) as building:
        while not list(place.glob(".pocket-1.*/*/*.sqlite")):
            assert building.poll() is None
            time.sleep(0.01)
        building.kill()
    assert len(list(place.glob(".pocket-1.*"))) == 1
    pocket.ensure()
    assert {path.name for path in place.iterdir()} == {"pocket-1", "pocket-1.lock"}


def test_builds_of_pocket_at_once_wait_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "fresh"
    monkeypatch.setenv("HARNESS_HOME", str(place))
    root = Path(__file__).parent.parent
    many = [subprocess.Popen([sys.executable, "-c", BUILD], cwd=root) for _ in range(3)]
    assert [one.wait() for one in many] == [0, 0, 0]
    assert {path.name for path in place.iterdir()} == {"pocket-1", "pocket-1.lock"}


def test_what_killed_writers_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    names = [".own.txt.00aaff", ".own.txt.notours", ".other.txt.00aaff", "own.txt.00aaff", ".own.txt.00aafe"]
    for name in names:
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (1, 1))
    os.utime(tmp_path / names[-1])
    files.write(tmp_path / "own.txt", b"whole")
    assert {path.name for path in tmp_path.iterdir()} - {"home"} == {"own.txt", *names[1:]}


def test_a_run_that_was_killed_before_it_stood_is_removed_when_it_is_old(home: Path) -> None:
    half = home / "runs" / ".gold-pocket-123456.abcdef"
    young = home / "runs" / ".gold-pocket-123456.abcdee"
    for path in (half, young):
        path.mkdir(parents=True)
    os.utime(half, (1, 1))
    store.open_run(RUN).finish({})
    assert {path.name for path in (home / "runs").iterdir()} == {RUN.id, young.name}


SECRET = "sk-0123456789abcdef"
HIDDEN = {
    "base_url": f"https://user:{SECRET}@host/v1?api_key={SECRET}&n=1",
    "body": {"api_key": SECRET, "extra_headers": {"Authorization": f"Bearer {SECRET}"}, "temperature": 1},
}


def test_run_json_holds_no_secret_of_the_settings(home: Path) -> None:
    run = replace(RUN, spec={"eval": {"runner": {"endpoint": HIDDEN}}})
    with store.open_run(run) as handle:
        assert SECRET not in (handle.path / "run.json").read_text()
        handle.append([record("a", completion=f"SELECT '{SECRET}'")])
        handle.finish({})
    assert SECRET not in (store.folder(RUN.id) / "run.json").read_text()
    assert SECRET in store.records(RUN.id)[0].completion, "answers are never changed"


@pytest.mark.parametrize(
    "settings",
    [
        {"extra_headers": {"Ocp-Apim-Subscription-Key": SECRET}},
        {"headers": [["Authorization", f"Bearer {SECRET}"]]},
        {"headers": [f"X-Custom: Basic {SECRET}"]},
        {"api_keys": [SECRET], "credentials": {"user": SECRET}, "accessToken": SECRET},
        {"clientSecret": SECRET, "signing_key": SECRET, "x-functions-key": SECRET, "passphrase": SECRET},
        {"name": f"sk-proj-{SECRET}", "other": f"eyJhbGciOi.eyJ.{SECRET}.{SECRET}"},
        {"url": f"https://host/v1?X-Amz-Signature={SECRET}&n=1#access_token={SECRET}"},
        {"model": f"backend:base_url=http://host,api_key={SECRET}", "dsn": f"host=h password={SECRET}"},
        {"password": 123456789},
    ],
)
def test_a_secret_is_known_by_its_name_or_its_form(settings: dict[str, Any]) -> None:
    hidden = without_secrets(settings)
    assert SECRET not in str(hidden) and "123456789" not in str(hidden)
    assert hidden.keys() == settings.keys() and without_secrets(hidden) == hidden


def test_what_is_no_secret_is_stored_as_it_is(home: Path) -> None:
    settings = {
        "key": "OPENAI_API_KEY",
        "prompt_cache_key": "a",
        "pad_token": "<pad>",
        "tokens": 3,
        "keys": True,
        "stop": ["token:", "</s>"],
        "system": "Use basic authentication; the token: x. SELECT key=1, t.id = 2",
    }
    assert without_secrets(settings) == settings
    identity = {"databases": {"cookie": "12", "session_key": "34"}}
    with store.open_run(replace(RUN, identity=identity, versions={"jwt": "1.0"})):
        (stored,) = store.runs()
    assert stored.identity == identity and stored.versions == {"jwt": "1.0"}


@pytest.mark.parametrize("part", ["a", "a=", "bearer ", "sk-", "a-", "http://", "eyJa.eyJ", "?a."])
def test_no_setting_takes_long_to_be_searched_for_secrets(part: str) -> None:
    assert takes_less(lambda: without_secrets(part * 30_000), seconds=5)  # a quadratic search takes minutes


def test_a_lock_that_is_no_file_is_one_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    os.mkfifo(out / "lock")
    with pytest.raises(DataError, match="not a regular file"), files.only_writer(out, "training"):
        pass


CHECK = ["check", "pocket", "--split", "dev", "--write-clean"]


def test_check_writes_over_its_own_file_and_no_other(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "new" / "clean.jsonl"
    for _ in range(2):
        assert main([*CHECK, str(out)]) == 0
        assert {"id", "question", "database", "gold"} <= json.loads(out.read_text().split("\n")[0]).keys()
    capsys.readouterr()
    for content in ("mine", '{"id": 1}\n', '{"prompt": [], "completion": []}\n'):
        out.write_text(content)
        assert main([*CHECK, str(out)]) == 2
        printed = capsys.readouterr()
        assert printed.err.count("\n") == 1 and "choose another file" in printed.err and printed.out == ""
        assert out.read_text() == content


@pytest.mark.parametrize("method", ["sft", "sft+grpo"])
def test_train_refuses_a_folder_of_somebody_else(method: str, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    (out / "sft").mkdir(parents=True)
    for folder in (out, out / "sft"):
        (folder / "notes.txt").write_text("mine")
    line = ["train", "--task", "pocket", "--method", method, "--model", "nano", "--limit", "4"]
    assert main([*line, "--out", str(out)]) == 2
    printed = capsys.readouterr().err.strip().split("\n")[-1]
    assert "holds 'notes.txt' and no training: choose another folder" in printed
    assert {path.name for path in out.iterdir()} == {"sft", "notes.txt"}
    assert [path.name for path in (out / "sft").iterdir()] == ["notes.txt"]
    assert store.runs() == []


@pytest.mark.parametrize("kind", ["file", "notes.txt"])
def test_the_demo_refuses_its_out_before_it_evaluates(kind: str, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    else:
        (out / "grpo").mkdir(parents=True)
        (out / "grpo" / kind).write_text("mine")
    assert main(["demo", "--out", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and store.runs() == []
