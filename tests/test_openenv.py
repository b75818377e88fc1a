"""A task as an OpenEnv environment: stepped through here, and by OpenEnv's own server and client."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import answer_table
import contracts_path
import httpx
import pytest

from tasks.common.errors import DataError
from tasks.task import Task

contracts_path.use("openenv")

from openenv.core.env_server import http_server  # noqa: E402

from harness.adapters.openenv import SqlAction, SqlEnvironment, SqlObservation  # noqa: E402

REAL = "contracts" not in str(http_server.__file__)
PACKAGES = ("openenv==0.10.0", "fastmcp-slim[client,server]==3.4.11")
"""What the server needs of OpenEnv's dependencies, beyond what is installed for other tests."""
ROOT = Path(__file__).parent.parent


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    (tmp_path / "task").mkdir()
    return answer_table.write_task(tmp_path / "task")


def asked(environment: SqlEnvironment, text: str) -> SqlObservation:
    return environment.step(SqlAction(text=text))


def test_every_answer_gets_the_graders_reward(task: Path) -> None:
    loaded = Task.named(str(task))
    prompt = [dict(message) for message in loaded.messages(loaded.samples()[0])]
    environment = SqlEnvironment(loaded)
    for text, grade in zip(answer_table.ANSWERS, answer_table.graded(task), strict=True):
        first = environment.reset(index=0)
        assert (first.messages, first.reward, first.done) == (prompt, None, False)
        last = asked(environment, text)
        assert (last.reward, last.done) == (grade.scores["reward"].value, True), text[:80]
        assert last.metrics["execution_accuracy"] == grade.attempt.verdicts["strict"]
        assert last.reason == grade.attempt.reason.value and last.messages == prompt


def test_a_failed_query_is_asked_again(task: Path) -> None:
    environment = SqlEnvironment(Task.named(str(task)), turns=3)
    environment.reset(index=0)
    again = asked(environment, "<think>hm</think>SELECT gone FROM person")
    assert (again.done, again.reward, again.reason) == (False, None, "execution_error")
    assert again.messages[-2:] == [
        {"role": "assistant", "content": "SELECT gone FROM person"},
        {
            "role": "user",
            "content": "Your query failed: no such column: gone. Answer again with one corrected query.",
        },
    ]
    last = asked(environment, answer_table.GOLD)
    assert (last.done, last.reward, environment.state.step_count) == (True, 1.0, 2)
    environment.reset(index=0)
    rewards = [asked(environment, "no").reward for _ in range(3)]
    assert rewards[:2] == [None, None] and rewards[2] is not None and rewards[2] < 1


def test_a_gold_without_rows_is_evaluated_and_not_trained_on(task: Path) -> None:
    answer_table.write_golds(task, [answer_table.EMPTY])
    environment = SqlEnvironment(Task.named(str(task)))
    for text, reward in ((answer_table.EMPTY, 1.0), (answer_table.GOLD, 0.0)):
        environment.reset(index=0)
        last = asked(environment, text)
        assert last.metrics["execution_accuracy"] == reward and (last.reward == 1.0) is bool(reward)
    environment.reset(index=0, split="train")
    with pytest.raises(RuntimeError, match="not scored: correct"):
        asked(environment, answer_table.EMPTY)


def test_questions_are_chosen_by_place_or_seed(task: Path) -> None:
    environment = SqlEnvironment(Task.named(str(task)))
    drawn = []
    for _ in range(2):
        environment.reset(seed=7, episode_id="mine")
        drawn.append((environment.state.id, environment.state.episode_id))
    assert drawn[0] == drawn[1] and drawn[0][1] == "mine"
    environment.reset(split="train", index=2)
    assert (environment.state.split, environment.state.index, environment.state.step_count) == ("train", 2, 0)
    assert environment.list_splits() == ["dev", "train"] and environment.num_tasks("dev") == 3
    assert environment.get_task("dev", 1)["question"] == answer_table.ROWS[1][0]
    with pytest.raises(DataError, match="index 3 is not from 0 to 2"):
        environment.reset(index=3)
    with pytest.raises(DataError, match="tset"):
        environment.reset(split="tset")


def test_there_is_no_reward_without_a_score_or_a_question(task: Path) -> None:
    environment = SqlEnvironment(Task.named(str(task)))
    with pytest.raises(RuntimeError, match="call reset before step"):
        asked(environment, "SELECT 1")
    environment.reset(index=2)
    with pytest.raises(RuntimeError, match="not scored: gold_failed"):
        asked(environment, answer_table.BROKEN)
    environment.reset(index=0)
    asked(environment, "SELECT 1")
    with pytest.raises(RuntimeError, match="call reset before step"):
        asked(environment, answer_table.GOLD)  # a final answer cannot be replaced by a better one


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "harness.adapters.openenv_server", *arguments]


@contextmanager
def served(task: Path, *more: str) -> Iterator[str]:
    """OpenEnv's server of a task in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    process = subprocess.Popen(command("--task", str(task), "--port", port, *more), cwd=ROOT)
    try:
        for _ in range(600):
            try:
                assert httpx.get(f"http://127.0.0.1:{port}/health").json() == {"status": "healthy"}
                break
            except httpx.TransportError:
                assert process.poll() is None
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=30)


@pytest.mark.skipif(not REAL, reason="openenv is not installed here: the slow test installs it")
def test_openenvs_client_plays_on_openenvs_server(task: Path) -> None:
    """Two sessions at the same time, one with a correction and one that cannot be scored."""
    from openenv.core import GenericEnvClient

    async def played(url: str, index: int, *texts: str) -> list[Any]:
        async with GenericEnvClient(base_url=url) as client:
            results = [await client.reset(index=index)]
            for text in texts:
                results.append(await client.step({"text": text}))
            return [(result.done, result.reward) for result in results]

    async def both(url: str) -> list[Any]:
        games = [played(url, 0, "SELECT gone", answer_table.GOLD), played(url, 2, answer_table.BROKEN)]
        return await asyncio.gather(*games, return_exceptions=True)

    with served(task, "--turns", "2") as url:
        right, unscored = asyncio.run(both(url))
        assert right == [(False, None), (False, None), (True, 1.0)]
        assert isinstance(unscored, Exception) and "not scored: gold_failed" in str(unscored)
        assert httpx.post(f"{url}/people/num_tasks", json={"split": "dev"}).json() == {"num_tasks": 3}


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--task", "pockt"], "no task 'pockt'" if REAL else "openenv is not installed"),
        (["--turn"], "--turns: expected one argument"),
        (["--turns", "0"], "'0' is not a positive number"),
    ],
)
def test_mistakes_are_one_line(more: list[str], says: str) -> None:
    done = subprocess.run(command(*more), cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and says in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.skipif(REAL, reason="openenv is installed: the other tests run with it")
def test_these_tests_with_openenv_itself(tmp_path: Path) -> None:
    """In a folder of its own: it needs an older MCP than verifiers."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(tmp_path / "site")]
    openenv, *others = PACKAGES
    subprocess.run([*pip, *others], check=True, capture_output=True)
    subprocess.run([*pip, "--no-deps", openenv], check=True, capture_output=True)
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    tests = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__]
    done = subprocess.run(tests, cwd=ROOT, env=env, capture_output=True, text=True)
    assert done.returncode == 0 and "1 skipped" in done.stdout, done.stdout[-3000:]
