"""Thousands of hostile answers among honest ones: no hang, no crash, no side effect, correct verdicts."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attacked import GOLDS, attack, build, busy, honest, traces
from sandbox_workers import workers

from rewards.exploits import Exploit, load
from rewards.grader import WORK, Grader, attempt_of
from rewards.types import Answer, JudgeJob, JudgeSettings, Reason
from tasks.databases.sandbox.pool import OVERDUE, Sandbox
from tasks.spec import ScoringSpec
from tasks.types import Database, Limits, Mode

SCORING = ScoringSpec(modes=tuple(Mode), instances=2, seconds=1.0, steps=2_000_000)
MOST_MEMORY = 1.5 * 2**30
BATCH = 500


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "harness"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return build("sqlite", tmp_path / "club")


def descendants() -> list[int]:
    """Process ids of all descendants of this process."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
    found = [os.getpid()]
    for parent in found:
        found += [pid for pid, its_parent in parents.items() if its_parent == parent]
    return found[1:]


def resident(pids: list[int]) -> int:
    """Bytes of resident memory of all these processes together."""
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        except OSError:
            continue
    return total


@contextmanager
def measured_memory() -> Iterator[list[int]]:
    """The most that this process and its descendants hold, sampled twenty times a second, as the one item."""
    peak, stop = [0], threading.Event()

    def measure() -> None:
        while not stop.wait(0.05):
            peak[0] = max(peak[0], resident([os.getpid(), *descendants()]))

    thread = threading.Thread(target=measure)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def mixed(pack: list[Exploit], count: int, database: Database) -> Iterator[list[tuple[Answer, float]]]:
    """Batches of hostile answers in random order, ``count`` in all, no two the same, among honest ones.

    Beside each answer stands the verdict that it deserves.
    """
    dice = random.Random(0)
    questions = ["rows", "count", "ordered"]
    for start in range(0, count, BATCH):
        batch: list[tuple[Answer, float]] = []
        for number in range(start, min(count, start + BATCH)):
            question = dice.choice(questions)
            hostile = attack(dice.choice(pack), question, database)
            batch.append((Answer(database, hostile.gold, f"/* {number} */ {hostile.text}"), 0.0))
            if number % 4 == 0:
                batch.append(dice.choice(honest(question, database)))
        dice.shuffle(batch)
        yield batch


def survive(pack: list[Exploit], count: int, database: Database) -> None:
    """In a process of its own: the memory that counts is not that of the tests before this one."""
    alone = multiprocessing.get_context("spawn").Process(target=surviving, args=(pack, count, database))
    alone.start()
    alone.join()
    assert alone.exitcode == 0


def surviving(pack: list[Exploit], count: int, database: Database) -> None:
    before = traces([Path.cwd(), database.instances[0].parent])
    with measured_memory() as peak, Grader(SCORING, workers=2) as grader:
        for batch in mixed(pack, count, database):
            grades = grader.grade_answers([answer for answer, _ in batch])
            for (answer, verdict), grade in zip(batch, grades, strict=True):
                value = grade.scores["execution"].value
                assert value == verdict, (answer.text[:200], grade.attempt)
    assert traces([Path.cwd(), database.instances[0].parent]) == before
    assert peak[0] < MOST_MEMORY
    assert descendants() == []


def test_hundreds_of_quick_hostile_answers(database: Database) -> None:
    slow = {Reason.TIMEOUT, Reason.MEMORY}
    survive([exploit for exploit in load("sqlite") if not exploit.reasons & slow], 300, database)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_ten_thousand_hostile_answers(database: Database) -> None:
    survive(list(load("sqlite")), 10_000, database)


