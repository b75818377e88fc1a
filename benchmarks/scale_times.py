"""The service times of ``scale.py``: what one of our workers needs to judge answers of models and attacks."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import workload

from rewards.exploits import Target, load
from rewards.extract import extract
from rewards.judge import judge
from rewards.types import JudgeJob, JudgeSettings, Reason
from tasks.databases.sandbox.executor import Executor
from tasks.databases.sandbox.pool import FAULTS, Sandbox
from tasks.databases.state import stamped
from tasks.task import Task
from tasks.types import Mode, Sample

MODELS = "predictions/spider_dev"
"""The folder of the models' answers in HARNESS_DATA: a line for each question of dev."""
TICK = 0.004
"""The resolution of CPU time: seconds of the kernel's tick."""
KILLED = 0.01
"""An answer that ran out of time within fewer seconds was not run again: it counts the limit."""


@dataclass(frozen=True, slots=True)
class Times:
    """CPU seconds of one answer."""

    database: str
    opening: float | None
    """To open the database; None where the worker had it open."""
    gold: float
    answer: float
    timeout: bool


def honest(task: Task, count: int) -> Iterator[tuple[Sample, str]]:
    """Questions with answers of models, or of the kinds that a model gives."""
    generator = random.Random(0)
    samples = task.samples("dev")
    if task.name == "pocket":
        kinds = [kind for kind in workload.SHARE if kind != "hostile"]
        weights = [workload.SHARE[kind] for kind in kinds]
        for sample in generator.choices(samples, k=count):
            other = generator.choice([one for one in samples if one.database == sample.database])
            [kind] = generator.choices(kinds, weights)
            yield sample, workload.answer(kind, sample.gold[0], other.gold[0], generator)
        return
    by_row = {int(sample.id): sample for sample in samples}
    answers = [
        (by_row[row], line.split("\t")[0])
        for file in sorted((Path(os.environ["HARNESS_DATA"]) / MODELS).glob("*.sql"))
        for row, line in enumerate(file.read_text(errors="replace").splitlines())
        if row in by_row
    ]
    yield from generator.sample(answers, min(count, len(answers)))


def hostile(task: Task, count: int) -> Iterator[tuple[Sample, str]]:
    """Every exploit in turn, each on a question drawn at random."""
    generator = random.Random(1)
    samples, exploits = task.samples("dev"), load("sqlite")
    for number in range(count):
        sample = generator.choice(samples)
        table = sample.gold[0].upper().partition(" FROM ")[2].split()[0].strip("()")
        target = Target(sample.gold[0], table, "rowid", "1", sample.question, "/dev/null/nothing")
        yield sample, exploits[number % len(exploits)].completion(target)


def measure(task: Task, answers: Iterable[tuple[Sample, str]]) -> list[Times]:
    """The times of each answer, judged by one worker."""
    settings = JudgeSettings((Mode.STRICT,), Mode.STRICT)
    jobs = [
        JudgeJob(stamped(task.database(sample)), sample.gold, extract(text), settings)
        for sample, text in answers
    ]
    found = []
    with Sandbox(1, task.spec.scoring.limits()) as sandbox:
        for index, result in sandbox.map("scale_times:timed", [tuple(job) for job in jobs]):
            name, limit = jobs[index].database.id, task.spec.scoring.seconds
            if result is None:
                continue
            opening, gold, answer, reason = (None, 0.0, limit, "") if result in FAULTS else result
            timeout = reason in ("", Reason.TIMEOUT)
            seconds = limit if timeout and answer < KILLED else answer
            found.append(Times(name, opening, gold, seconds, timeout))
    return found


_opened: set[str] = set()
"""The databases that this worker has open."""


def timed(executor: Executor, plain_job: tuple[Any, ...]) -> tuple[float | None, float, float, str]:
    """A work function for the sandbox: CPU seconds to open the database (None: it was open), to run the gold
    and to judge the answer, and the reason."""
    job = JudgeJob(*plain_job)
    marks = [_now()]
    executor.run(job.database, 0, "SELECT 1")
    marks.append(_now())
    executor.heartbeat.mark_gold(True)
    judge(executor, tuple(job._replace(sql=job.gold[0])))
    executor.heartbeat.mark_gold(False)
    marks.append(_now())
    (reason, *_), _ = judge(executor, plain_job)
    marks.append(_now())
    opening, gold, answer = (_seconds(before, after) for before, after in pairwise(marks))
    known = job.database.id in _opened
    _opened.add(job.database.id)
    return None if known else opening, gold, answer, reason


def _now() -> tuple[float, float]:
    """The clock, and this process's CPU time."""
    return time.perf_counter(), time.process_time()


def _seconds(before: tuple[float, float], after: tuple[float, float]) -> float:
    """CPU seconds between two moments: the clock's where the process was not interrupted."""
    clock, cpu = (later - earlier for earlier, later in zip(before, after, strict=True))
    return min(clock, cpu + TICK)
