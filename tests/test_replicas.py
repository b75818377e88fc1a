"""Several servers of one model: they share the questions, and none is lost when one fails."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from servers.hostile import Hostile, hostile

from harness.cli import main
from leaderboards import store
from runners.endpoints.client import Refused, Unanswered
from runners.endpoints.config import EndpointConfig
from runners.endpoints.replies import read
from runners.endpoints.several import Endpoints
from tasks.common.errors import ModelError

COUNT = 60
GONE = "http://127.0.0.1:9/v1"


@pytest.fixture
def servers() -> Iterator[list[Hostile]]:
    with hostile() as first, hostile() as second:
        yield [first, second]


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
        connection.executemany("INSERT INTO t VALUES (?)", [(i,) for i in range(COUNT)])
    connection.close()
    rows = [
        {
            "question": f"{number}\nplan: slow\nanswer: SELECT x FROM t WHERE x = {number}",
            "query": f"SELECT x FROM t WHERE x = {number}",
            "db_id": "d",
        }
        for number in range(COUNT)
    ]
    (tmp_path / "dev.json").write_text(json.dumps(rows))
    path = tmp_path / "task.yaml"
    path.write_text(
        f"name: asked\ndataset: {{path: '{tmp_path}/dev.json', splits: {{dev: dev}}}}\n"
        f"databases: {{path: '{tmp_path}/{{database}}.sqlite'}}\n"
    )
    return str(path)


def evaluate(task: str, *urls: str) -> int:
    places = [word for url in urls for word in ("--base-url", url)]
    settings = [f"runner.endpoint.{text}" for text in ("backoff=0.05", "concurrency=4", "timeout=5")]
    changes = [word for setting in settings for word in ("--set", setting)]
    return main(["eval", "--model", "openai:m", "--task", task, "--workers", "1", *places, *changes])


def all_right() -> bool:
    (run,) = store.runs()
    return run.finished and (store.scores(run.id)["n"], store.scores(run.id)["ex"]) == (COUNT, 1.0)


def test_two_servers_share_the_questions(task: str, servers: list[Hostile]) -> None:
    assert evaluate(task, *(one.url for one in servers)) == 0
    assert all_right()
    assert [len(one.bodies) for one in servers] == pytest.approx([COUNT / 2] * 2, abs=COUNT / 4)
    assert [one.most for one in servers] == [4, 4]


def test_the_servers_may_be_named_in_a_file_and_are_no_part_of_the_identity(
    task: str, servers: list[Hostile], tmp_path: Path
) -> None:
    (tmp_path / "urls").write_text(f"\ufeff# two\n{servers[0].url}\n\n{servers[1].url}  # the second\n")
    assert evaluate(task, str(tmp_path / "urls")) == 0
    asked = [len(one.bodies) for one in servers]
    assert min(asked) > 0 and all_right()
    assert evaluate(task, servers[0].url) == 0
    assert [len(one.bodies) for one in servers] == asked


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("no-urls", "no line of the file has a URL"),
        ("missing", "no file of URLs"),
        ("localhost:8000/v1", "no URL, as http://localhost:8000/v1"),
    ],
)
def test_a_wrong_file_beside_a_url_is_one_line(
    place: str, says: str, task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "no-urls").write_text("# none yet\n")
    given = place if ":" in place else str(tmp_path / place)
    assert evaluate(task, GONE, given) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"harness eval: --base-url {given}: ") and says in line


def test_one_that_closes_in_the_middle_loses_no_question(
    task: str, servers: list[Hostile], capsys: pytest.CaptureFixture[str]
) -> None:
    def close() -> None:
        while len(servers[0].bodies) < 10:
            time.sleep(0.005)
        servers[0].gone = True
        servers[0].shutdown()
        servers[0].server_close()

    thread = threading.Thread(target=close)
    thread.start()
    assert evaluate(task, *(one.url for one in servers)) == 0
    thread.join()
    assert all_right()
    assert f"{servers[0].url} is left out for a while" in capsys.readouterr().err


def test_one_that_is_missing_from_the_start_is_left_out(
    task: str, servers: list[Hostile], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate(task, GONE, servers[1].url) == 0
    assert all_right()
    assert f"{GONE} is left out for a while: {GONE} cannot be reached" in capsys.readouterr().err


def test_a_server_with_a_shorter_context_makes_no_answer_wrong(
    task: str, servers: list[Hostile], capsys: pytest.CaptureFixture[str]
) -> None:
    file = Path(task).with_name("dev.json")
    file.write_text(file.read_text().replace("plan: slow", "plan: toolong"))
    servers[1].healthy = True
    assert evaluate(task, *(one.url for one in servers)) == 0
    assert all_right()
    assert f"{servers[0].url} is left out for a while: " in capsys.readouterr().err
    assert len(servers[0].bodies) < COUNT / 2


def test_all_missing_is_one_line(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate(task, GONE, "http://127.0.0.1:10/v1") == 2
    assert "cannot be reached" in capsys.readouterr().err.splitlines()[-1]


def test_one_that_refuses_the_key_ends_the_command(task: str, servers: list[Hostile]) -> None:
    file = Path(task).with_name("dev.json")
    file.write_text(file.read_text().replace("plan: slow", "plan: 401"))
    assert evaluate(task, *(one.url for one in servers)) == 2


def several(servers: list[Hostile], **changes: object) -> Endpoints:
    settings = {"backoff": 0.01, "timeout": 0.5, "retries": 2, "key": "NO_KEY", **changes}
    urls = {"base_url": servers[0].url, "replicas": tuple(one.url for one in servers[1:])}
    return Endpoints(EndpointConfig.model_validate({**settings, **urls}), "/chat/completions")


def ask(endpoints: Endpoints, plan: str) -> str:
    content = f"plan: {plan}\nanswer: SELECT 1"
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}
    return endpoints.ask(body, read).choices[0].text


@pytest.mark.parametrize(
    "plan", ["429 ok", "503 ok", "half ok", "garbage ok", "silent ok", "close ok", "500 500 ok"]
)
def test_a_failure_is_repeated_on_another_server(plan: str, servers: list[Hostile]) -> None:
    """Each server counts its own requests, so that both fail first."""
    assert ask(several(servers), plan) == "SELECT 1"


@pytest.mark.parametrize(("plan", "error"), [("500", Unanswered), ("503", Unanswered), ("400", Refused)])
def test_a_question_that_fails_everywhere(plan: str, error: type[Exception], servers: list[Hostile]) -> None:
    with pytest.raises(error):
        ask(several(servers), plan)


@pytest.mark.parametrize("plan", ["400", "toolong", "nochoices"])
def test_what_one_server_refuses_is_asked_of_another(plan: str, servers: list[Hostile]) -> None:
    endpoints = several(servers)
    servers[1].healthy = True
    assert [ask(endpoints, plan) for _ in range(8)] == ["SELECT 1"] * 8
    assert [server.out for server in endpoints._servers] == [True, False]
    servers[1].healthy = False
    with pytest.raises(Refused):
        ask(endpoints, plan)


def test_a_server_that_answers_again_is_used_again(
    servers: list[Hostile], capsys: pytest.CaptureFixture[str]
) -> None:
    endpoints = several(servers, backoff=0.02)
    assert ask(endpoints, "503 ok") == "SELECT 1"
    before = [len(one.bodies) for one in servers]
    time.sleep(0.2)
    for _ in range(20):
        ask(endpoints, "ok")
    assert all(len(one.bodies) > count for one, count in zip(servers, before, strict=True))
    assert "answers again" in capsys.readouterr().err


def test_questions_that_fail_by_themselves_leave_no_server_out(servers: list[Hostile]) -> None:
    """Two failures in a row on each server, and then answers: both stay in."""
    endpoints = several(servers)
    for _ in range(3):
        assert ask(endpoints, "garbage ok") == "SELECT 1"
        assert ask(endpoints, "ok") == "SELECT 1"
    assert not any(server.out for server in endpoints._servers)


def test_a_wrong_url_among_several_is_named() -> None:
    config = EndpointConfig(base_url=GONE, replicas=("ftp://x/v1",))
    with pytest.raises(ModelError, match="base URL 'ftp://x/v1'"):
        Endpoints(config, "/chat/completions")
