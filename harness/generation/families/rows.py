"""Rows of one table: their columns, with and without conditions."""

from __future__ import annotations

from harness.generation.draw import Draw, Filter, NoFit, columns
from harness.generation.families.family import Family
from harness.generation.filters import equals, filter_of, is_quotable, literal
from harness.generation.types import Entity

_ASKING = ("What ", "Which ", "How ", "For which ", "In which ")
LISTS = (
    "@list the {xs} of @all {ts}{f}{end}",
    "@show the {x} of [each|every] {t}{f1}{end}",
    "@list the {xs} [of|for] all {ts}{f}{end}",
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
    templates += ["@list the {xs} of {ts}{f}{end}", "@list the {xs} [of|for] [the|] {ts}{f}{end}"] * bool(
        text
    )
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


def predicate(text: str) -> str:
    """A condition's text as what the rows do: "with 3 rooms" is "have 3 rooms"; "" where it has none."""
    first, _, rest = text.partition(" ")
    if first in ("that", "who"):
        return rest
    does = {"with": "have", "in": "are in", "from": "are from", "to": "are to"}.get(first, "")
    return f"{does} {rest}" if does else ""


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
    ]
    text = f" {condition.text}" if condition else ""
    question = draw.ask(templates[:1] + templates[2:] if text else templates, t=entity, x=field, f=text)
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
    question = draw.ask(templates, t=entity, x=shown, f=condition)
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


ROWS = (
    Family("listed", 2.5, listed),
    Family("everything", 0.3, everything),
    Family("distinct", 2, distinct),
    Family("filtered", 8, filtered),
    Family("looked_up", 2, looked_up),
    Family("both", 3, both),
)
