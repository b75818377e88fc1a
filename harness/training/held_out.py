"""What a training may not see: the questions that the task is measured on, through whichever door they come.

Splits for evaluation are the task's ``eval_split`` (as its file says, and as ``--set`` says), the dev split
while it chooses the weights, and every split that is called ``test``, ``dev``, ``validation`` and so on;
these are for training only where the task's file names them as ``train_split``. Rows are known by their
content, whatever labels they carry: by the words of the question, and its database. A question that the
task's own training split shares with its evaluation split is counted in a warning: that is how the data are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from unicodedata import normalize

from harness.spec import TrainSpec
from runners.training import distributed
from tasks.common.errors import DataError, HarnessError, SpecError
from tasks.databases.schema import describe
from tasks.task import Task
from tasks.types import Sample

EVALUATION = re.compile(r"(.*[_-])?(test|dev|val|valid|validation|eval|evaluation)([_-].*)?", re.IGNORECASE)
"""What splits for evaluation are called."""

HINTS = ("", "hint", "evidence", "external knowledge")
"""What may stand between a question and its evidence on one line."""
LINES = 4
"""A question in a prompt may be broken over so many."""
_TAG = re.compile(r"</?[A-Za-z][\w-]*>")
_NUMBER = re.compile(r"^\s*\(?\d{1,3}[.)]\s+")

Question = tuple[str, str, str]
"""Database, its DDL where the row carries it, and the words of the question."""


@dataclass(frozen=True)
class Measured:
    """The evaluation questions of a task. ``written``: the task as its file says it, without ``--set``."""

    task: Task
    written: Task

    @classmethod
    def of(cls, spec: TrainSpec, task: Task) -> Measured:
        """What the trainings of this spec may not see."""
        try:
            written = Task.named(spec.task, (), spec.trust)
        except HarnessError:
            return cls(task, task)  # a file that is only complete with --set
        return cls(task, task if written.spec == task.spec else written)

    @property
    def splits(self) -> list[str]:
        """The splits that are measured on, for certain."""
        return list(dict.fromkeys(one.spec.dataset.eval_split for one in (self.written, self.task)))

    def refuse_split(self, spec: TrainSpec) -> None:
        """Raise SpecError where the split to train on is one for evaluation."""
        split, declared = (
            spec.split or self.task.spec.dataset.train_split,
            self.written.spec.dataset.train_split,
        )
        remedy = f"train on '{declared}'"
        if split in self.splits:
            raise SpecError(f"{self.task.name} is measured on '{split}': {remedy}")
        if split == spec.dev_split and spec.dev_limit and split in self.task.spec.dataset.splits:
            raise SpecError(f"the questions of '{split}' choose the best weights: {remedy}")
        if EVALUATION.fullmatch(split) and split != declared:
            raise SpecError(
                f"'{split}' is called like a split for evaluation: {remedy},"
                " or name it as dataset.train_split in the task's file"
            )

    def refuse_samples(self, samples: Iterable[Sample]) -> None:
        """Raise DataError where a training question is an evaluation question that the task's own training
        split does not hold; say how many both splits hold."""
        asked = list(samples)
        shared = [sample for sample in asked if _key(sample) in self._questions]
        leaked = [sample for sample in shared if _key(sample) not in self._trained]
        if leaked:
            raise DataError(
                f"{len(leaked)} of {len(asked)} training questions are questions that {self.task.name} is"
                f" measured on, such as '{leaked[0].id}': {leaked[0].question[:80]}"
            )
        if shared:
            distributed.report_error(
                f"{len(shared):,} of {len(asked):,} training questions of {self.task.name} also stand in the"
                f" split that it is measured on, such as '{shared[0].id}'"
            )

    def refuse_row(self, row: Mapping[str, Any], where: str) -> None:
        """Raise DataError where a row of a file is an evaluation question, labelled so or not."""
        split = row.get("split")
        if row.get("task") == self.task.name and split in self.splits:
            raise DataError(f"{where}: a question of '{split}', which {self.task.name} is measured on")
        said = " \n".join(str(one["content"]) for one in row["prompt"] if one.get("role") != "system")
        whole = " \n".join(str(one["content"]) for one in row["prompt"])
        for sample in self._asked_in(whole, _words(said)):
            if self._same_database(sample, row.get("database"), _words(whole), _words(said)):
                raise DataError(
                    f"{where}: the question '{sample.id}', which {self.task.name} is measured on:"
                    f" {sample.question[:80]}"
                )

    @cached_property
    def _samples(self) -> list[Sample]:
        """The evaluation questions, of the task as written and as set."""
        found: dict[Sample, None] = {}
        for task in dict.fromkeys((self.written, self.task)):
            found |= dict.fromkeys(_readable(task, task.spec.dataset.eval_split))
        return list(found)

    @cached_property
    def _questions(self) -> set[Question]:
        return {_key(sample) for sample in self._samples}

    @cached_property
    def _trained(self) -> set[Question]:
        """The questions of the task's own training split."""
        dataset = self.written.spec.dataset
        if dataset.train_split == dataset.eval_split:
            return set()
        return {_key(sample) for sample in _readable(self.written, dataset.train_split)}

    @cached_property
    def _forbidden(self) -> dict[str, list[Sample]]:
        """Words of a question, or of a whole prompt -> the evaluation questions that no row may ask."""
        found: dict[str, list[Sample]] = {}
        for sample in self._samples:
            if _key(sample) in self._trained:
                continue
            rendered = _words(self.task.messages(sample)[-1]["content"])
            hints = [f" {label} {sample.evidence}" for label in HINTS] if sample.evidence else []
            asked = (_words(sample.question + hint) for hint in ["", *hints])
            for words in dict.fromkeys((*asked, rendered)):
                found.setdefault(words, []).append(sample)
        return found

    def _asked_in(self, said: str, words: str) -> Iterator[Sample]:
        """The evaluation questions that are lines of a prompt (after a label), or that it was made of."""
        pieces = {words}
        lines = [_NUMBER.sub("", line) for line in _TAG.sub("", said).splitlines()]
        for first in range(len(lines)):
            for last in range(first + 1, min(first + LINES, len(lines)) + 1):
                parts = " ".join(lines[first:last]).split(":")
                pieces |= {_words(":".join(parts[start:])) for start in range(min(len(parts), 8))}
        for piece in pieces:
            yield from self._forbidden.get(piece, ())

    def _same_database(self, sample: Sample, named: object, words: str, asked: str) -> bool:
        """Whether a row asks the sample's database: the one it names, else the one whose tables it shows.

        A prompt that is nothing but the question may ask any.
        """
        if isinstance(named, str) and named:
            return named.lower() == sample.database.lower()
        if asked == _words(sample.question):
            return True
        padded = f" {words} "
        tables = describe(self.task.prompt_database(sample)).tables
        return all(f" {_words(table.name)} " in padded for table in tables)


def _readable(task: Task, split: str) -> Sequence[Sample]:
    """The samples of a split; none where there is no such split, or its data are not here."""
    try:
        return task.samples(split)
    except HarnessError:
        return ()


def _key(sample: Sample) -> Question:
    return sample.database, sample.ddl, _words(sample.question)


def _words(text: str) -> str:
    """The words of a text: case, punctuation and spacing do not make a question another one."""
    return " ".join(re.findall(r"\w+", normalize("NFKC", text).lower()))
