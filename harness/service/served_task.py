"""A task that is served: its questions and databases by name, and the queue that grades answers to them."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from harness.adapters.grading_queue import GradingQueue
from harness.prepare import prepare_databases
from harness.provenance.identity import task_digest
from harness.service.types import Item, Refusal
from rewards.types import Answer
from rewards.version import scorer_version
from tasks.common.errors import DataError, MissingData
from tasks.common.terminal import one_line, say
from tasks.task import Task
from tasks.types import Database, Sample

NEAR = 100
"""Names, on each side of an unknown one in their order, among which the nearest is looked for."""


class ServedTask:
    """One task. All its splits are served whose data is there, or those that are named.

    Raises SpecError, DataError: a named split, or all of them, cannot be read.
    """

    def __init__(self, task: Task, splits: Sequence[str], workers: int) -> None:
        self.task = task
        self._samples = _read(task, splits)
        self._splits = {split: _by_id(samples) for split, samples in self._samples.items()}
        self._databases: dict[str, dict[str, Database]] = {}
        for samples in self._samples.values():
            prepare_databases(task, samples)
            for sample in samples:
                schemas = self._databases.setdefault(sample.database, {})
                if sample.ddl not in schemas:
                    schemas[sample.ddl] = task.database(sample)
        self._ids = sorted({id for by_id in self._splits.values() for id in by_id})
        self.queue = GradingQueue(task.spec.scoring, workers)

    @property
    def name(self) -> str:
        return self.task.name

    def answer(self, item: Item, place: int) -> Answer:
        """The answer to grade. Raises Refusal: no such question or database, or too little is given."""
        if item.golds:
            return Answer(self._database(item, f"items.{place}"), item.golds, item.text)
        if not item.id:
            raise Refusal(422, "request", f"items.{place}: give id, or database and gold")
        if item.database:
            raise Refusal(422, "request", f"items.{place}: give database with gold, or leave it out")
        sample = self._sample(item, f"items.{place}")
        return Answer(self.task.database(sample), sample.gold, item.text)

    def _database(self, item: Item, where: str) -> Database:
        if not item.database:
            raise Refusal(422, "request", f"{where}: give the database of the gold")
        schemas = self._databases.get(item.database)
        if schemas is None:
            raise _unknown(where, "database", item.database, sorted(self._databases))
        if len(schemas) > 1:
            line = f"{where}: {len(schemas)} databases are named '{item.database}': give the question's id"
            raise Refusal(422, "request", line)
        return next(iter(schemas.values()))

    def _sample(self, item: Item, where: str) -> Sample:
        if item.split and item.split not in self._splits:
            raise _unknown(where, "split", item.split, sorted(self._splits))
        chosen = [item.split] if item.split else list(self._splits)
        found = {self._splits[split][item.id]: split for split in chosen if item.id in self._splits[split]}
        if not found:
            known = sorted(self._splits[item.split]) if item.split else self._ids
            raise _unknown(where, "question", item.id, known)
        if len(found) > 1:
            line = f"{where}: the splits {', '.join(found.values())} have a question '{item.id}': give split"
            raise Refusal(422, "request", line)
        return next(iter(found))

    def description(self) -> dict[str, Any]:
        """What a client compares to be sure that it scores by the same task. Raises DataError."""
        spec = self.task.spec
        return {
            "name": self.name,
            "version": spec.version,
            "metric": spec.scoring.metric.value,
            "modes": [mode.value for mode in spec.scoring.modes],
            "reward": spec.scoring.reward,
            "engine": spec.databases.runs_on,
            "scorer": scorer_version(spec.databases.runs_on),
            "splits": {
                split: {"questions": len(samples), "digest": task_digest(self.task, split, samples)}
                for split, samples in self._samples.items()
            },
        }


def _read(task: Task, splits: Sequence[str]) -> dict[str, list[Sample]]:
    """The samples of the named splits; of all that are there, if none is named."""
    if splits:
        return {split: task.samples(split) for split in splits}
    found: dict[str, list[Sample]] = {}
    missing: list[DataError] = []
    for split in task.spec.dataset.splits:
        try:
            found[split] = task.samples(split)
        except MissingData as error:
            missing.append(error)
    if not found:
        raise missing[0]
    for one in missing:
        say(f"left out: {one}")
    return found


def _by_id(samples: Sequence[Sample]) -> dict[str, Sample]:
    return {sample.id: sample for sample in samples}


def _unknown(where: str, kind: str, name: str, known: Sequence[str]) -> Refusal:
    """The refusal of a name that is not known, with the nearest one; not all are compared with it."""
    place = bisect(known, name)
    close = get_close_matches(name, known[max(0, place - NEAR) : place + NEAR], n=1, cutoff=0.6)
    hint = f"did you mean '{close[0]}'?" if close else f"there are {len(known):,}, such as '{known[0]}'"
    return Refusal(404, "unknown", one_line(f"{where}: no {kind} '{name}': {hint}"))
