"""One random draw of a question: choices among tables, columns and words, and the filling of templates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import TypeVar

from harness.generation import wording
from harness.generation.kinds import number_of, number_text
from harness.generation.names import is_plural, joined, plural
from harness.generation.types import Catalog, Entity, Field, Kind, Link, Pair
from tasks.types import Cell

T = TypeVar("T")
_CHOICE = re.compile(r"\[([^\[\]]*)\]")
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeioAEIO](?!ne\b))")
_REPEATED = re.compile(r"\b([a-z]+) \1\b")
_WORD = re.compile(r"@(\w+)")
_SHOWN: dict[Kind, float] = {
    "label": 4, "category": 2, "number": 2, "year": 1.5, "date": 1.5, "code": 1, "text": 1, "key": 0.8,
    "ref": 0.4, "flag": 0.3,
}  # fmt: skip


class NoFit(Exception):
    """The database has no table, column or value for this question."""


class Filter:
    """A condition: its SQL, and a text that follows the plural of the filtered rows in a question."""

    def __init__(self, sql: str, text: str, *fields: Field) -> None:
        self.sql = sql
        self.text = text
        self.fields = fields


class Draw:
    """The choices of one question. Every method raises NoFit where nothing can be chosen."""

    def __init__(self, catalog: Catalog, random: Random) -> None:
        self.catalog = catalog
        self.random = random
        self.values: list[str] = []
        self._phrases: dict[Field, str] = {}
        self._names: dict[Entity, str] = {}
        self._quote = random.choice(("", "", "", "'", '"'))

    def pick(self, options: Sequence[T], weights: Sequence[float] | None = None) -> T:
        """One of the options."""
        if not options:
            raise NoFit
        return self.random.choices(options, weights)[0]

    def chance(self, share: float) -> bool:
        """True in this share of draws."""
        return self.random.random() < share

    def entity(self, *kinds: Kind) -> Entity:
        """A table with at least one column of these kinds, larger tables more often."""
        fits = [one for one in self.catalog.entities if not kinds or one.of(*kinds)]
        return self.pick(
            fits, [min(len(one.of("label", "category", "number", "date")), 6) + 1 for one in fits]
        )

    def link(self, *, alone: bool = True) -> Link:
        """A link between two tables; ``alone``: the only one between them."""
        return self.pick([link for link in self.catalog.links if link.alone or not alone])

    def field(self, entity: Entity, *kinds: Kind, but: Sequence[Field] = ()) -> Field:
        """A column of one of these kinds."""
        return self.pick([field for field in entity.of(*kinds) if field not in but])

    def groups(self, entity: Entity) -> list[Field]:
        """The columns by whose values rows can be grouped."""
        kinds: tuple[Kind, ...] = ("category", "year", "ref")
        return [field for field in entity.of(*kinds) if not field.nulls and not field.unique]

    def shown(self, entity: Entity, count: int = 1, but: Sequence[Field] = ()) -> tuple[Field, ...]:
        """Columns that a question may ask for: ``count`` of them, or the title of the rows."""
        if self.chance(0.35) and count <= len(entity.title) and not set(entity.title) & set(but):
            return entity.title
        chosen: list[Field] = []
        while len(chosen) < count:
            fits = [f for f in entity.fields if f.kind in _SHOWN and f not in but and f not in chosen]
            chosen.append(self.pick(fits, [_SHOWN[field.kind] for field in fits]))
        return tuple(chosen)

    def title(self, entity: Entity) -> tuple[Field, ...]:
        """The columns that name a row."""
        if not entity.title:
            raise NoFit
        return entity.title

    def phrase(self, field: Field) -> str:
        """The phrase of a column, the same throughout the question."""
        if field not in self._phrases:
            self._phrases[field] = self.pick(field.phrases)
        return self._phrases[field]

    def name(self, entity: Entity) -> str:
        """The name of one row of a table, the same throughout the question."""
        if entity not in self._names:
            self._names[entity] = self.pick(entity.names)
        return self._names[entity]

    def parent(self, link: Link) -> Entity | str:
        """The parent of a link as a part of a question: its role where several columns point to it."""
        return link.parent if link.alone else link.role

    def number(self, low: int, high: int) -> tuple[int, str]:
        """A small number and how the question writes it."""
        number = self.random.randint(low, high)
        written = wording.SMALL[number] if number == 1 or (number < 10 and self.chance(0.4)) else str(number)
        self.values.append(written)
        return number, written

    def written(self, value: Cell, field: Field | None = None) -> str:
        """A value as the question writes it."""
        number = number_of(value)
        text = str(value) if number is None or isinstance(value, int) else number_text(number)
        self.values.append(text)
        words = isinstance(value, str) and (field is None or field.kind not in ("date", "year"))
        return f"{self._quote}{text}{self._quote}" if words and self._quote not in text else text

    def ask(self, templates: Sequence[str], **parts: object) -> str:
        """One of the templates: ``[a|b]`` is a choice, ``@word`` one of the words, ``{x}`` a part.

        An entity or column ``x`` also fills ``{xs}``, its plural; several columns are an English list.
        """
        text = self.expanded(self.pick(templates))
        slots: dict[str, str] = {}
        for name, part in parts.items():
            slots[name], slots[f"{name}s"] = self._forms(part)
        text = self._polished(" ".join(text.format_map(slots).split()))
        return text[0].upper() + text[1:]

    def clause(self, templates: Sequence[str], **parts: object) -> str:
        """One of the templates, as ``ask`` fills it, that begins in the middle of a question."""
        text = self.ask(templates, **parts)
        return text[0].lower() + text[1:]

    def expanded(self, text: str) -> str:
        """A template with one of each of its choices and words."""
        while _CHOICE.search(text):
            text = _CHOICE.sub(lambda match: self.pick(match[1].split("|")), text)
        return _WORD.sub(lambda match: self.pick(wording.CHOICES[match[1]]), text)

    def _polished(self, text: str) -> str:
        """The text with "an" before vowels and without repeated words, unless a value would change."""
        changed = _REPEATED.sub(r"\1", _ARTICLE.sub(r"\1n ", text))
        return changed if all(value in changed for value in self.values if value in text) else text

    def _forms(self, part: object) -> tuple[str, str]:
        """A part of a question in singular and plural."""
        if isinstance(part, Entity):
            return self.name(part), plural(self.name(part))
        if isinstance(part, Field):
            return self.phrase(part), plural(self.phrase(part))
        if isinstance(part, Filter):
            return part.text, part.text
        if isinstance(part, tuple):
            one, many = zip(*map(self._forms, part), strict=True)
            if one == ("first name", "last name"):
                whole = self.pick(("first and last name", "full name"))
                return whole, plural(whole)
            return joined(one), joined(many)
        text = str(part)
        return text, plural(text)

    def pair(self, sql: str, question: str, family: str) -> Pair:
        """The finished pair."""
        values = tuple(value for value in self.values if value in question)
        return Pair(question, sql, family, self.catalog.database.id, values)


def is_countable(phrase: str) -> bool:
    """Whether a quantity is named by what it counts: "goals", "bathrooms"."""
    return is_plural(phrase.split()[-1])


def columns(fields: Sequence[Field], full: bool = False) -> str:
    """The columns as SQL; ``full``: with their table."""
    return ", ".join(field.full if full else field.name for field in fields)
