"""How many answers a core of this machine scores in a second, measured on golds of a task."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from rewards.grader import Grader
from tasks.task import Task
from tasks.types import Sample

QUESTIONS, GROUP = 16, 8
"""Questions of a batch, and answers to each: none equals another, so that every one runs."""
MEASURED_SECONDS = 1.5
"""CPU seconds of the measurement, at least."""


def answers_per_core(task: Task, samples: Sequence[Sample]) -> float:
    """Answers that the task's scoring judges in a CPU second of this process and one worker.

    The answers are golds, written differently each time; a batch runs their golds once more. The first batch
    starts the worker and does not count.
    """
    order = random.Random(0).sample(range(len(samples)), len(samples))
    questions = itertools.cycle(samples[index] for index in order)
    numbers = itertools.count()

    def grade_batch() -> None:
        batch = [sample for sample in itertools.islice(questions, QUESTIONS) for _ in range(GROUP)]
        grader.grade(task, batch, [f"/* {next(numbers)} */ {sample.gold[0]}" for sample in batch])

    with Grader(task.spec.scoring, workers=1) as grader:
        grade_batch()
        began, batches = _cpu_seconds(), 0
        while not batches or _cpu_seconds() - began < MEASURED_SECONDS:
            grade_batch()
            batches += 1
        return batches * QUESTIONS * GROUP / (_cpu_seconds() - began)


def _cpu_seconds() -> float:
    """CPU seconds of this process and of the workers that it has started."""
    import psutil

    process = psutil.Process()
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return float(sum(each.user + each.system for each in times))
