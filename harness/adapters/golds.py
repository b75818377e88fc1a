"""The questions whose answers can be scored: a gold that fails wastes answers, and ends some trainers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.adapters.task_file import ExportedTask
from harness.prepare import prepare_databases, warn_of_volatile_golds
from harness.render.progress import bar
from rewards.composite import is_scored
from rewards.grader import Grader
from tasks.common.errors import DataError
from tasks.common.terminal import say
from tasks.task import Task
from tasks.types import Sample

CHUNK = 256
"""Golds that are run together."""


def scorable(exported: ExportedTask, samples: Sequence[Sample], evaluation: bool = False) -> list[Sample]:
    """The samples whose right answers get a reward; a line on stderr counts the others.

    A right answer has none if its gold returns no rows, because any query without rows would be right
    (``rewards/composite.py``). ``evaluation``: keep these, as evaluations count them as correct. Raises
    DataError: none is left.
    """
    task = exported.task
    prepare_databases(task, samples)
    warn_of_volatile_golds(task, samples)
    good: list[Sample] = []
    with Grader(task.spec.scoring) as grader, bar(f"golds of {exported.split}", len(samples)) as report:
        for start in range(0, len(samples), CHUNK):
            chunk = samples[start : start + CHUNK]
            bad = _unscorable(task, chunk, evaluation, grader)
            good += [sample for sample in chunk if sample.id not in bad]
            report(len(chunk))
    left_out = len(samples) - len(good)
    cause = "the gold fails" if evaluation else "a gold fails or returns no rows"
    if not good:
        raise DataError(f"{task.name}, {exported.split}: no question is left: {cause}: see harness check")
    if left_out:
        say(f"{task.name}, {exported.split}: {left_out} of {len(samples)} questions left out: {cause}")
    return good


def _unscorable(task: Task, samples: Sequence[Sample], evaluation: bool, grader: Grader) -> set[str]:
    """The ids of the samples of which a gold gets no reward alone; ``evaluation``: whose golds all fail."""
    alone = [replace(sample, gold=(gold,)) for sample in samples for gold in sample.gold]
    asked = samples if evaluation else alone
    grades = grader.grade(task, asked, [sample.gold[0] for sample in asked])
    pairs = zip(asked, grades, strict=True)
    if evaluation:
        return {sample.id for sample, grade in pairs if not is_scored(grade.attempt)}
    return {sample.id for sample, grade in pairs if grade.scores["reward"].value is None}
