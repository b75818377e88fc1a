"""Mixed pairs by the ten thousand on a machine that is loaded, with workers stopped and killed at random.

``HARNESS_SOAK`` is the number of pairs of the slow test (50,000).
"""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from attacked import GOLDS, attack, build, honest, traces
from sandbox_workers import workers

from rewards.exploits import load
from rewards.grader import Grader
from rewards.types import UNSCORED, Answer, Reason
from tasks.spec import ScoringSpec
from tasks.types import Database, Engine, Mode

ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb")
SCORING = ScoringSpec(modes=(Mode.STRICT, Mode.SPIDER), instances=2, seconds=2.0, steps=5_000_000)
BATCH = 500
SLOW = frozenset({Reason.TIMEOUT, Reason.MEMORY})


@contextlib.contextmanager
def loaded(processes: int) -> Iterator[None]:
    """A machine on which ``processes`` other processes compute."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@contextlib.contextmanager
def disturbed_workers(dice: random.Random, others: Collection[int]) -> Iterator[dict[str, int]]:
    """Stop workers for a while or for good, and kill some."""
    done, stop = {"stopped": 0, "left stopped": 0, "killed": 0}, threading.Event()

    def disturb() -> None:
        while not stop.wait(dice.uniform(1, 4)):
            if not (pids := workers(others)):
                continue
            pid, what = dice.choice(pids), dice.random()
            with contextlib.suppress(ProcessLookupError):
                if what < 0.15:
                    os.kill(pid, signal.SIGKILL)
                    done["killed"] += 1
                    continue
                os.kill(pid, signal.SIGSTOP)
                done["stopped"] += 1
                if what < 0.2:
                    done["left stopped"] += 1
                    continue
                stop.wait(dice.uniform(0.05, 1.5))
                os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield done
    finally:
        stop.set()
        thread.join()


def pairs(databases: list[Database], count: int, dice: random.Random) -> Iterator[list[tuple[Answer, float]]]:
    """Batches of distinct right, wrong and hostile answers with their verdicts."""
    packs = {engine: load(engine) for engine in ENGINES}
    quick = {engine: [e for e in packs[engine] if not e.reasons & SLOW] for engine in ENGINES}
    for start in range(0, count, BATCH):
        batch: list[tuple[Answer, float]] = []
        for number in range(start, min(count, start + BATCH)):
            database, question = dice.choice(databases), dice.choice(["rows", "count", "ordered"])
            if dice.random() < 0.2:
                pack = packs if dice.random() < 0.01 else quick
                hostile = attack(dice.choice(pack[database.engine]), question, database)
                answer, verdict = Answer(database, hostile.gold, f"{hostile.text} "), 0.0
            else:
                answer, verdict = dice.choice(honest(question, database))
            batch.append((Answer(database, answer.gold, f"/* {number} */ {answer.text}"), verdict))
        yield batch


def held() -> tuple[int, int]:
    """Bytes of resident memory of this process, and its open files."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident, len(os.listdir("/proc/self/fd"))


def soak(tmp_path: Path, count: int) -> None:
    databases = [build(engine, tmp_path / engine) for engine in ENGINES]
    assert set(GOLDS) >= {"rows", "count", "ordered"}
    folders = [path.parent for database in databases for path in database.instances[:1]]
    before, dice, started = traces(folders), random.Random(0), time.monotonic()
    wrong: list[tuple[object, ...]] = []
    judged, early, others = 0, (0, 0), workers()
    with loaded(2), disturbed_workers(dice, others) as done, Grader(SCORING, workers=2) as grader:
        for batch in pairs(databases, count, random.Random(1)):
            grades = grader.grade_answers([answer for answer, _ in batch])
            for (answer, verdict), grade in zip(batch, grades, strict=True):
                judged += 1
                if grade.attempt.verdicts[Mode.STRICT] != verdict or grade.attempt.reason in UNSCORED:
                    wrong.append((answer.text[:200], verdict, grade.attempt.reason, grade.attempt.detail))
            del batch, grades  # some answers are megabytes: they are not what the grader holds
            if judged <= max(BATCH, count // 5):
                early = (max(early[0], held()[0]), held()[1])
        late = held()
        assert len(workers(others)) <= 2
    assert workers(others) == [] and traces(folders) == before
    print(
        f"{judged} pairs in {time.monotonic() - started:.0f} s: {len(wrong)} wrong verdicts; {done};"
        f" resident {early[0] >> 20} -> {late[0] >> 20} MiB, files {early[1]} -> {late[1]}"
    )
    assert judged == count and wrong == []
    assert late[0] - early[0] < 64 * 2**20 and late[1] <= early[1] + 2


def test_soak_of_three_hundred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    soak(tmp_path, 300)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_soak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    soak(tmp_path, int(os.environ.get("HARNESS_SOAK", "50000")))
