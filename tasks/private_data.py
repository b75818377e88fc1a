"""What a task with private data leaves out: golds that read it, and hints that name it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace

from tasks.common.home import home
from tasks.common.terminal import say
from tasks.databases.private import reads
from tasks.databases.private.names import expect_known, mentions
from tasks.databases.private.roles import by_role, privacy_of
from tasks.databases.state import on_server
from tasks.spec import TaskSpec
from tasks.types import Database, Sample, Schema

Numbered = tuple[int, Sample]


def protected(spec: TaskSpec, database: Database) -> Database:
    """The database without what the task marks as private: copies of its files, or a role that cannot read
    it. Raises DataError."""
    if on_server(database):
        return by_role(database, spec.private)
    from tasks.databases.private.copies import without_private

    return without_private(database, spec.private, home() / "public")


def divided(
    spec: TaskSpec, samples: Sequence[Numbered], locate: Callable[[Sample], Database]
) -> tuple[list[Numbered], list[Sample]]:
    """The samples that may be asked, and those with a gold that reads private data.

    A hint that names it is taken out. ``locate``: a sample's protected database. Raises SpecError: a name in
    ``private`` matches nothing.
    """
    databases = {sample.database: locate(sample) for _, sample in samples}
    expect_known(spec.name, spec.private, map(_schema, databases.values()))
    usable: list[Numbered] = []
    refused: list[Sample] = []
    with ExitStack() as stack:
        readers = {name: stack.enter_context(reads.opened(found)) for name, found in databases.items()}
        for number, sample in samples:
            if any(map(readers[sample.database], sample.gold)):
                refused.append(sample)
            else:
                usable.append((number, _without_hint(sample, databases[sample.database])))
    return usable, refused


def report(spec: TaskSpec, split: str, refused: Iterable[Sample]) -> None:
    """Report on stderr the questions that are left out."""
    if ids := [sample.id for sample in refused]:
        golds = "1 gold reads" if len(ids) == 1 else f"{len(ids)} golds read"
        say(f"{spec.name}: {golds} private data in '{split}', so they are left out; the first is {ids[0]}")


def _without_hint(sample: Sample, database: Database) -> Sample:
    private = database.private
    hints = private is not None and sample.evidence and mentions(sample.evidence, private.names)
    return replace(sample, evidence="") if hints else sample


def _schema(database: Database) -> tuple[str, Schema]:
    """The engine's default schema, and the tables of the database with those that are private."""
    if on_server(database):
        return privacy_of(database.engine).all_columns(database)
    from tasks.databases.schema import describe

    assert database.private
    return "main", describe(replace(database, instances=database.private.sources[:1], private=None))
