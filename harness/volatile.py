"""Golds that read the clock or random numbers: what they return, and so every verdict, may change."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tasks.common.errors import DataError
from tasks.common.terminal import say
from tasks.databases.schema import describe
from tasks.databases.volatile import volatile
from tasks.task import Task
from tasks.types import Sample

_WORD = re.compile(r"\w+")


def volatile_golds(task: Task, samples: Sequence[Sample]) -> list[Sample]:
    """The samples of which a gold, or a view that it names, reads the clock or random numbers."""
    engine = task.spec.databases.engine
    return [
        sample
        for sample in samples
        if any(volatile(gold, engine) or _names(gold, _views(task, sample)) for gold in sample.gold)
    ]


def say_volatile(task: Task, samples: Sequence[Sample]) -> None:
    """One line where there are any."""
    if found := volatile_golds(task, samples):
        count = "1 gold reads" if len(found) == 1 else f"{len(found)} golds read"
        say(f"{count} the clock or random numbers, so verdicts may change; question {found[0].id}")


def _views(task: Task, sample: Sample) -> frozenset[str]:
    """The views of the sample's database that read the clock or random numbers."""
    try:
        schema = describe(task.prompt_database(sample), rows=task.spec.prompt.schema_.rows)
    except DataError:
        return frozenset()
    engine = task.spec.databases.engine
    views = [table for table in schema.tables if table.kind == "view" and volatile(table.ddl, engine)]
    return frozenset(view.name.lower() for view in views)


def _names(gold: str, views: frozenset[str]) -> bool:
    return bool(views) and not views.isdisjoint(word.lower() for word in _WORD.findall(gold))
