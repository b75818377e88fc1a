"""Generated databases: tables, columns, keys, and the words that questions use for them.

The databases have no rows. A ``Field`` is a column with its kind (which questions may be asked about it) and
its phrase (how a question names it).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from tasks.prompts import quoted, render_schema
from tasks.spec import SchemaSpec
from tasks.types import Column, ForeignKey, Schema, Table
from tools.nano import words

Kind = Literal["key", "ref", "label", "cat", "num", "date", "event", "flag"]
Style = Callable[[str], str]

TYPES: dict[Kind, tuple[str, ...]] = {
    "label": ("text",),
    "cat": ("text",),
    "num": ("integer", "real"),
    "date": ("date", "date", "date", "text"),
    "event": ("date",),
    "flag": ("integer", "integer", "boolean"),
}
TABLES = (3, 3, 4, 4, 5, 6)
COLUMN_KINDS: tuple[Kind, ...] = ("cat", "cat", "cat", "num", "num", "num", "num", "date", "event", "flag")


@dataclass(frozen=True, slots=True)
class Field:
    """A column, what may be asked of it, and how a question names it."""

    name: str
    type: str
    kind: Kind
    phrase: str


@dataclass(frozen=True, slots=True)
class Link:
    """``table.column`` points to the key of ``parent`` (indices into ``World.entities``)."""

    child: int
    parent: int
    field: Field


@dataclass(frozen=True, slots=True)
class Entity:
    """A table and its names in questions."""

    name: str
    singular: str
    plural: str
    fields: tuple[Field, ...]

    @property
    def key(self) -> Field:
        return self.fields[0]


@dataclass(frozen=True, slots=True)
class World:
    """One invented database."""

    entities: tuple[Entity, ...]
    links: tuple[Link, ...]

    @property
    def schema(self) -> Schema:
        """The schema as tasks see it."""
        return Schema(tuple(self._table(index) for index in range(len(self.entities))))

    @property
    def text(self) -> str:
        """The schema as prompts show it (compact, with keys)."""
        return render_schema(SchemaSpec(), self.schema)

    @property
    def ddl(self) -> str:
        """Statements that create the empty database."""
        return "\n".join(_create(table) for table in self.schema.tables)

    def _table(self, index: int) -> Table:
        entity = self.entities[index]
        keys = tuple(
            ForeignKey(link.field.name, self.entities[link.parent].name, self.entities[link.parent].key.name)
            for link in self.links
            if link.child == index
        )
        columns = tuple(Column(field.name, field.type, field.kind == "key") for field in entity.fields)
        return Table(entity.name, columns, keys)


def _create(table: Table) -> str:
    columns = [f"{quoted(column.name)} {column.type}" for column in table.columns]
    return f"CREATE TABLE {quoted(table.name)} ({', '.join(columns)});"


def invent(random: Random, tables: Sequence[int] = TABLES) -> World:
    """A random database with one of these numbers of tables, linked by foreign keys."""
    style, plural_names = _style(random), random.random() < 0.35
    phrases = _entity_phrases(random, random.choice(tables))
    parents = _parents(random, len(phrases))
    key_form = random.choice(("own", "own", "id"))
    entities: list[Entity] = []
    links: list[Link] = []
    for index, phrase in enumerate(phrases):
        key = Field(style("id" if key_form == "id" else f"{phrase} id"), "integer", "key", f"{phrase} id")
        refs = [_reference(random, style, phrases, index, parent) for parent in parents[index]]
        room = random.randint(1, 3) if len(refs) > 1 else random.randint(2, 4)
        fields = _fields(random, style, phrase, (key, *(link.field for link in refs)), room)
        name = style(plural(phrase) if plural_names else phrase)
        entities.append(Entity(name, phrase, plural(phrase), fields))
        links += refs
    return _shuffled(random, entities, links)


def _style(random: Random) -> Style:
    """How this database spells its names: mostly snake_case, sometimes a name or all of them awkward."""
    awkward: tuple[Style, ...] = (
        lambda phrase: phrase,
        lambda phrase: "_".join(word.capitalize() for word in phrase.split()),
        lambda phrase: "".join(word.capitalize() for word in phrase.split()),
        lambda phrase: phrase.title(),
    )
    share = 0.9 if random.random() < 0.06 else random.choice((0.0, 0.0, 0.1))
    chosen = random.choice(awkward)

    def style(phrase: str) -> str:
        return chosen(phrase) if random.random() < share else phrase.replace(" ", "_")

    return style


def pseudo(random: Random) -> str:
    """A word that no language has, so that names must be copied, not remembered."""
    syllables = random.choice((2, 2, 3))
    parts = (words.ONSETS, words.NUCLEI, words.CODAS)
    return "".join(random.choice(part) for _ in range(syllables) for part in parts)


def plural(phrase: str) -> str:
    """The regular English plural."""
    if phrase.endswith("y") and phrase[-2] not in "aeiou":
        return phrase[:-1] + "ies"
    return phrase + ("es" if phrase.endswith(("s", "x", "z", "ch", "sh")) else "s")


def _entity_phrases(random: Random, count: int) -> list[str]:
    phrases: list[str] = []
    while len(phrases) < count:
        draw = random.random()
        phrase = random.choice(words.ENTITIES)
        if draw < 0.17:
            phrase = pseudo(random)
        elif draw < 0.2:
            phrase = random.choice(words.RESERVED_ENTITIES)
        elif draw < 0.33:
            phrase = f"{random.choice(words.MODIFIERS + words.ENTITIES)} {phrase}"
        if phrase not in phrases and len(phrase) > 2:
            phrases.append(phrase)
    return phrases


def _parents(random: Random, count: int) -> list[list[int]]:
    """Which tables each table points to: a tree, with link tables that point to two."""
    parents: list[list[int]] = [[]]
    for index in range(1, count):
        wanted = 2 if index > 1 and random.random() < 0.4 else 1
        parents.append(sorted(random.sample(range(index), min(wanted, index))))
    own = random.randrange(count)
    if random.random() < 0.15:
        parents[own].append(own)
    return parents


def _reference(random: Random, style: Style, phrases: list[str], child: int, parent: int) -> Link:
    if child == parent:
        name = random.choice(("parent", "manager", "leader", "previous", "head"))
        return Link(child, parent, Field(style(f"{name} id"), "integer", "ref", name))
    name = phrases[parent]
    if random.random() < 0.08:
        name = f"{random.choice(words.MODIFIERS)} {name}"
    return Link(child, parent, Field(style(f"{name} id"), "integer", "ref", name))


def _fields(
    random: Random, style: Style, phrase: str, keys: tuple[Field, ...], room: int
) -> tuple[Field, ...]:
    """The table's columns: its key, then a label, other columns and references in any order."""
    rest: list[Field] = list(keys[1:])
    taken = {field.name.lower() for field in keys}
    if len(keys) < 3 or random.random() < 0.3:
        label = random.choice(words.LABELS)
        label = f"{phrase} name" if random.random() < 0.12 else label
        rest.append(Field(style(label), "text", "label", label))
        taken.add(rest[-1].name.lower())
    while room:
        field = _field(random, style, random.choice(COLUMN_KINDS))
        if field.name.lower() not in taken:
            taken.add(field.name.lower())
            rest.append(field)
            room -= 1
    if random.random() < 0.6:
        random.shuffle(rest)
    return (keys[0], *rest)


