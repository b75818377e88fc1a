"""A task in use: its samples, their databases and their prompts."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from tasks import prompts, sources
from tasks.common.errors import DataError, nearest
from tasks.common.home import expand, home
from tasks.common.terminal import say
from tasks.databases.instances.variants import with_instances
from tasks.databases.schema import describe, find_values
from tasks.examples import Examples
from tasks.spec import TaskSpec, load
from tasks.types import Database, Message, Sample
from tasks.values import equals, golds, text


class Task:
    """The samples of a spec. ``skipped[split]`` rows of a split that was read lack their database."""

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self.skipped: dict[str, int] = {}
        self._splits: dict[str, list[Sample]] = {}
        self._located: dict[str, Database] = {}
        self._databases: dict[tuple[str, str], Database] = {}
        self._keys: dict[str, list[tuple[str, str]]] = {}
        self._picked: dict[Sample, tuple[Sample, ...]] = {}

    @classmethod
    def named(cls, task: str, overrides: Sequence[str] = (), trust: bool = False) -> Task:
        """The task of this name or YAML file; ``trust``: it may run code of its own. Raises SpecError."""
        return cls(load(task, overrides, trust))

    @property
    def name(self) -> str:
        return self.spec.name

    def samples(self, split: str = "", limit: int = 0, seed: int | None = None) -> list[Sample]:
        """The samples of a split (default: the evaluation split), at most ``limit``, shuffled under ``seed``.

        Raises DataError: unknown split, a row without question or gold, an id that two rows have, a missing
        database, nothing left.
        """
        split = split or self.spec.dataset.eval_split
        if split not in self._splits:
            self._splits[split] = self._read(split)
        chosen = list(self._splits[split])
        if seed is not None:
            random.Random(seed).shuffle(chosen)
        return chosen[:limit] if limit else chosen

    def row_keys(self, split: str = "") -> list[tuple[str, str]]:
        """The id and the database of each row of a split, in the dataset's order, before any filter."""
        split = split or self.spec.dataset.eval_split
        self.samples(split)
        return self._keys[split]

    def _read(self, split: str) -> list[Sample]:
        """All samples of a split that have a database, in the dataset's order."""
        rows = list(enumerate(sources.rows(self.spec.dataset, split)))
        found = [(number, sample) for number, row in rows if (sample := self._sample(row, number))]
        if not found:
            wanted = ", ".join(f"{key} = {value!r}" for key, value in self.spec.dataset.where.items())
            raise DataError(f"{self.name}: dataset.where ({wanted}) leaves none of the rows of '{split}'")
        kept = [(number, sample) for number, sample in found if self._has_database(sample)]
        self.skipped[split] = len(found) - len(kept)
        if not kept:
            raise DataError(f"{self.name}: the split '{split}' has no sample with a database")
        sources.warn_of_same_rows(self.name, self.spec.dataset, split)
        named = self._named_apart(split, kept)
        names = self.spec.dataset.fields
        keys = [(text(row.get(names.id, number)), text(row.get(names.database))) for number, row in rows]
        for (number, _), sample in zip(kept, named, strict=True):
            keys[number] = sample.id, sample.database
        self._keys[split] = keys
        return named

    def _named_apart(self, split: str, rows: Sequence[tuple[int, Sample]]) -> list[Sample]:
        """The samples, each with an id of its own. A row that repeats another word for word is numbered:
        official files have such rows, and count them."""
        first: dict[str, tuple[int, Sample]] = {}
        named: list[Sample] = []
        repeated: list[str] = []
        for number, sample in rows:
            before, other = first.setdefault(sample.id, (number, sample))
            if before != number and sample != other:
                raise DataError(
                    f"{self.name}: rows {before} and {number} of '{split}' have the same id '{sample.id}':"
                    ' set dataset.fields.id to a column of unique ids, or to "" for ids by position'
                )
            if before != number:
                place = next(i for i in count(2) if f"{sample.id}#{i}" not in first)
                sample = replace(sample, id=f"{sample.id}#{place}")
                first[sample.id] = number, sample
                repeated.append(sample.id)
            named.append(sample)
        if repeated:
            say(
                f"{self.name}: {len(repeated)} rows of '{split}' repeat an earlier row word for word:"
                f" the first is asked as '{repeated[0]}'"
            )
        return named

    def _sample(self, row: Mapping[str, Any], index: int) -> Sample | None:
        """A row as a Sample, or None where ``dataset.where`` leaves it out."""
        for column, wanted in self.spec.dataset.where.items():
            where = f"{self.name}: column '{column}'"
            if not equals(self._column(row, column, index), wanted, where):
                return None
        names = self.spec.dataset.fields
        found = golds(self._column(row, names.gold, index), f"{self.name}: row {index}")
        question = text(self._column(row, names.question, index))
        if not question.strip() or not found:
            lacks = "a question" if not question.strip() else "its gold"
            raise DataError(f"{self.name}: row {index} lacks {lacks}")
        optional = {
            key: text(self._column(row, column, index))
            for key in ("evidence", "difficulty", "part", "family", "ddl")
            if (column := getattr(names, key))
        }
        return Sample(
            id=self._named(row, names.id, index) if names.id else str(index),
            question=question,
            database=self._named(row, names.database, index) if names.database else self.name,
            gold=found,
            **optional,
        )

    def _named(self, row: Mapping[str, Any], column: str, index: int) -> str:
        """A cell that may not be empty."""
        found = text(self._column(row, column, index))
        if not found.strip():
            raise DataError(f"{self.name}: row {index} has no value in the column '{column}'")
        return found

    def _column(self, row: Mapping[str, Any], column: str, index: int) -> Any:
        if column not in row:
            raise DataError(f"{self.name}: row {index} has no column '{column}': {nearest(column, row)}")
        return row[column]

    def _has_database(self, sample: Sample) -> bool:
        if sample.ddl:
            return True
        path = self._path(sample.database)
        if path.is_file():
            return True
        if self.spec.databases.missing == "error":
            raise DataError(
                f"{self.name}: question {sample.id} needs the database file {path}, which is missing"
            )
        return False

    def _path(self, database: str) -> Path:
        return Path(expand(self.spec.databases.path, database=database))

    def database(self, sample: Sample) -> Database:
        """The database that answers to the sample are run on, with all the instances that scoring asks for.

        Instances that are missing are generated on first use, from the golds of all splits, and kept under
        HARNESS_HOME; a schema without any rows is filled so that its golds return some. Raises DataError.
        """
        key = sample.database, sample.ddl
        if key not in self._databases:
            self._databases[key] = self._completed(self.shown(sample), sample)
        return self._databases[key]

    def shown(self, sample: Sample) -> Database:
        """The database as it was given: what prompts describe."""
        if sample.ddl:
            return Database(sample.database, self.spec.databases.engine, ddl=sample.ddl)
        if sample.database not in self._located:
            self._located[sample.database] = self._locate(sample.database)
        return self._located[sample.database]

    def _completed(self, given: Database, sample: Sample) -> Database:
        wanted, engine = self.spec.scoring.instances, given.engine
        if len(given.instances) >= wanted or (engine != "sqlite" and given.ddl):
            return given
        golds = self._golds.get((sample.database, sample.ddl), sample.gold)
        try:
            return with_instances(given, golds, wanted, home() / "variants")
        except DataError:
            if given.ddl:
                return given  # it does not run: scoring says so of each of its questions
            raise

    @cached_property
    def _golds(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """The golds of each database, from all splits that can be read, each once."""
        found: dict[tuple[str, str], dict[str, None]] = {}
        for split in self.spec.dataset.splits:
            try:
                rows = sources.rows(self.spec.dataset, split)
            except DataError:
                continue
            for index, row in enumerate(rows):
                if sample := self._sample(row, index):
                    golds = found.setdefault((sample.database, sample.ddl), {})
                    golds.update(dict.fromkeys(sample.gold))
        return {key: tuple(golds) for key, golds in found.items()}

    def _locate(self, database: str) -> Database:
        base = self._path(database)
        pattern = self.spec.databases.instances
        more: list[Path] = []
        if pattern:
            where = Path(expand(pattern, database=database))
            more = sorted(path for path in where.parent.glob(where.name) if not _same(path, base))
        return Database(database, self.spec.databases.engine, (base, *more))

    def messages(self, sample: Sample) -> tuple[Message, ...]:
        """The chat messages that ask the sample's question."""
        database = self.shown(sample)
        shown = self.spec.prompt.schema_
        schema = describe(database, rows=shown.rows)
        if shown.values:
            values = find_values(database, schema, sample.question)
            schema = type(schema)(schema.tables, values)
        return prompts.messages(self.spec.prompt, database.engine, schema, sample, self.examples(sample))

    def examples(self, sample: Sample) -> tuple[Sample, ...]:
        """The solved training questions that the sample's prompt shows.

        Raises DataError where the dataset has no training split.
        """
        if self.spec.prompt.examples.count and sample not in self._picked:
            self._picked[sample] = self._examples.pick(sample)
        return self._picked.get(sample, ())

    @cached_property
    def _examples(self) -> Examples:
        dataset = self.spec.dataset
        if dataset.train_split == dataset.eval_split:
            raise DataError(
                f"{self.name}: prompt.examples come from dataset.train_split, and '{dataset.train_split}' is"
                " what the task is measured on"
            )
        return Examples(self.spec.prompt.examples, self.samples(dataset.train_split))


def _same(path: Path, other: Path) -> bool:
    return path == other or (path.exists() and other.exists() and path.samefile(other))
