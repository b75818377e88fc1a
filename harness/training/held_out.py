"""Held-out questions: a training must not use the questions that its task is evaluated on.

A training that has them in its split, its few-shot examples or its files of rows is refused.

Evaluation splits are the task's ``eval_split`` (in its file and in ``--set``), the dev split if it chooses
the best weights, and every split with a name such as ``test``, ``dev`` or ``validation``, unless the task's
file names it as ``train_split``. A row is recognised by the words of its question and its database, not by
its labels. Some datasets have the same question in the training and the evaluation split: these are counted
in a warning and not refused.
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
"""Names of evaluation splits."""

HINTS = ("", "hint", "evidence", "external knowledge")
"""Labels between a question and its evidence on one line."""
LINES = 4
"""Most lines of a prompt over which a question may be spread."""
_TAG = re.compile(r"</?[A-Za-z][\w-]*>")
_NUMBER = re.compile(r"^\s*\(?\d{1,3}[.)]\s+")

Question = tuple[str, str, str]
"""Database, its DDL if the row has its own, and the words of the question."""


@dataclass(frozen=True)
class HeldOut:
    """The held-out questions of a task. ``written``: the task as in its file, without ``--set``."""

    task: Task
    written: Task

    @classmethod
    def of(cls, spec: TrainSpec, task: Task) -> HeldOut:
        """The held-out questions for trainings of this spec."""
        try:
            written = Task.named(spec.task, (), spec.trust)
        except HarnessError:
            return cls(task, task)  # a file that is only complete with --set
        return cls(task, task if written.spec == task.spec else written)

    @property
    def splits(self) -> list[str]:
        """The evaluation splits that the task names."""
        return list(dict.fromkeys(task.spec.dataset.eval_split for task in (self.written, self.task)))

    def refuse_split(self, spec: TrainSpec) -> None:
        """Raise SpecError where the training split is an evaluation split."""
        split, declared = (
            spec.split or self.task.spec.dataset.train_split,
            self.written.spec.dataset.train_split,
        )
        remedy = f"train on '{declared}'"
        if split in self.splits:
            raise SpecError(f"{self.task.name} is evaluated on '{split}': {remedy}")
        if split == spec.dev_split and spec.dev_limit and split in self.task.spec.dataset.splits:
            raise SpecError(f"the questions of '{split}' choose the best weights: {remedy}")
        if EVALUATION.fullmatch(split) and split != declared:
            raise SpecError(
                f"'{split}' has the name of an evaluation split: {remedy},"
                " or name it as dataset.train_split in the task's file"
            )

    def refuse_samples(self, samples: Iterable[Sample]) -> None:
        """Raise DataError if a training question is an evaluation question.

        Questions that are also in the task's own training split are only counted in a warning.
        """
        questions = list(samples)
        shared = [sample for sample in questions if _key(sample) in self._questions]
        leaked = [sample for sample in shared if _key(sample) not in self._trained]
        if leaked:
            raise DataError(
                f"{len(leaked)} of {len(questions)} training questions are questions that {self.task.name} is"
                f" evaluated on, such as '{leaked[0].id}': {leaked[0].question[:80]}"
            )
        if shared:
            distributed.report_error(
                f"{len(shared):,} of {len(questions):,} training questions of {self.task.name} are also in"
                f" the split that it is evaluated on, such as '{shared[0].id}'"
            )

    def refuse_row(self, row: Mapping[str, Any], where: str) -> None:
        """Raise DataError where a row of a file is an evaluation question, by its label or its content."""
        split = row.get("split")
        if row.get("task") == self.task.name and split in self.splits:
            raise DataError(f"{where}: a question of '{split}', which {self.task.name} is evaluated on")
        visible = " \n".join(str(m["content"]) for m in row["prompt"] if m.get("role") != "system")
        whole = " \n".join(str(message["content"]) for message in row["prompt"])
        for sample in self._questions_in(whole, _words(visible)):
            if self._same_database(sample, row.get("database"), _words(whole), _words(visible)):
                raise DataError(
                    f"{where}: the question '{sample.id}', which {self.task.name} is evaluated on:"
                    f" {sample.question[:80]}"
                )

    @cached_property
    def _samples(self) -> list[Sample]:
        """The evaluation questions, of the task as written and as set."""
        samples: dict[Sample, None] = {}
        for task in dict.fromkeys((self.written, self.task)):
            samples |= dict.fromkeys(_readable(task, task.spec.dataset.eval_split))
        return list(samples)

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
        """Words of a question, or of a whole prompt -> the held-out questions with these words."""
        by_words: dict[str, list[Sample]] = {}
        for sample in self._samples:
            if _key(sample) in self._trained:
                continue
            rendered = _words(self.task.messages(sample)[-1]["content"])
            hints = [f" {label} {sample.evidence}" for label in HINTS] if sample.evidence else []
            asked = (_words(sample.question + hint) for hint in ["", *hints])
            for words in dict.fromkeys((*asked, rendered)):
                by_words.setdefault(words, []).append(sample)
        return by_words

    def _questions_in(self, prompt: str, words: str) -> Iterator[Sample]:
        """The held-out questions that a prompt contains as lines (after a label) or was rendered from."""
        pieces = {words}
        lines = [_NUMBER.sub("", line) for line in _TAG.sub("", prompt).splitlines()]
        for first in range(len(lines)):
            for last in range(first + 1, min(first + LINES, len(lines)) + 1):
                parts = " ".join(lines[first:last]).split(":")
                pieces |= {_words(":".join(parts[start:])) for start in range(min(len(parts), 8))}
        for piece in pieces:
            yield from self._forbidden.get(piece, ())

    def _same_database(self, sample: Sample, named: object, words: str, asked: str) -> bool:
        """Whether a row is about the sample's database.

        A row names its database, or shows its tables. A prompt that holds only the question may be about any
        database.
        """
        if isinstance(named, str) and named:
            return named.lower() == sample.database.lower()
        if asked == _words(sample.question):
            return True
        padded = f" {words} "
        tables = describe(self.task.prompt_database(sample)).tables
        return all(f" {_words(table.name)} " in padded for table in tables)


def _readable(task: Task, split: str) -> Sequence[Sample]:
    """The samples of a split; none if there is no such split, or its data cannot be read."""
    try:
        return task.samples(split)
    except HarnessError:
        return ()


def _key(sample: Sample) -> Question:
    return sample.database, sample.ddl, _words(sample.question)


def _words(text: str) -> str:
    """The words of a text, normalised: texts that differ in case, punctuation or spacing are equal."""
    return " ".join(re.findall(r"\w+", normalize("NFKC", text).lower()))
