"""A task in one JSON file, from which the processes of another program score answers.

The file holds the resolved spec, the split and the digest of its content. Questions and databases stay where
the spec finds them.
"""

from __future__ import annotations

import json
from concurrent.futures import Future
from functools import cache, cached_property
from pathlib import Path
from typing import Self

from harness.adapters.grading_queue import grading_queue, once
from harness.prepare import prepare_databases
from harness.provenance.identity import task_digest
from rewards.types import Answer, Grade
from tasks.common.errors import DataError, nearest
from tasks.common.terminal import say
from tasks.spec import TaskSpec
from tasks.task import Task
from tasks.types import Sample


class ExportedTask:
    """One split of a task for another program. The sandbox starts with the first answer."""

    def __init__(self, task: Task, split: str = "") -> None:
        self.task = task
        self.split = split or task.spec.dataset.eval_split
        self.samples = task.samples(self.split)

    @classmethod
    def read(cls, file: Path) -> Self:
        """The task that ``write`` described in this JSON file. Warns where its content has changed since."""
        description = json.loads(file.read_text(encoding="utf-8"))
        exported = cls(Task(TaskSpec.model_validate(description["task"])), description["split"])
        if description["digest"] != exported.digest:
            say(
                f"{file}: the task's content has changed since this was exported, and its digest is the old"
                " one: export it again"
            )
        return exported

    def write(self, file: Path) -> None:
        """Write the JSON file. The databases' missing instances are generated first."""
        prepare_databases(self.task, self.samples)
        spec = self.task.spec.model_dump(mode="json", by_alias=True)
        description = {"task": spec, "split": self.split, "digest": self.digest}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")

    @property
    def is_training(self) -> bool:
        """Whether answers train a model, by the split; otherwise they are evaluated."""
        return self.split == self.task.spec.dataset.train_split

    @cached_property
    def digest(self) -> str:
        """Digest of the content of questions, golds, databases, prompts and scorer."""
        return task_digest(self.task, self.split, self.samples)

    def sample(self, id: str) -> Sample:
        """The question with this id. Raises DataError: the split has none."""
        if id not in self._by_id:
            raise DataError(
                f"{self.task.name}, {self.split}: no question '{id}': {nearest(id, list(self._by_id))}"
            )
        return self._by_id[id]

    def submit(self, id: str, text: str) -> Future[Grade]:
        """The coming grade of a text as an answer to the question with this id. Raises DataError."""
        sample = self.sample(id)
        answer = Answer(self.task.database(sample), sample.gold, text)
        return grading_queue(self._scoring).submit(answer)

    @cached_property
    def _by_id(self) -> dict[str, Sample]:
        return {sample.id: sample for sample in self.samples}

    @cached_property
    def _scoring(self) -> str:
        return self.task.spec.scoring.model_dump_json()


def exported_task(file: str) -> ExportedTask:
    """The task of a JSON file, read once in a process, also where many threads ask for it at once."""
    with once:
        return _exported_task(file)


@cache
def _exported_task(file: str) -> ExportedTask:
    return ExportedTask.read(Path(file))
