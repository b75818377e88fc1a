"""The definition of a domain of ``pocket``: tables and columns, each with its phrase in questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.prompts import quoted

Kind = Literal["key", "link", "label", "category", "integer", "real", "year", "date"]

TYPES: dict[Kind, str] = {
    "key": "integer",
    "link": "integer",
    "label": "text",
    "category": "text",
    "integer": "integer",
    "real": "real",
    "year": "integer",
    "date": "date",
}


@dataclass(frozen=True, slots=True)
class Field:
    """One column: its name, its kind of values, and its phrase in questions."""

    name: str
    kind: Kind
    phrase: str
    pools: tuple[tuple[str, ...], ...] = ()
    """The words of its values: one pool for a category, one or two for a label."""
    low: float = 0
    high: float = 0
    nulls: float = 0.0
    """Share of NULLs."""
    target: str = ""
    """The table that a link points to."""

    @property
    def sql(self) -> str:
        return quoted(self.name)


@dataclass(frozen=True, slots=True)
class Entity:
    """One table, with the words for one row and for several rows."""

    name: str
    singular: str
    plural: str
    size: int
    """Rows in the base instance."""
    fields: tuple[Field, ...]

    @property
    def sql(self) -> str:
        return quoted(self.name)

    @property
    def key(self) -> Field:
        return next(field for field in self.fields if field.kind == "key")

    @property
    def links(self) -> list[Field]:
        return [field for field in self.fields if field.kind == "link"]


@dataclass(frozen=True, slots=True)
class Domain:
    """One database. A table comes after the tables that it points to."""

    name: str
    entities: tuple[Entity, ...]

    def entity(self, name: str) -> Entity:
        return next(entity for entity in self.entities if entity.name == name)


def key(name: str) -> Field:
    """The primary key."""
    return Field(name, "key", _words(name))


def link(name: str, target: str) -> Field:
    """A foreign key to the primary key of ``target``; never NULL."""
    return Field(name, "link", _words(name), target=target)


def label(name: str, *pools: tuple[str, ...], phrase: str = "") -> Field:
    """The name of a row: unique text of one word from each pool."""
    return Field(name, "label", phrase or _words(name), pools)


def category(name: str, *values: str, phrase: str = "", nulls: float = 0.0) -> Field:
    """Text with few values of uneven frequencies."""
    return Field(name, "category", phrase or _words(name), (values,), nulls=nulls)


def integer(name: str, low: int, high: int, phrase: str = "", nulls: float = 0.0) -> Field:
    """A whole number, for sums and averages."""
    return Field(name, "integer", phrase or _words(name), (), low, high, nulls)


def real(name: str, low: float, high: float, phrase: str = "", nulls: float = 0.0) -> Field:
    """A number with one decimal."""
    return Field(name, "real", phrase or _words(name), (), low, high, nulls)


def year(name: str, low: int, high: int, phrase: str = "") -> Field:
    """A year as a number, for comparisons and rankings, not for sums."""
    return Field(name, "year", phrase or _words(name), (), low, high)


def date(name: str, low: int, high: int, phrase: str = "", nulls: float = 0.0) -> Field:
    """An ISO date from the year ``low`` to the year ``high``, both included."""
    return Field(name, "date", phrase or _words(name), (), low, high, nulls)


def _words(name: str) -> str:
    return name.replace("_", " ").lower()
