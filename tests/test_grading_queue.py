"""The queue that grades answers of many callers: whose turn it is, and what is graded once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import wait

import pytest

from harness.adapters.grading_queue import GradingQueue
from harness.adapters.waiting import Job, Waiting
from rewards.types import Answer, Grade, Reason
from tasks.spec import ScoringSpec
from tasks.types import Database

TABLE = Database("t", ddl="CREATE TABLE t (x INTEGER)")
SCORING = ScoringSpec(seconds=0.3, steps=10**11)
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i), {} FROM n"


def answer(text: str, gold: str = "SELECT 1") -> Answer:
    return Answer(TABLE, (gold,), text)


def reason(grade: Grade) -> str:
    return grade.attempt.reason.value


def until_started(queue: GradingQueue) -> None:
    """Wait until a worker has taken all answers."""
    end = time.monotonic() + 60
    while queue.waiting and time.monotonic() < end:
        time.sleep(0.01)
    assert queue.waiting == 0


@pytest.fixture
def queue() -> Iterator[GradingQueue]:
    one = GradingQueue(SCORING, workers=1)
    yield one
    one.close()


@pytest.mark.parametrize(
    ("waiting", "order"),
    [
        ("a1 a1 a1 b2", "a1 b2 a1 a1"),
        ("a1 a1 a2 a2 b3 b3", "a1 b3 a2 b3 a1 a2"),
        ("a1 a1 a1 a1 a2 a3", "a1 a2 a3 a1 a1 a1"),
    ],
)
def test_clients_and_their_calls_take_turns(waiting: str, order: str) -> None:
    """``a1``: an answer of the first call, which is client a's."""
    line = Waiting()
    for name in waiting.split():
        line.add(Job(answer(name), name[0], int(name[1])))
    assert [f"{job.client}{job.call}" for job in line.take(100)] == order.split()
    assert line.count == 0 and line.take(1) == []


def test_a_removed_answer_does_not_come() -> None:
    line = Waiting()
    jobs = [Job(answer(str(number)), "a", number % 2) for number in range(4)]
    for job in jobs:
        line.add(job)
    assert line.remove(jobs[0]) and line.remove(jobs[2]) and not line.remove(jobs[0])
    assert (line.count, line.take(4)) == (2, [jobs[1], jobs[3]])


def test_equal_answers_are_graded_once(queue: GradingQueue) -> None:
    first = queue.submit(answer(ENDLESS.format(1)))
    until_started(queue)
    others = [queue.submit(answer(ENDLESS.format(1))) for _ in range(20)]
    assert queue.waiting == 0
    assert len({id(one.result(120)) for one in [first, *others]}) == 1
    assert reason(first.result()) == "timeout"


def test_a_client_with_few_answers_does_not_wait_for_one_with_many(queue: GradingQueue) -> None:
    many = queue.submit_all([answer(ENDLESS.format(number)) for number in range(10)], "many")
    (few,) = queue.submit_all([answer("SELECT 1")], "few")
    assert reason(few.result(120)) == "correct"
    assert sum(one.done() for one in many) < 10
    for one in many:
        one.cancel()


def test_cancelled_answers_are_not_graded(queue: GradingQueue) -> None:
    running = queue.submit(answer(ENDLESS.format(0)))
    until_started(queue)
    cancelled = queue.submit_all([answer(ENDLESS.format(number)) for number in range(1, 50)])
    shared, kept = queue.submit(answer("SELECT 2")), queue.submit(answer("SELECT 2"))
    assert queue.waiting == 50
    for one in (*cancelled, shared):
        assert one.cancel()
    assert queue.waiting == 1
    assert reason(kept.result(120)) == "wrong_rows"
    assert reason(running.result(120)) == "timeout"


def test_a_cancelled_coroutine_leaves_the_queue(queue: GradingQueue) -> None:
    async def ask() -> str:
        slow = asyncio.ensure_future(queue.grade(answer(ENDLESS.format(0))))
        waiting = asyncio.ensure_future(queue.grade(answer(ENDLESS.format(1))))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.to_thread(until_started, queue)
        return reason(await slow)

    assert asyncio.run(ask()) == "timeout"


def test_what_the_grader_raises_on_concerns_only_that_answer(queue: GradingQueue) -> None:
    bad = Answer(TABLE, ("SELECT 1",), None)  # type: ignore[arg-type]
    futures = queue.submit_all([answer("SELECT 1"), bad, answer("SELECT 2"), answer("")])
    wait(futures, 120)
    assert [type(one.exception()) for one in futures] == [type(None), TypeError, type(None), type(None)]
    assert [reason(one.result()) for one in futures if not one.exception()] == [
        Reason.CORRECT,
        Reason.WRONG_ROWS,
        Reason.NO_SQL,
    ]


def test_closing_ends_what_runs() -> None:
    queue = GradingQueue(SCORING.model_copy(update={"seconds": 60.0}), workers=1)
    futures = queue.submit_all([answer(ENDLESS.format(number)) for number in range(3)])
    time.sleep(0.5)
    started = time.monotonic()
    queue.close()
    assert time.monotonic() - started < 30
    assert all("closed" in str(one.exception(1)) for one in futures)
    with pytest.raises(RuntimeError, match="closed"):
        queue.submit(answer("SELECT 1"))
    assert queue.stalled == float("inf")
