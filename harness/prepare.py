"""Prepare the databases of a split before its questions are asked.

This generates missing instances, and warns of golds that read the clock or random numbers, because the rows
that they return, and so the verdicts, may change from run to run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from harness.render.progress import bar
from tasks.common.errors import DataError
from tasks.common.terminal import say
from tasks.databases.schema import describe
from tasks.databases.sql_text import volatile
from tasks.task import Task
from tasks.types import Sample

_WORD = re.compile(r"\w+")


def prepare_databases(task: Task, samples: Iterable[Sample]) -> None:
    """Generate the database instances that scoring needs and that are missing, with a progress bar."""
    count = task.spec.scoring.instances
    by_database = {(sample.database, sample.ddl): sample for sample in samples}
    incomplete = [
        sample for sample in by_database.values() if len(task.prompt_database(sample).instances) < count
    ]
    if count == 1 or not incomplete:
        return
    with bar("instances of databases", len(incomplete)) as report:
        for sample in incomplete:
            task.database(sample)
            report(1)


def volatile_golds(task: Task, samples: Sequence[Sample]) -> list[Sample]:
    """The samples with a gold that reads the clock or random numbers, itself or through a view it names."""
    engine = task.spec.databases.runs_on
    return [
        sample
        for sample in samples
        if any(volatile(gold, engine) or _names(gold, _views(task, sample)) for gold in sample.gold)
    ]


def warn_of_volatile_golds(task: Task, samples: Sequence[Sample]) -> None:
    """Print one line on stderr if there are volatile golds."""
    if volatile_samples := volatile_golds(task, samples):
        count = len(volatile_samples)
        golds = "1 gold reads" if count == 1 else f"{count} golds read"
        say(f"{golds} the clock or random numbers, so verdicts may change; question {volatile_samples[0].id}")


def _views(task: Task, sample: Sample) -> frozenset[str]:
    """The names of the views of the sample's database that read the clock or random numbers."""
    try:
        schema = describe(task.prompt_database(sample), rows=task.spec.prompt.schema_.rows)
    except DataError:
        return frozenset()
    engine = task.spec.databases.runs_on
    views = [table for table in schema.tables if table.kind == "view" and volatile(table.ddl, engine)]
    return frozenset(view.name.lower() for view in views)


def _names(gold: str, views: frozenset[str]) -> bool:
    return bool(views) and not views.isdisjoint(word.lower() for word in _WORD.findall(gold))