def _field(random: Random, style: Style, kind: Kind) -> Field:
    phrase, name = _column_phrase(random, kind)
    type_ = random.choice(TYPES[kind])
    return Field(style(name), type_, kind, phrase)


def _column_phrase(random: Random, kind: Kind) -> tuple[str, str]:
    """How a question names the column, and the words of its name."""
    if kind == "flag":
        phrase = random.choice(words.FLAGS)
        return phrase, random.choice((phrase, f"is {phrase}"))
    if kind == "event":
        phrase = random.choice(words.EVENTS)
        return phrase, random.choice((phrase, phrase, f"{phrase} on", f"date {phrase}"))
    if kind == "date":
        phrase = random.choice(words.DATES)
        return phrase, phrase
    pool = words.CATEGORIES if kind == "cat" else random.choice((words.INTEGERS, words.REALS))
    phrase = random.choice(pool)
    draw = random.random()
    if draw < 0.14:
        phrase = pseudo(random)
    elif draw < 0.34:
        phrase = f"{random.choice(words.MODIFIERS)} {phrase}"
    if pool is words.INTEGERS and random.random() < 0.15:
        return f"number of {phrase}", phrase
    return phrase, phrase


def _shuffled(random: Random, entities: list[Entity], links: list[Link]) -> World:
    order = list(range(len(entities)))
    random.shuffle(order)
    place = {old: new for new, old in enumerate(order)}
    moved = tuple(Link(place[link.child], place[link.parent], link.field) for link in links)
    return World(tuple(entities[old] for old in order), moved)
