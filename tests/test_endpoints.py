"""Endpoints from the command line: no question lost, none wrong for a server's failure, no key anywhere."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from servers.hostile import Hostile, hostile

from harness.cli import main
from leaderboards import store
from leaderboards.types import Run

KEY = "sk-secret-0123456789"
BEHAVIOURS = ["429", "500", "half", "halfjson", "garbage", "silent", "close", "503", "wait", "inside"]
PATIENCE = ["runner.endpoint.timeout=0.5", "runner.endpoint.backoff=0.01", "runner.endpoint.retries=1"]


@pytest.fixture
def server() -> Iterator[Hostile]:
    with hostile() as running:
        yield running


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Two questions for each failure: the odd ones are answered correctly, the even ones wrongly."""
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(100)])
    connection.close()
    rows = [
        {
            "question": f"{number}\nplan: {behaviour}\nanswer: SELECT x FROM t WHERE x = {number // 2}",
            "query": f"SELECT x FROM t WHERE x = {(number + 1) // 2}",
            "db_id": "d",
        }
        for number, behaviour in enumerate([behaviour for behaviour in BEHAVIOURS for _ in range(2)])
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
    """The records of an unfinished run on disk, the last one of each key."""
    lines = (store.folder(the_run().id) / "partial.jsonl").read_text().splitlines()
    records = [json.loads(line)["record"] for line in lines]
    return list({(record["sample_id"], record["sample_index"]): record for record in records}.values())


def test_no_question_is_lost_or_scored_wrong_and_a_resumed_run_completes(
    task: str, server: Hostile, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(task, server.url) == 1
    printed = capsys.readouterr().err
    assert (
        f"{2 * len(BEHAVIOURS)} answers failed; question" in printed
        and "run the same command again" in printed
    )
    records = kept()
    assert len(records) == 2 * len(BEHAVIOURS)
    assert {record["finish"] for record in records} == {"error"}
    assert {record["metric"] for record in records} == {None} == {record["reward"] for record in records}
    assert {record["reason"] for record in records} == {"infrastructure"}

    server.healthy = True
    assert evaluate(task, server.url, "--set", "runner.endpoint.concurrency=3") == 0
    run = the_run()
    scores = store.scores(run.id)
    assert run.finished and (scores["n"], scores["unscored"]) == (2 * len(BEHAVIOURS), 0)
    assert {record.sample_id: record.metric for record in store.records(run.id)} == {
        str(number): float(number % 2 == 0) for number in range(2 * len(BEHAVIOURS))
    }


def test_only_what_is_missing_is_asked_again(task: str, server: Hostile) -> None:
    text = Path(task).with_name("dev.json")
    text.write_text(text.read_text().replace("plan: 5", "plan: ok 5"))
    assert evaluate(task, server.url) == 1
    asked = dict(server.asked)
    server.healthy = True
    assert evaluate(task, server.url) == 0
    again = [question for question, count in server.asked.items() if count > asked[question]]
    assert len(again) == 2 * len(BEHAVIOURS) - 4
    assert not [question for question in again if "plan: ok" in question]


@pytest.mark.parametrize("behaviour", ["400", "toolong", "nochoices", "500", "garbage"])
def test_a_run_finishes_with_one_question_that_always_fails(
    task: str, server: Hostile, behaviour: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refused question counts as wrong, one that always fails is unscored."""
    text = Path(task).with_name("dev.json")
    rows = json.loads(text.read_text())
    for number, row in enumerate(rows):
        plan = behaviour if number == 3 else "ok"
        row["question"] = f"{number}\nplan: {plan}\nanswer: {row['query']}"
    text.write_text(json.dumps(rows))
    assert evaluate(task, server.url) == 0
    shown, run = capsys.readouterr(), the_run()
    scores, asked = store.scores(run.id), len(server.bodies)
    [bad] = [record for record in store.records(run.id) if record.sample_id == "3"]
    if behaviour in ("500", "garbage"):
        assert (bad.finish, bad.metric, bad.reason) == ("failed", None, "infrastructure")
        assert (scores["n"], scores["unscored"], scores["unanswered"]) == (len(rows) - 1, 1, 0)
    else:
        assert (bad.finish, bad.metric, bad.reason) == ("unanswered", 0.0, "no_sql")
        assert (scores["n"], scores["unscored"], scores["unanswered"]) == (len(rows), 0, 1)
        assert "1 unanswered" in shown.out
    assert scores["ex"] == pytest.approx((len(rows) - 1) / scores["n"])
    assert "question 3: " in shown.err and bad.detail in shown.err
    assert evaluate(task, server.url) == 0 and len(server.bodies) == asked, "asked for ever"


def test_an_endpoint_that_is_down_is_one_line_at_once(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    with hostile() as gone:
        pass
    began = time.monotonic()
    line = ["eval", "--model", "openai:m", "--base-url", gone.url, "--task", task, "--workers", "1"]
    assert main(line) == 2
    assert time.monotonic() - began < 20
    [printed] = capsys.readouterr().err.strip().splitlines()[-1:]
    assert printed == f"harness eval: {gone.url} cannot be reached: [Errno 111] Connection refused"


def test_a_temperature_that_is_refused_is_one_line(
    task: str, server: Hostile, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refuses["temperature"] = "'temperature' does not support 0.0 with this model."
    assert evaluate(task, server.url) == 2
    printed = capsys.readouterr().err.strip().splitlines()[-1]
    assert "set --temperature, or leave it out with --set runner.endpoint.body.temperature=null" in printed
    server.healthy = True
    assert evaluate(task, server.url, "--set", "runner.endpoint.body.temperature=null") == 0
    [run] = [one for one in store.runs() if one.finished]
    assert run.sampling["temperature"] is None, "the run says what was sent"


def test_a_run_records_all_of_its_sampling(task: str, server: Hostile) -> None:
    server.healthy = True
    more = ("--top-p", "0.9", "--temperature", "0.5", "--set", "runner.endpoint.body.top_k=20")
    assert evaluate(task, server.url, "--limit", "1", *more) == 0
    sent, recorded = server.bodies[0], the_run().sampling
    assert recorded["max_new_tokens"] == sent["max_tokens"]
    names = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty", "presence_penalty", "seed")
    assert {name: sent[name] for name in names} == {name: recorded[name] for name in names}
    assert (recorded["top_k"], recorded["top_p"]) == (20, 0.9)


@pytest.mark.parametrize("key", ["name", "x", "sex"])
def test_a_placeholder_key_changes_no_verdict(
    task: str, server: Hostile, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    server.healthy = True
    assert evaluate(task, server.url) == 0
    records = store.records(the_run().id)
    assert [record.metric for record in records] == [float(int(one.sample_id) % 2 == 0) for one in records]
    assert all(record.completion.startswith("SELECT x FROM t WHERE x = ") for record in records)


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
    """A message without an ``answer:`` line, such as feedback, is answered ``SELECT 1``."""
    text = Path(task).with_name("dev.json")
    answers = ["SELECT gone FROM t", "SELECT x FROM t WHERE x = 1", "no query"]
    rows = [{"question": f"plan: ok\nanswer: {one}", "query": "SELECT 1", "db_id": "d"} for one in answers]
    text.write_text(json.dumps(rows))
    assert evaluate(task, server.url, "--turns", "3", "--samples", "2") == 0
    records = store.records(the_run().id)
    assert [(one.sample_id, one.sql, one.metric) for one in records] == [
        (str(i // 2), answers[1] if i // 2 == 1 else "SELECT 1", 1.0) for i in range(6)
    ]
    conversation = json.loads(records[0].prompt)
    assert [one["role"] for one in conversation] == ["user", "assistant", "user"]
    assert conversation[1]["content"] == answers[0]
    assert conversation[2]["content"].startswith("Your query failed: no such column: gone.")
    assert [one.tokens for one in records] == [20, 20, 10, 10, 20, 20]
    assert the_run().sampling["turns"] == 3


@pytest.mark.parametrize("behaviour", ["400", "401", "500", "garbage", "crash"])
def test_the_key_is_nowhere(task: str, server: Hostile, tmp_path: Path, behaviour: str) -> None:
    """In a separate process: its output, a traceback of a bug, the run directory and the pages."""
    text = Path(task).with_name("dev.json")
    text.write_text(text.read_text().replace("plan: 429", f"plan: {behaviour}"))
    line = ["eval", "--model", "openai:m", "--base-url", server.url, "--task", task, "--limit", "1"]
    crash = (
        "import runners.endpoints.openai as o; o.read = lambda reply: 1 / 0; " if behaviour == "crash" else ""
    )
    if behaviour == "crash":
        server.healthy = True
    settings = [part for setting in PATIENCE for part in ("--set", setting)]
    code = f"import sys; {crash}from harness.cli import main; sys.exit(main({[*line, *settings]!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ("ZeroDivisionError" in done.stderr) is (behaviour == "crash")
    (tmp_path / "home" / "output.log").write_text(done.stdout + done.stderr)
    assert holding(tmp_path / "home", KEY) == []
    if behaviour != "crash":  # which leaves no run
        assert holding(tmp_path / "home", server.url), "the search finds what is there"


def holding(place: Path, text: str) -> list[Path]:
    """Files that contain a text, also inside Parquet, which is compressed."""
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
