"""Endpoints from the command line: no question lost, none wrong for a server's failure, no key anywhere."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.hostile import Hostile, hostile

from harness.cli import main
from leaderboards import store
from leaderboards.types import Run

KEY = "sk-secret-0123456789"
DEEDS = ["429", "500", "half", "halfjson", "garbage", "silent", "close", "503", "nochoices", "wait", "400"]
PATIENCE = ["runner.endpoint.timeout=0.5", "runner.endpoint.backoff=0.01", "runner.endpoint.retries=1"]


@pytest.fixture
def server() -> Iterator[Hostile]:
    with hostile() as running:
        yield running


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """One question for each misdeed, twice: the odd ones are answered rightly, the even ones wrongly."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(100)])
    connection.close()
    rows = [
        {
            "question": f"{number}\nplan: {deed}\nanswer: SELECT x FROM t WHERE x = {number // 2}",
            "query": f"SELECT x FROM t WHERE x = {(number + 1) // 2}",
            "db_id": "d",
        }
        for number, deed in enumerate([deed for deed in DEEDS for _ in range(2)])
    ]
    (tmp_path / "dev.json").write_text(json.dumps(rows))
    path = tmp_path / "task.yaml"
    path.write_text(
        f"name: asked\ndataset: {{path: '{tmp_path}/dev.json', splits: {{dev: dev}}}}\n"
        f"databases: {{path: '{tmp_path}/{{database}}.sqlite'}}\n"
    )
    return str(path)


def evaluate(task: str, url: str, *more: str) -> int:
    settings = [part for setting in PATIENCE for part in ("--set", setting)]
    line = ["eval", "--model", "openai:m", "--base-url", url, "--task", task, "--workers", "1"]
    return main([*line, *settings, *more])


def the_run() -> Run:
    (run,) = store.runs()
    return run


def kept() -> list[dict[str, Any]]:
    """What an unfinished run has on disk, the last record of each key."""
    lines = (store.folder(the_run().id) / "partial.jsonl").read_text().splitlines()
    records = [json.loads(line)["record"] for line in lines]
    return list({(record["sample_id"], record["sample_index"]): record for record in records}.values())


