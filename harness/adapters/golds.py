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


def scorable(exported: ExportedTask, samples: Sequence[Sample]) -> list[Sample]:
    """The samples whose right answers get a reward; a line on stderr counts the others.

    In training a right answer has none if its gold returns no rows (``rewards/composite.py``). Raises
    DataError: none is left.
    """
    task, training = exported.task, exported.is_training
    prepare_databases(task, samples)
    warn_of_volatile_golds(task, samples)
    good: list[Sample] = []
    with Grader(task.spec.scoring) as grader, bar(f"golds of {exported.split}", len(samples)) as report:
        for start in range(0, len(samples), CHUNK):
            chunk = samples[start : start + CHUNK]
            bad = _unscorable(task, chunk, training, grader)
            good += [sample for sample in chunk if sample.id not in bad]
            report(len(chunk))
    left_out = len(samples) - len(good)
    cause = "a gold fails or returns no rows" if training else "the gold fails"
    if not good:
        raise DataError(f"{task.name}, {exported.split}: no question is left: {cause}: see harness check")
    if left_out:
        say(f"{task.name}, {exported.split}: {left_out} of {len(samples)} questions left out: {cause}")
    return good


def _unscorable(task: Task, samples: Sequence[Sample], training: bool, grader: Grader) -> set[str]:
    """The ids of the samples whose golds all fail; ``training``: of which a gold gets no reward alone."""
    alone = [replace(sample, gold=(gold,)) for sample in samples for gold in sample.gold]
    asked = alone if training else samples
    grades = grader.grade(task, asked, [sample.gold[0] for sample in asked])
    pairs = zip(asked, grades, strict=True)
    if training:
        return {sample.id for sample, grade in pairs if grade.scores["reward"].value is None}
    return {sample.id for sample, grade in pairs if not is_scored(grade.attempt)}
