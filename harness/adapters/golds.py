"""The questions whose answers can be scored: a gold that fails wastes answers, and ends some trainers."""

from __future__ import annotations

from collections.abc import Sequence

from harness.adapters.task_file import ExportedTask
from harness.prepare import prepare_databases, warn_of_volatile_golds
from harness.render.progress import bar
from rewards.grader import Grader
from tasks.common.errors import DataError
from tasks.common.terminal import say
from tasks.types import Sample

CHUNK = 256
"""Golds that are run together."""


def scorable(exported: ExportedTask, samples: Sequence[Sample]) -> list[Sample]:
    """The samples whose gold runs; a line on stderr counts the others. Raises DataError: none is left."""
    task = exported.task
    prepare_databases(task, samples)
    warn_of_volatile_golds(task, samples)
    good: list[Sample] = []
    with Grader(task.spec.scoring) as grader, bar(f"golds of {exported.split}", len(samples)) as report:
        for start in range(0, len(samples), CHUNK):
            chunk = samples[start : start + CHUNK]
            grades = grader.grade(task, chunk, [sample.gold[0] for sample in chunk])
            pairs = zip(chunk, grades, strict=True)
            good += [sample for sample, grade in pairs if grade.scores["reward"].value is not None]
            report(len(chunk))
    left_out = len(samples) - len(good)
    if not good:
        raise DataError(f"{task.name}, {exported.split}: every gold fails: see harness check")
    if left_out:
        say(f"{task.name}, {exported.split}: {left_out} of {len(samples)} questions left out: the gold fails")
    return good
