"""How a shape (a SQL template with its phrasings) becomes a question and its SQL on an invented database.

A template names tables by role and columns by kind::

    {t}         the table            (in a phrase: its singular; ``{t+}`` its plural)
    {t.num}     a column of that kind, bare; ``{t.num2}`` is another one of the same kind
    {t!num}     the same column, qualified by its table (in SQL only)
    {v:t.cat}   a literal for that column; ``w`` is another one, and the greater
    {y:t.date}  a year, ``{m:t.date}`` a month of a year, ``{part:t.label}`` a piece of text
    {n}         a small number

Kinds are those of ``Field`` and ``show`` (any but keys), ``any`` (any but the table's key) and ``text``
(label or cat). ``[a|b|]`` in a phrase is a choice, ``@name`` one of the word lists below.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Literal

from tasks.prompts import quoted
from tools.nano.schemas import Entity, Field, World
from tools.nano.values import Literals

Scope = Literal["t", "cp", "cmp", "jpq", "ab"]
Level = Literal["easy", "medium", "hard", "extra"]

CHOICES: Mapping[str, tuple[str, ...]] = {
    "list": ("list out", "show me", "give me", "find me", "display", "what exactly are", "report", "tell me",
             "fetch"),
    "one": ("what exactly is", "find me", "give me", "show me", "tell me", "report", "look up"),
    "many": ("exactly how many", "tell me how many", "so how many", "say how many", "in all, how many"),
    "count": ("exactly how many", "count up the", "tell me the number of", "give me the count of",
              "say how many"),
    "gt": ("more than", "over", "above", "greater than", "exceeding", "higher than"),
    "lt": ("less than", "under", "below", "lower than", "smaller than"),
    "ge": ("at least", "no less than", "not below"),
    "le": ("at most", "no more than", "up to"),
    "avg": ("average", "mean", "typical"),
    "sum": ("total", "sum of the", "combined", "summed"),
    "max": ("highest", "largest", "maximum", "biggest", "greatest"),
    "min": ("lowest", "smallest", "minimum", "least"),
    "each": ("each", "every", "per"),
    "of": ("of", "for", "from"),
    "is": ("is", "equals", "is equal to", "="),
    "with": ("with", "having", "that have", "whose record has"),
    "desc": ("in descending order", "from highest to lowest", "descending", "highest first"),
    "asc": ("in ascending order", "from lowest to highest", "ascending", "lowest first"),
}  # fmt: skip
COLUMN = re.compile(
    r"\{(?:(?P<value>v|w|y|m|part):)?(?P<role>[a-z])(?P<mark>[.!])(?P<kind>[a-z]+)(?P<nth>\d?)\}"
)
TABLE = re.compile(r"\{(?P<role>[tcmpjqab])(?P<plural>\+?)\}")
CHOICE = re.compile(r"\[([^\[\]]*)\]")
WORD = re.compile(r"@([a-z]+)")
SHOWN = ("label", "cat", "num", "date", "event")
MEMBERS: Mapping[str, tuple[str, ...]] = {
    "show": ("label", *SHOWN),
    "any": SHOWN,
    "text": ("label", "cat"),
    "date": ("date", "event"),
}


@dataclass(frozen=True)
class Shape:
    """One kind of query: the tables that it needs, its SQL, and phrasings of the question."""

    level: Level
    scope: Scope
    sql: str
    phrases: tuple[str, ...]

    @cached_property
    def slots(self) -> tuple[tuple[str, str, str], ...]:
        """The columns it needs: (role, kind, which of them), each once."""
        texts = (self.sql, *self.phrases)
        found = {(m["role"], m["kind"], m["nth"]): None for text in texts for m in COLUMN.finditer(text)}
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Role:
    """A table of the query, with the reference that joins it to the next (``far``: to the one after)."""

    entity: Entity
    ref: Field | None = None
    far: Field | None = None


Roles = Mapping[str, Role]
Slot = tuple[str, str, str]
Fields = Mapping[Slot, Field]


@dataclass(frozen=True, slots=True)
class Pair:
    """A question and the SQL that answers it."""

    question: str
    sql: str
    shape: Shape


def ask(shape: Shape, world: World, random: Random) -> Pair | None:
    """One question of this shape, or None where the database lacks what it needs."""
    roles = _roles(shape.scope, world, random)
    if roles is None:
        return None
    fields = _fields(shape, roles, random)
    if fields is None:
        return None
    literals = Literals(random)
    sql = _write_sql(shape.sql, roles, fields, literals)
    question = _write_question(random.choice(shape.phrases), roles, fields, literals)
    return Pair(question, sql, shape)


def _roles(scope: Scope, world: World, random: Random) -> Roles | None:
    options = list(_paths(scope, world))
    return random.choice(options) if options else None


def _paths(scope: Scope, world: World) -> Iterator[Roles]:
    tables = world.entities
    if scope == "t":
        yield from ({"t": Role(entity)} for entity in tables)
        return
    for link in world.links:
        child, parent = tables[link.child], tables[link.parent]
        own = link.child == link.parent
        if scope == "ab" and own:
            yield {"a": Role(child, link.field), "b": Role(parent)}
        if own or scope == "ab":
            continue
        if scope == "cp":
            yield {"c": Role(child, link.field), "p": Role(parent)}
        for other in world.links:
            far = tables[other.parent]
            if other.child == other.parent or other is link:
                continue
            if scope == "cmp" and other.child == link.parent:
                yield {"c": Role(child, link.field), "m": Role(parent, other.field), "p": Role(far)}
            if scope == "jpq" and other.child == link.child and other.parent != link.parent:
                yield {"j": Role(child, link.field, other.field), "p": Role(parent), "q": Role(far)}


def _fields(shape: Shape, roles: Roles, random: Random) -> Fields | None:
    chosen: dict[Slot, Field] = {}
    for slot in shape.slots:
        role, kind, _ = slot
        entity = roles[role].entity
        fixed = {"id": entity.key, "ref": roles[role].ref, "far": roles[role].far}.get(kind)
        if fixed:
            chosen[slot] = fixed
            continue
        used = [field for (other, *_), field in chosen.items() if other == role]
        kinds = MEMBERS.get(kind, (kind,))
        free = [field for field in entity.fields if field.kind in kinds and field not in used]
        if not free:
            return None
        chosen[slot] = random.choice(free)
    return chosen


def _write_sql(template: str, roles: Roles, fields: Fields, literals: Literals) -> str:
    def column(match: re.Match[str]) -> str:
        field = fields[match["role"], match["kind"], match["nth"]]
        if match["value"]:
            return literals.sql(match["value"], field)
        name = quoted(field.name)
        if match["mark"] == ".":
            return name
        role = match["role"]
        return f"{role if role in 'ab' else quoted(roles[role].entity.name)}.{name}"

    text = COLUMN.sub(column, template)
    text = TABLE.sub(lambda match: quoted(roles[match["role"]].entity.name), text)
    return text.replace("{n}", literals.small)


def _write_question(phrase: str, roles: Roles, fields: Fields, literals: Literals) -> str:
    def column(match: re.Match[str]) -> str:
        field = fields[match["role"], match["kind"], match["nth"]]
        return literals.in_words(match["value"], field) if match["value"] else field.phrase

    def table(match: re.Match[str]) -> str:
        entity = roles[match["role"]].entity
        return entity.plural if match["plural"] else entity.singular

    random = literals.random
    while CHOICE.search(phrase):
        phrase = CHOICE.sub(lambda match: random.choice(match[1].split("|")), phrase)
    phrase = WORD.sub(lambda match: random.choice(CHOICES[match[1]]), phrase)
    text = TABLE.sub(table, COLUMN.sub(column, phrase)).replace("{n}", literals.small_in_words)
    text = " ".join(text.split())
    return text[0].upper() + text[1:]
