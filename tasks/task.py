"""A task: its samples, the databases that answers run on, and the prompts."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from tasks import private_data, prompts, sources
from tasks.common.errors import DataError, MissingData, SpecError, UnsetVariable
from tasks.common.home import expand, home
from tasks.databases.instances.variants import with_instances
from tasks.databases.schema import describe
from tasks.databases.servers.address import server_at
from tasks.databases.state import content_of
from tasks.examples import Examples
from tasks.samples import sample_of, text, with_unique_ids
from tasks.spec import PromptSpec, TaskSpec, load
from tasks.types import Database, LostGold, Message, Progress, Sample, Schema, silent


class Task:
    """The samples of a spec.

    ``skipped[split]`` counts a split's rows without a database or a gold, also those whose golds cannot be
    translated (``lost[split]``). ``progress`` shows what takes long (``harness.render.progress.bar``).
    """

    def __init__(self, spec: TaskSpec) -> None:
        self.spec = spec
        self.progress: Progress = silent
        self.skipped: dict[str, int] = {}
        self.lost: dict[str, tuple[LostGold, ...]] = {}
        self.refused: dict[str, list[Sample]] = {}
        """Split -> its samples with a gold that reads private data; ``samples`` leaves them out."""
        self._splits: dict[str, list[Sample]] = {}
        self._located: dict[str, Database] = {}
        self._existing: dict[str, bool] = {}
        self._databases: dict[tuple[str, str], Database] = {}
        self._keys: dict[str, list[tuple[str, str]]] = {}
        self._examples_of: dict[Sample, tuple[Sample, ...]] = {}

    @classmethod
    def named(cls, task: str, overrides: Sequence[str] = (), trust: bool = False) -> Task:
        """The shipped task of a name, or the task in a YAML file. Raises SpecError.

        ``overrides``: ``key.path=value``. ``trust``: the task may run code that it names.
        """
        return cls(load(task, overrides, trust))

    @property
    def name(self) -> str:
        return self.spec.name

    def with_prompt(self, prompt: PromptSpec) -> Task:
        """The same task with another prompt."""
        return Task(self.spec.model_copy(update={"prompt": prompt}))

    def samples(self, split: str = "", limit: int = 0, seed: int | None = None) -> list[Sample]:
        """The samples of a split (default: the evaluation split), at most ``limit``, shuffled under ``seed``.

        Raises DataError: the split is unknown or has no sample left, a row has no question or gold, two rows
        have one id, or a database is missing.
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
        """All samples of a split that have a database and a gold, in the dataset's order."""
        try:
            rows = list(enumerate(sources.rows(self.spec.dataset, split)))
        except (MissingData, UnsetVariable) as error:
            raise type(error)(f"{error}{self._how_to_get()}") from None
        chosen = [(number, sample) for number, row in rows if (sample := sample_of(self.spec, row, number))]
        if not chosen:
            where = ", ".join(f"{key} = {value!r}" for key, value in self.spec.dataset.where.items())
            raise DataError(f"{self.name}: dataset.where ({where}) leaves none of the rows of '{split}'")
        usable = [(number, sample) for number, sample in chosen if sample.gold and self._has_database(sample)]
        if self.spec.private:
            usable, self.refused[split] = private_data.divided(self.spec, usable, self._source)
            private_data.report(self.spec, split, self.refused[split])
        self.skipped[split] = len(chosen) - len(usable)
        if not usable:
            beside = " that reads nothing private" if self.refused.get(split) else ""
            raise MissingData(
                f"{self.name}: the split '{split}' has no sample with a database and a gold{beside}"
                f"{self._how_to_get()}"
            )
        sources.warn_of_equal_splits(self.name, self.spec.dataset, split)
        samples = with_unique_ids(self.name, split, usable)
        names = self.spec.dataset.fields
        keys = [(text(row.get(names.id, number)), text(row.get(names.database))) for number, row in rows]
        for (number, _), sample in zip(usable, samples, strict=True):
            keys[number] = sample.id, sample.database
        self._keys[split] = keys
        return self._copied(split, samples) if self.spec.databases.copy_to else samples

    def _copied(self, split: str, samples: list[Sample]) -> list[Sample]:
        """The samples with golds for the copies of their databases, which are made where they are missing."""
        distinct = {(sample.database, sample.ddl): sample for sample in samples}
        engine = self.spec.databases.runs_on
        with self.progress(f"copies for {engine}", len(distinct)) as report:
            for sample in distinct.values():
                self.database(sample)
                report(1)
        if not self.spec.translates:
            return samples
        from tasks.translation import translated

        sources = {key: self._with_instances(self._source(one), one) for key, one in distinct.items()}
        databases = [(sources[sample.database, sample.ddl], self.database(sample)) for sample in samples]
        limits = self.spec.scoring.limits()
        kept, self.lost[split] = translated(samples, databases, limits, self.progress)
        self.skipped[split] += len(samples) - len(kept)
        if not kept:
            first = self.lost[split][0]
            raise DataError(
                f"{self.name}: no gold of '{split}' can be translated: {first.id}: {first.detail}"
            )
        return kept

    def _how_to_get(self) -> str:
        about = self.spec.about
        return f"; get it from {about.source}: {about.get}" if about.get else ""

    def _has_database(self, sample: Sample) -> bool:
        if sample.ddl:
            return True
        if self.spec.databases.url:
            return self.spec.databases.missing == "error" or self._exists(sample.database)
        if not self.spec.databases.path:
            raise SpecError(f"{self.name}: databases.path is not set: name the files of the databases")
        path = self._path(sample.database)
        if path.is_file():
            return True
        if self.spec.databases.missing == "error":
            raise MissingData(
                f"{self.name}: question {sample.id} needs the database file {path}, which is missing"
                f"{self._how_to_get()}"
            )
        return False

    def _exists(self, database: str) -> bool:
        if database not in self._existing:
            located = self._locate(database)
            self._existing[database] = content_of(located.engine).exists(located)
        return self._existing[database]

    def _path(self, database: str) -> Path:
        return Path(expand(self.spec.databases.path, database=database))

    def database(self, sample: Sample) -> Database:
        """The database on which answers to the sample run, with all instances that scoring asks for.

        Missing instances are generated on first use, from the golds of all splits, and kept under
        HARNESS_HOME; a schema without rows is filled so that its golds return some. Raises DataError.
        """
        key = sample.database, sample.ddl
        if key not in self._databases:
            source = self._with_instances(self._source(sample), sample)
            self._databases[key] = self._copy_of(source) if self.spec.databases.copy_to else source
        return self._databases[key]

    def _copy_of(self, source: Database) -> Database:
        from tasks.copies import copy_of

        return copy_of(source, self.spec.databases.copy_to, self.spec.scoring.instances)

    def prompt_database(self, sample: Sample) -> Database:
        """The database that prompts describe: without generated instances, or the copy."""
        return self.database(sample) if self.spec.databases.copy_to else self._source(sample)

    def _source(self, sample: Sample) -> Database:
        """The database as the task names it."""
        if sample.ddl:
            return Database(sample.database, self.spec.databases.engine, ddl=sample.ddl)
        if sample.database not in self._located:
            found = self._locate(sample.database)
            self._located[sample.database] = (
                private_data.protected(self.spec, found) if self.spec.private else found
            )
        return self._located[sample.database]

    def _with_instances(self, database: Database, sample: Sample) -> Database:
        count = self.spec.scoring.instances
        if len(database.instances) >= count or (database.engine != "sqlite" and database.ddl):
            return database
        golds = self._golds.get((sample.database, sample.ddl), sample.gold)
        try:
            return with_instances(database, golds, count, home() / "variants")
        except DataError:
            if database.ddl:
                return database  # its DDL does not run, which scoring reports for each of its questions
            raise

    @cached_property
    def _golds(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """The distinct golds of each database, from all splits that can be read."""
        by_database: dict[tuple[str, str], dict[str, None]] = {}
        for split in self.spec.dataset.splits:
            try:
                rows = sources.rows(self.spec.dataset, split)
                numbered = (sample_of(self.spec, row, index) for index, row in enumerate(rows))
                for sample in self.samples(split) if self.spec.private else filter(None, numbered):
                    golds = by_database.setdefault((sample.database, sample.ddl), {})
                    golds.update(dict.fromkeys(sample.gold))
            except DataError:
                continue
        return {key: tuple(golds) for key, golds in by_database.items()}

    def _locate(self, database: str) -> Database:
        if url := self.spec.databases.url:
            return Database(database, self.spec.databases.engine, (server_at(url, database),))
        base = self._path(database)
        pattern = self.spec.databases.instances
        others: list[Path] = []
        if pattern:
            files = Path(expand(pattern, database=database))
            others = sorted(path for path in files.parent.glob(files.name) if not _is_same(path, base))
        return Database(database, self.spec.databases.engine, (base, *others))

    def messages(self, sample: Sample) -> tuple[Message, ...]:
        """The chat messages that ask the sample's question."""
        engine = self.prompt_database(sample).engine
        return prompts.messages(self.spec.prompt, engine, self.schema(sample), sample, self.examples(sample))

    def schema(self, sample: Sample) -> Schema:
        """What the sample's prompt shows of its database. Raises DataError."""
        database = self.prompt_database(sample)
        parts = self.spec.prompt.schema_
        schema = describe(database, rows=parts.rows)
        if parts.comments or parts.max_tokens:
            from tasks.databases.comments import with_comments

            schema = with_comments(database, schema)
        if not parts.max_tokens:
            return Schema(schema.tables, self._values(sample, schema) if parts.values else {})
        from tasks.linking.choice import linked

        asked = f"{sample.question} {sample.evidence}" if self.spec.prompt.evidence else sample.question
        return linked(parts, schema, asked, lambda: self._values(sample, schema))

    def _values(self, sample: Sample, schema: Schema) -> Mapping[str, tuple[str, ...]]:
        from tasks.databases.values import find_values

        return find_values(self.prompt_database(sample), schema, sample.question)

    def examples(self, sample: Sample) -> tuple[Sample, ...]:
        """The few-shot examples in the sample's prompt: training questions with their golds.

        Raises DataError where the dataset has no training split.
        """
        if self.spec.prompt.examples.count and sample not in self._examples_of:
            self._examples_of[sample] = self._pool.pick(sample)
        return self._examples_of.get(sample, ())

    @cached_property
    def _pool(self) -> Examples:
        dataset = self.spec.dataset
        if not dataset.gives_sql:
            raise SpecError(
                f"{self.name}: prompt.examples need gold SQL, and this dataset gives results only"
            )
        if dataset.train_split == dataset.eval_split:
            raise DataError(
                f"{self.name}: prompt.examples come from dataset.train_split, but '{dataset.train_split}'"
                " is also the evaluation split: set dataset.train_split to another split"
            )
        return Examples(self.spec.prompt.examples, self.samples(dataset.train_split))


def _is_same(path: Path, other: Path) -> bool:
    return path == other or (path.exists() and other.exists() and path.samefile(other))
