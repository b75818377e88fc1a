"""Have the instances of databases made that scoring asks for, before anything waits for them."""

from __future__ import annotations

from collections.abc import Iterable

from harness.render.progress import bar
from tasks.task import Task
from tasks.types import Sample


def prepare(task: Task, samples: Iterable[Sample]) -> None:
    """Make what these samples lack, with a progress bar: a database takes some seconds."""
    count = task.spec.scoring.instances
    asked = {(sample.database, sample.ddl): sample for sample in samples}
    lacking = [sample for sample in asked.values() if len(task.prompt_database(sample).instances) < count]
    if count == 1 or not lacking:
        return
    with bar("instances of databases", len(lacking)) as report:
        for sample in lacking:
            task.database(sample)
            report(1)
