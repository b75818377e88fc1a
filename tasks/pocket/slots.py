"""Fill the slots of a family in one domain: tables, links, columns, and values from real rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from tasks.pocket.families.family import Family
from tasks.pocket.fill import Columns
from tasks.pocket.schema import Domain, Entity, Field
from tasks.types import Cell

T = TypeVar("T")
NUMBERS = ("integer", "real", "year")

COLUMN_KINDS: dict[str, Callable[[Field], bool]] = {
    "label": lambda field: field.kind == "label",
    "category": lambda field: field.kind == "category" and not field.nulls,
    "number": lambda field: field.kind in NUMBERS,
    "full": lambda field: field.kind in NUMBERS and not field.nulls,
    "measure": lambda field: field.kind in ("integer", "real"),
    "date": lambda field: field.kind == "date",
    "fulldate": lambda field: field.kind == "date" and not field.nulls,
    "null": lambda field: field.nulls > 0,
    "show": lambda field: field.kind not in ("key", "link"),
}


def _between(low: float, high: float) -> Callable[[Sequence[Cell], Random], Cell]:
    """A function that draws a cell between two quantiles of the sorted cells."""
    return lambda cells, random: cells[int(len(cells) * random.uniform(low, high))]


def _distinct(cells: Sequence[Cell], random: Random) -> Cell:
    return random.choice(list(dict.fromkeys(cells)))


def _count(share: float) -> Callable[[Sequence[Cell], Random], Cell]:
    """A function that draws a share of the number of rows with one value of the column, at least 1."""

    def count(cells: Sequence[Cell], random: Random) -> Cell:
        counts = sorted(Counter(cells).values())
        return max(1, int(share * counts[int(len(counts) * random.uniform(0.3, 0.85))]))

    return count


VALUE_KINDS: dict[str, Callable[[Sequence[Cell], Random], Cell]] = {
    "value": _distinct,
    "mid": _between(0.2, 0.8),
    "near": _between(0.35, 0.6),
    "low": _between(0.1, 0.4),
    "high": _between(0.6, 0.9),
    "count": _count(1.0),
    "half": _count(0.5),
    "year": lambda cells, random: str(random.choice(cells))[:4],
    "word": lambda cells, random: random.choice(str(random.choice(cells)).split()),
    "initial": lambda cells, random: str(random.choice(cells))[0],
    "top": lambda cells, random: random.randint(2, 6),
}
RAW = frozenset({"word", "initial", "year"})
"""Values that the SQL template puts in quotes itself."""


class NoFit(Exception):
    """The domain has no table, link, column or value for a slot of the family."""


@dataclass(frozen=True, slots=True)
class Slot:
    """The text that fills a slot in the SQL and in the question."""

    sql: str
    words: str
    entity: Entity
    field: Field | None = None


class Draw:
    """One random filling of a family's slots. ``write`` raises NoFit: the domain cannot fill a slot."""

    def __init__(self, domain: Domain, columns: Columns, random: Random) -> None:
        self._domain = domain
        self._columns = columns
        self._random = random
        self._slots: dict[str, Slot] = {}

    def write(self, family: Family, phrasings: Sequence[str]) -> tuple[str, str]:
        """A question in one of the phrasings, and its SQL. Raises NoFit."""
        for part in family.tables.split():
            self._table(*part.split(">"))
        for part in family.slots.split():
            name, _, rest = part.partition("=")
            source, _, kind = rest.partition(".")
            fill = self._column if kind in COLUMN_KINDS else self._value
            self._slots[name] = fill(source, kind)
        words = {name: slot.words for name, slot in self._slots.items()}
        words |= {f"{name}s": slot.entity.plural for name, slot in self._slots.items() if slot.field is None}
        question = self._random.choice(phrasings).format(**words)
        sql = family.sql.format(**{name: slot.sql for name, slot in self._slots.items()})
        return question[0].upper() + question[1:], sql

    def _table(self, name: str, target: str = "") -> None:
        """Bind a table, unless it is bound, and a link from it to an unused table."""
        if name not in self._slots:
            self._bind(name, self._pick(self._free(self._domain.entities)))
        if target:
            entity = self._slots[name].entity
            targets = self._free([self._domain.entity(link.target) for link in entity.links])
            self._bind(target, self._pick(targets))
            link = next(link for link in entity.links if link.target == self._slots[target].entity.name)
            self._slots[f"{name}_{target}"] = Slot(link.sql, link.phrase, entity, link)

    def _bind(self, name: str, entity: Entity) -> None:
        self._slots[name] = Slot(entity.sql, entity.singular, entity)
        self._slots[f"{name}_id"] = Slot(entity.key.sql, entity.key.phrase, entity, entity.key)

    def _free(self, entities: Sequence[Entity]) -> list[Entity]:
        used = {slot.entity.name for slot in self._slots.values()}
        return [entity for entity in entities if entity.name not in used]

    def _column(self, source: str, kind: str) -> Slot:
        entity = self._slots[source].entity
        used = [slot.field for slot in self._slots.values() if slot.entity is entity]
        fits = [field for field in entity.fields if COLUMN_KINDS[kind](field) and field not in used]
        field = self._pick(fits)
        return Slot(field.sql, field.phrase, entity, field)

    def _value(self, source: str, kind: str) -> Slot:
        slot = self._slots[source]
        assert slot.field is not None
        taken = {other.words for other in self._slots.values()}
        cells = self._columns[slot.entity.name, slot.field.name]
        value = VALUE_KINDS[kind](cells, self._random)
        if str(value) in taken:
            raise NoFit
        quoted = f"'{value}'" if isinstance(value, str) and kind not in RAW else str(value)
        return Slot(quoted, str(value), slot.entity, slot.field)

    def _pick(self, options: Sequence[T]) -> T:
        if not options:
            raise NoFit
        return self._random.choice(options)
