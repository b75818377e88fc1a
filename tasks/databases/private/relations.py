"""The tables and views of a server as a task with private data sees them: what is private, what may be read.

Each engine's module (``engines.postgres_private``, ``engines.mariadb_private``) reads them from the server's
catalogue and adds what its engine knows of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tasks.common.errors import DataError
from tasks.databases.private.names import Pattern, hidden_in
from tasks.types import Column, Schema, Table

_SHOWN = 5


@dataclass(slots=True)
class Relation:
    """A table or view, with its private columns. ``columns``: the server's key of a column -> its name."""

    schema: str
    name: str
    view: bool
    columns: dict[Hashable, str] = field(default_factory=dict)
    generated: set[str] = field(default_factory=set)
    readable: set[str] = field(default_factory=set)
    """The columns that the role of the connection may read."""
    private: set[str] = field(default_factory=set)

    @property
    def place(self) -> str:
        """Its name with the schema."""
        return f"{self.schema}.{self.name}"

    @property
    def whole(self) -> bool:
        """Whether all of it is private."""
        return self.private == set(self.columns.values())


def mark_named(every: Iterable[Relation], found: Sequence[Pattern]) -> None:
    """Mark what the patterns name, and the generated columns beside it, as private."""
    for relation in every:
        named = hidden_in(found, relation.schema, relation.name, relation.columns.values())
        relation.private = set(relation.columns.values()) if named is None else named
        relation.private |= relation.generated if relation.private else set()


def follow_keys(every: Mapping[Any, Relation], keys: Sequence[Sequence[Any]]) -> None:
    """Mark the columns that reference a private column, whose values they hold.

    ``keys``: ``(table, other table, column, other column)``, as the keys of ``every`` and of ``columns``.
    """
    changed = True
    while changed:
        changed = False
        for one, other, number, other_number in keys:
            if one not in every or other not in every or every[other].whole:
                continue
            column = every[one].columns.get(number, "")
            if (
                every[other].columns.get(other_number) in every[other].private
                and column not in every[one].private
            ):
                every[one].private |= {column} | every[one].generated
                changed = True


def expect_unreadable(every: Iterable[Relation], place: str, user: str) -> None:
    """Raise DataError where the user may read private data. ``place``: the server, as messages name it."""
    open_ones = [f"{one.place}.{name}" for one in every for name in sorted(one.private & one.readable)]
    if open_ones:
        listed = ", ".join(open_ones[:_SHOWN]) + ", ..." * (len(open_ones) > _SHOWN)
        raise DataError(
            f"{place}: the role '{user}' may read {listed}, which the task marks as private: make a role"
            " without that with `harness db prepare --private` and name it in databases.url"
        )


def hidden_and_names(every: Sequence[Relation]) -> tuple[frozenset[tuple[str, str]], frozenset[str]]:
    """What is private: places and columns, and the names by which a text would tell of it."""
    hidden = {(one.place, column) for one in every for column in one.private}
    hidden |= {(one.place, "") for one in every if one.whole}
    public = {column for one in every for column in set(one.columns.values()) - one.private}
    columns = {column for one in every for column in one.private if not one.whole or column not in public}
    tables = {one.name for one in every if one.whole}
    return frozenset(hidden), frozenset(name.lower() for name in columns | tables)


def as_schema(every: Iterable[Relation], usual: str) -> Schema:
    """The tables and views with all their columns. ``usual``: the schema that is not named."""
    return Schema(
        tuple(
            Table(
                one.name,
                tuple(Column(name, "") for name in one.columns.values()),
                schema="" if one.schema == usual else one.schema,
            )
            for one in every
        )
    )
