"""What the grammar knows of a database: entities, fields with kinds and values, and links between them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from tasks.types import Cell, Database, Engine

Kind = Literal["key", "ref", "label", "category", "number", "year", "date", "flag", "code", "text", "other"]
"""``label`` names a row; ``category`` has few values; ``code`` is written in digits but is no quantity; no
question is asked about ``other``."""


@dataclass(frozen=True, eq=False, slots=True)
class Field:
    """A column. ``name`` is its name as SQL, ``type`` as declared; ``phrases`` name it in questions, the
    shortest first."""

    table: str
    name: str
    type: str
    kind: Kind
    phrases: tuple[str, ...]
    values: tuple[Cell, ...] = ()
    """Values of sampled rows, in row order, without NULL."""
    distinct: int = 0
    unique: bool = False
    nulls: bool = False

    @property
    def full(self) -> str:
        """The column with its table, as SQL."""
        return f"{self.table}.{self.name}"

    @property
    def words(self) -> set[str]:
        return set(self.phrases[-1].split())


@dataclass(frozen=True, eq=False, slots=True)
class Entity:
    """A table. ``names`` name one of its rows in questions, that of the table itself first."""

    name: str
    names: tuple[str, ...]
    fields: tuple[Field, ...]
    rows: int
    title: tuple[Field, ...]
    """The columns by which people name a row: one label, or first and last name; else the key."""
    key: Field | None = None

    @property
    def words(self) -> set[str]:
        return set(self.names[0].split())

    def of(self, *kinds: Kind) -> list[Field]:
        """The fields of these kinds."""
        return [field for field in self.fields if field.kind in kinds]


@dataclass(frozen=True, eq=False, slots=True)
class Link:
    """A foreign key: ``ref`` of the child holds ``key`` of the parent."""

    child: Entity
    ref: Field
    parent: Entity
    key: Field
    role: str
    """How questions name the parent if it is not ``alone``: by the column."""
    alone: bool = True
    """Whether no other column of the child points to the parent."""

    @property
    def covers(self) -> bool:
        """Whether every row of the parent has a child."""
        return self.ref.distinct >= self.parent.rows

    @property
    def sql(self) -> str:
        return f"{self.child.name} JOIN {self.parent.name} ON {self.ref.full} = {self.key.full}"


@dataclass(frozen=True, eq=False, slots=True)
class Catalog:
    """A database that questions are made for."""

    database: Database
    entities: tuple[Entity, ...]
    links: tuple[Link, ...] = ()

    @property
    def engine(self) -> Engine:
        return self.database.engine


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and its SQL. ``values``: the texts of the question that must survive a paraphrase."""

    question: str
    sql: str
    family: str
    database: str = ""
    values: tuple[str, ...] = ()
    difficulty: str = ""
    skeleton: str = field(default="", compare=False)
    """The SQL without names and values."""
