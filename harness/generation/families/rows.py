"""Rows of one table: their columns, with and without conditions."""

from __future__ import annotations

from harness.generation.draw import Draw, Filter, NoFit, columns
from harness.generation.families.family import Family
from harness.generation.filters import equals, filter_of, name_in
from harness.generation.types import Entity
from harness.generation.values import is_quotable, literal
from harness.generation.wording import PEOPLE

_ASKING = ("What ", "Which ", "Who ", "How ", "For which ", "In which ")
LISTS = (
    "@list the {xs} of @all {ts}{f}{end}",
    "@show the {x} of [each|every] {t}{f1}{end}",
    "@list the {xs} [of|for] all {ts}{f}{end}",
    "@list the {xs} [of|for] [the|] {ts}{f}{end}",
    "@list all {xs} [of|for] [the|] {ts}{f}{end}",
    "@list the {t} {xs}{only}{end}",
    "@show [the|] {x} [of|for] all {ts}{f}{end}",
    "[Show|List|Return|Find] @all {t} {xs}{only}{end}",
    "For [all|each of the] {ts}{f}, [show|list|give|find|return] the {xs}.",
)
"""Questions for columns. ``f`` follows a plural, ``f1`` a singular; ``only`` is a condition or nothing."""


def ask_rows(draw: Draw, entity: Entity, shown: object, condition: Filter | None, tail: str = "") -> str:
    """A question for columns of the rows that meet a condition."""
    text = f" {condition.text}" if condition else ""
    templates = [template for template in LISTS if not (text and "{only}" in template)]
    does = predicate(condition.text) if condition and " and " not in text and " or " not in text else ""
    templates += ["[Which|What] {ts} {does}? @show the {xs}."] * bool(does)
    templates += ["[Which|What] {ts} are there{only}? @list the {xs}."] * (not text and not tail)
    templates += ["@list the {xs} of {ts}{f}{end}"] * bool(text)
    if shown == entity.title:
        templates += [
            "Which {ts} are there{f}?",
            "What are the {ts}{f}{end}",
            "List [all|the|all the] {ts}{f}{end}",
        ]
        templates += ["Who are the {ts}{f}{end}"] * bool(entity.words & PEOPLE)
        templates += ["Which {ts} {does}?"] * bool(does)
    if tail:
        templates = [template for template in templates if "{end}" in template]
    chosen = draw.pick(templates)
    end = tail or "."
    question = draw.ask(
        [chosen], t=entity, x=shown, f=text, f1=singular_text(text), only=text, end=end, does=does
    )
    return finished(question)


def finished(question: str) -> str:
    """The question with the mark that its first word asks for."""
    body = question.rstrip(".?")
    last = body.rpartition("? ")[2] if "? " in body else body
    asks = last.startswith(_ASKING) or ", what is " in last or ", how many " in last
    return body + ("?" if asks else ".")


_PLACED = {"in", "from", "to", "of", "for", "located", "associated"}


def predicate(text: str) -> str:
    """A condition's text as what the rows do: "with 3 rooms" is "have 3 rooms"; "" where it has none."""
    first, _, rest = text.partition(" ")
    if first in ("that", "who"):
        return rest
    if first == "with":
        return f"have {rest}"
    return f"are {text}" if first in _PLACED else ""


def singular_text(text: str) -> str:
    """A condition's text after a singular."""
    for many, one in ((" that have ", " that has "), (" who are ", " who is "), (" that are ", " that is ")):
        text = text.replace(many, one, 1) if text.startswith(many) else text
    return text


def listed(draw: Draw) -> tuple[str, str]:
    """One to three columns of all rows."""
    entity = draw.entity()
    shown = draw.shown(entity, draw.pick([1, 2, 3], [4, 3, 1.5]))
    return f"SELECT {columns(shown)} FROM {entity.name}", ask_rows(draw, entity, shown, None)


def everything(draw: Draw) -> tuple[str, str]:
    """All columns of the rows that meet a condition."""
    entity = draw.entity()
    condition = filter_of(draw, entity)
    templates = [
        "@list all [information|details|the information] about [the|] {ts} {f}.",
        "@show everything [about|we know about] {ts} {f}.",
    ]
    question = draw.ask(templates, t=entity, f=condition)
    return f"SELECT * FROM {entity.name} WHERE {condition.sql}", finished(question)