def test_nothing_is_lost_or_scored_wrong_and_resume_completes(
    task: str, server: Hostile, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(task, server.url) == 1
    said = capsys.readouterr().err
    assert f"{2 * len(DEEDS)} answers failed; question" in said and "run the same command again" in said
    records = kept()
    assert len(records) == 2 * len(DEEDS)
    assert {record["finish"] for record in records} == {"error"}
    assert {record["metric"] for record in records} == {None} == {record["reward"] for record in records}
    assert {record["reason"] for record in records} == {"infrastructure"}

    server.healthy = True
    assert evaluate(task, server.url, "--set", "runner.endpoint.concurrency=3") == 0
    run = the_run()
    scores = store.scores(run.id)
    assert run.finished and (scores["n"], scores["unscored"]) == (2 * len(DEEDS), 0)
    assert {record.sample_id: record.metric for record in store.records(run.id)} == {
        str(number): float(number % 2 == 0) for number in range(2 * len(DEEDS))
    }


def test_only_what_is_missing_is_asked_again(task: str, server: Hostile) -> None:
    text = Path(task).with_name("dev.json")
    text.write_text(text.read_text().replace("plan: 5", "plan: ok 5"))
    assert evaluate(task, server.url) == 1
    asked = dict(server.asked)
    server.healthy = True
    assert evaluate(task, server.url) == 0
    again = [question for question, count in server.asked.items() if count > asked[question]]
    assert len(again) == 2 * len(DEEDS) - 4
    assert not [question for question in again if "plan: ok" in question]


def test_another_server_is_another_run(task: str, server: Hostile) -> None:
    server.healthy = True
    assert evaluate(task, server.url, "--limit", "2") == 0
    with hostile() as other:
        other.healthy = True
        assert evaluate(task, other.url, "--limit", "2") == 0
        assert len(other.bodies) == 2
    assert len(store.runs()) == 2


def test_a_wrong_key_is_one_line(task: str, server: Hostile, capsys: pytest.CaptureFixture[str]) -> None:
    text = Path(task).with_name("dev.json")
    text.write_text(text.read_text().replace("plan: 429", "plan: 401"))
    assert evaluate(task, server.url, "--limit", "1") == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line == f"harness eval: {server.url}: HTTP 401: no, says 401; you sent Bearer [key]"


def test_a_sweep_of_temperatures_is_a_run_each(task: str, server: Hostile) -> None:
    server.healthy = True
    assert evaluate(task, server.url, "--temperature", "0,0.5,1", "--limit", "2", "--samples", "2") == 0
    assert sorted(run.sampling["temperature"] for run in store.runs()) == [0.0, 0.5, 1.0]
    assert {body["temperature"] for body in server.bodies} == {0.0, 0.5, 1.0}
    assert all(body["n"] == 2 for body in server.bodies)


def test_prices_become_a_cost(task: str, server: Hostile, capsys: pytest.CaptureFixture[str]) -> None:
    server.healthy = True
    prices = ("--set", "runner.endpoint.input_price=1000", "--set", "runner.endpoint.output_price=5000")
    assert evaluate(task, server.url, "--limit", "4", *prices) == 0
    assert store.scores(the_run().id)["cost"] == pytest.approx(4 * (100 * 1000 + 10 * 5000) / 1e6)
    assert "cost 0.60 US dollars" in capsys.readouterr().out


def test_a_failed_query_is_corrected_and_the_record_holds_the_conversation(
    task: str, server: Hostile
) -> None:
    """What has no ``answer:`` line, such as the database's complaint, is answered ``SELECT 1``."""
    text = Path(task).with_name("dev.json")
    said = ["SELECT gone FROM t", "SELECT x FROM t WHERE x = 1", "no query"]
    rows = [{"question": f"plan: ok\nanswer: {one}", "query": "SELECT 1", "db_id": "d"} for one in said]
    text.write_text(json.dumps(rows))
    assert evaluate(task, server.url, "--turns", "3", "--samples", "2") == 0
    records = store.records(the_run().id)
    assert [(one.sample_id, one.sql, one.metric) for one in records] == [
        (str(i // 2), said[1] if i // 2 == 1 else "SELECT 1", 1.0) for i in range(6)
    ]
    conversation = json.loads(records[0].prompt)
    assert [one["role"] for one in conversation] == ["user", "assistant", "user"]
    assert conversation[1]["content"] == said[0]
    assert conversation[2]["content"].startswith("Your query failed: no such column: gone.")
    assert [one.tokens for one in records] == [20, 20, 10, 10, 20, 20]
    assert the_run().sampling["turns"] == 3


@pytest.mark.parametrize("deed", ["echo", "401", "500", "crash"])
def test_the_key_is_nowhere(task: str, server: Hostile, tmp_path: Path, deed: str) -> None:
    """In a process of its own: its output, a bug's traceback, the run directory and the pages."""
    text = Path(task).with_name("dev.json")
    text.write_text(text.read_text().replace("plan: 429", f"plan: {deed}"))
    line = ["eval", "--model", "openai:m", "--base-url", server.url, "--task", task, "--limit", "1"]
    crash = "import runners.openai as o; o._read = lambda reply: 1 / 0; " if deed == "crash" else ""
    if deed == "crash":
        server.healthy = True
    settings = [part for setting in PATIENCE for part in ("--set", setting)]
    code = f"import sys; {crash}from harness.cli import main; sys.exit(main({[*line, *settings]!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ("ZeroDivisionError" in done.stderr) is (deed == "crash")
    (tmp_path / "home" / "output.log").write_text(done.stdout + done.stderr)
    assert holding(tmp_path / "home", KEY) == []
    assert holding(tmp_path / "home", server.url), "the search finds what is there"


def holding(place: Path, text: str) -> list[Path]:
    """Files that hold a text, also inside Parquet, which is compressed."""
    import pyarrow.parquet

    found = []
    for path in place.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".parquet":
                data += repr(pyarrow.parquet.read_table(path).to_pylist()).encode()
            if text.encode() in data:
                found.append(path)
    return found