def test_killed_workers_lose_no_verdict(database: Database) -> None:
    questions = [honest(question, database) for question in GOLDS]
    pairs = [pair for number in range(400) for pair in questions[number % len(questions)]]
    answers = [
        Answer(answer.database, answer.gold, f"/* {number} */ {answer.text}")
        for number, (answer, _) in enumerate(pairs)
    ]
    killed: list[int] = []
    others = workers()

    def kill() -> None:
        for _ in range(6):
            time.sleep(0.25)
            for pid in workers(others)[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

    with Grader(SCORING, workers=2) as grader:
        killer = threading.Thread(target=kill)
        killer.start()
        grades = grader.grade_answers(answers)
        killer.join()
        grades += grader.grade_answers(answers[:50])
    assert killed
    verdicts = [verdict for _, verdict in pairs]
    assert [grade.scores["execution"].value for grade in grades] == verdicts + verdicts[:50]


def test_a_comparison_that_does_not_end_is_stopped(database: Database) -> None:
    jobs = [0.0, 60.0, 0.0, 0.0]
    with Sandbox(1, Limits(seconds=0.5)) as sandbox:
        started = time.monotonic()
        results = dict(sandbox.map("sandbox_jobs:sleep", jobs))
    assert results == {0: 0.0, 1: OVERDUE, 2: 0.0, 3: 0.0}
    assert time.monotonic() - started < 10


def test_rows_with_equal_hashes_do_not_slow_the_judge(database: Database) -> None:
    """Rows whose Python hashes are all the same make any dictionary of rows slow."""
    rows = ",".join(map(str, colliding(3000)))
    started = time.monotonic()
    with Grader(SCORING, workers=1) as grader:
        grades = grader.grade_answers([Answer(database, (GOLDS[q],), f"VALUES {rows}") for q in GOLDS])
    assert {grade.attempt.verdicts[Mode.STRICT] for grade in grades} == {0.0}
    assert time.monotonic() - started < len(grades) * (SCORING.seconds + 1) or busy()


def colliding(count: int) -> list[tuple[int, int]]:
    """Pairs of integers with one hash: CPython's ``tuplehash`` (tupleobject.c) solved for the second."""
    word, first, second, start = 2**64, 11400714785074694791, 14029467366897019727, 2870177450012600261

    def turned(value: int, bits: int) -> int:
        return ((value << bits) | (value >> (64 - bits))) % word

    wanted = turned(12345678901234567 * pow(first, -1, word) % word, 33)
    pairs: list[tuple[int, int]] = []
    number = 1
    while len(pairs) < count:
        number += 1
        seen = turned((start + number * second) % word, 31) * first % word
        other = (wanted - seen) * pow(second, -1, word) % word
        other -= word if other >= word // 2 else 0
        if abs(other) < 2**61 - 2:
            pairs.append((number, other))
    assert len({hash(pair) for pair in pairs}) == 1
    return pairs


def heavy(count: int) -> str:
    """A query that takes a few tenths of a second for each million, and returns one row."""
    numbers = f"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {count})"
    return f"{numbers} SELECT count(*) FROM c"


@pytest.fixture
def eight(database: Database, tmp_path: Path) -> Database:
    """A database of eight instances."""
    paths = []
    for number in range(8):
        paths.append(tmp_path / f"{number}.sqlite")
        paths[-1].write_bytes(database.instances[0].read_bytes())
    return Database("eight", instances=tuple(paths))


def test_one_budget_holds_for_all_instances_and_forms(eight: Database) -> None:
    """An answer below the limits of a query on each of eight instances, in two forms."""
    scoring = ScoringSpec(modes=tuple(Mode), instances=8, seconds=5.0, steps=1_000_000)
    slow = heavy(50_000)
    answers = [
        Answer(eight, ("SELECT 1",), slow),
        Answer(eight, ("SELECT 50000",), slow),
        Answer(eight, (slow,), slow.replace("count(*)", "count(x)")),
    ]
    with Grader(scoring, workers=1) as grader:
        once, over, right = grader.grade_answers(answers)
    assert once.attempt.reason is Reason.WRONG_ROWS and (once.attempt.steps or 0) > 500_000
    assert over.attempt.reason is Reason.TIMEOUT and "together" in over.attempt.detail
    assert over.attempt.verdicts[Mode.SPIDER] == 1.0, "what was found out before stands"
    assert over.attempt.verdicts[Mode.STRICT] == 0.0
    assert right.attempt.verdicts[Mode.STRICT] == 1.0, "as slow as its gold is not over the budget"


def test_no_memory_to_compare_is_the_fault_of_that_answer_alone() -> None:
    """Results within the limits of a query leave no memory to judge them; an honest answer follows each."""
    numbers = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {}) SELECT {} FROM c"
    gold = numbers.format(20, "x, x || 'y', x * 1.5")
    rules = JudgeSettings((Mode.STRICT, Mode.BIRD), Mode.STRICT, digests=True, preview_rows=3)
    database = Database("none", ddl="CREATE TABLE t(a)")
    jobs = []
    for count, columns in (
        (60_000, "x, x || 'yyyyyyyyyyyy', x * 1.5"),
        (20_000, "x || hex(zeroblob(100)), x, x"),
    ):
        honest_sql = gold.replace("x, x ||", f"x AS n{count}, x ||")
        jobs += [JudgeJob(database, (gold,), numbers.format(count, columns), rules)]
        jobs += [JudgeJob(database, (gold,), honest_sql, rules)]
    with Sandbox(1, Limits(seconds=20, memory=24 * 2**20)) as sandbox:
        attempts = {index: attempt_of(jobs[index], result) for index, result in sandbox.map(WORK, jobs)}
    assert [attempts[index].reason for index in (1, 3)] == [Reason.CORRECT] * 2
    assert [attempts[index].verdicts[Mode.STRICT] for index in (0, 2)] == [0.0] * 2
    assert Reason.MEMORY in {attempts[index].reason for index in (0, 2)}