def distinct(draw: Draw) -> tuple[str, str]:
    """The distinct values of a column."""
    entity = draw.entity("category", "year")
    field = draw.pick(draw.groups(entity))
    condition = filter_of(draw, entity, but=[field]) if draw.chance(0.3) else None
    templates = [
        "@list the @different {xs} of [the|all|] {ts}{f}.",
        "@list all [the|] @different {t} {xs}{f}.",
        "What are all the @different {xs} [of|among] [the|] {ts}{f}?",
        "Which @different {xs} do [the|] {ts}{f} have?",
        "What @different {xs} are there{n}?",
        "What @different {xs} do we have{n}?",
    ]
    text = f" {condition.text}" if condition else ""
    fits = [one for one in templates if not text or "{f}" in one]
    question = draw.ask(fits, t=entity, x=field, f=text, n="")
    where = f" WHERE {condition.sql}" if condition else ""
    return f"SELECT DISTINCT {field.name} FROM {entity.name}{where}", finished(question)


def filtered(draw: Draw) -> tuple[str, str]:
    """One to three columns of the rows that meet a condition."""
    entity = draw.entity()
    condition = filter_of(draw, entity)
    shown = draw.shown(entity, draw.pick([1, 2, 3], [6, 3, 1]), but=condition.fields)
    sql = f"SELECT {columns(shown)} FROM {entity.name} WHERE {condition.sql}"
    return sql, ask_rows(draw, entity, shown, condition)


def named(draw: Draw, entity: Entity) -> Filter:
    """The condition that a row has a name, which may consist of first and last name."""
    title = draw.title(entity)
    if len(title) == 1:
        return equals(draw, entity, title[0], title[0].name)
    if any(field.nulls for field in title):
        raise NoFit
    parts = draw.pick(list(zip(*(field.values for field in title), strict=True)))
    if not all(is_quotable(str(part)) for part in parts):
        raise NoFit
    tests = [f"{field.name} = {literal(part)}" for field, part in zip(title, parts, strict=True)]
    name = draw.written(" ".join(map(str, parts)))
    return Filter(" AND ".join(tests), draw.clause(["named {v}", "called {v}"], v=name), *title)


def looked_up(draw: Draw) -> tuple[str, str]:
    """Columns of the one row with a name."""
    entity = draw.pick([one for one in draw.catalog.entities if one.title and one.title[0].kind == "label"])
    condition = named(draw, entity)
    shown = draw.shown(entity, draw.pick([1, 2], [3, 1]), but=condition.fields)
    templates = ["@one the {x} of the {t} {f}.", "@show the {x} [of|for] the {t} {f}."]
    templates += ["What {x} does the {t} {f} have?"] * (len(shown) == 1)
    name = name_in(condition)
    templates += ["@one the {x} of [the {t}|{t}|] {v}."] * (2 if name else 0)
    question = draw.ask(templates, t=entity, x=shown, f=condition, v=name)
    return f"SELECT {columns(shown)} FROM {entity.name} WHERE {condition.sql}", finished(question)


def both(draw: Draw) -> tuple[str, str]:
    """Columns of the rows that meet two conditions, or one of two."""
    entity = draw.entity()
    one = filter_of(draw, entity)
    other = filter_of(draw, entity, but=one.fields)
    word = draw.pick(["AND", "OR"], [3, 1])
    shown = draw.shown(entity, draw.pick([1, 2], [3, 1]), but=(*one.fields, *other.fields))
    condition = Filter(f"{one.sql} {word} {other.sql}", f"{one.text} {word.lower()} {other.text}")
    sql = f"SELECT {columns(shown)} FROM {entity.name} WHERE {condition.sql}"
    return sql, ask_rows(draw, entity, shown, condition)


def two_values(draw: Draw) -> tuple[str, str]:
    """Columns of the rows that have two values, which one row has."""
    entity = draw.entity()
    fits = [f for f in entity.of("category", "label", "ref", "year", "code", "number") if not f.nulls]
    one, other = draw.pick(fits), draw.pick(fits)
    if one is other:
        raise NoFit
    values = draw.pick(list(zip(one.values, other.values, strict=True)))
    if not all(is_quotable(str(value)) for value in values):
        raise NoFit
    shown = draw.shown(entity, draw.pick([1, 2], [3, 1]), but=(one, other))
    v, w = draw.written(values[0], one), draw.written(values[1], other)
    texts = ["with {a} {v} and {b} {w}", "whose {a} is {v} and whose {b} is {w}", "of {a} {v} and {b} {w}"]
    text = draw.clause([*texts, "that have the {a} {v} and the {b} {w}"], a=one, b=other, v=v, w=w)
    sql = f"{one.name} = {literal(values[0])} AND {other.name} = {literal(values[1])}"
    question = ask_rows(draw, entity, shown, Filter(sql, text, one, other))
    return f"SELECT {columns(shown)} FROM {entity.name} WHERE {sql}", question


ROWS = (
    Family("listed", 4, listed),
    Family("everything", 0.3, everything),
    Family("distinct", 3, distinct),
    Family("filtered", 8, filtered),
    Family("looked_up", 3, looked_up),
    Family("both", 2, both),
    Family("two_values", 2, two_values),
)
