"""Rows of one table in order, and the first of them."""

from __future__ import annotations

from harness.generation import wording
from harness.generation.draw import Draw, columns
from harness.generation.families.family import Family
from harness.generation.families.rows import ask_rows, finished
from harness.generation.filters import filter_of
from harness.generation.types import Entity, Field


def ranked(draw: Draw) -> tuple[Entity, Field]:
    """A table and a column by which its rows can be ordered."""
    entity = draw.pick([one for one in draw.catalog.entities if measures(one)])
    return entity, draw.pick(measures(entity))


def measures(entity: Entity) -> list[Field]:
    """The quantities and dates of a table that every row has."""
    return [field for field in entity.of("number", "date", "year") if not field.nulls]


def direction(draw: Draw, field: Field) -> tuple[bool, str]:
    """Whether an order is descending, and the words for it after "ordered by X"."""
    if draw.chance(0.45):
        return False, draw.pick(["", "@asc"])
    if field.kind in ("date", "year"):
        return True, draw.pick(["in descending order", "from the most recent to the earliest"])
    return True, "@desc"


def ordered(draw: Draw) -> tuple[str, str]:
    """Columns of the rows, in the order of a number or a date."""
    entity, field = ranked(draw)
    condition = filter_of(draw, entity, but=[field], many=True) if draw.chance(0.35) else None
    shown = draw.shown(entity, draw.pick([1, 2, 3], [4, 3, 1]))
    descending, words = direction(draw, field)
    templates = [f"@order by {{n}} {words}"] + ["in order of {n}"] * (not descending)
    templates += [
        f"in [the|] {'descending' if descending else 'ascending'} order of {{n}}",
        f"@order by {{n}} {'descending' if descending else 'ascending'}",
        f"by {'descending' if descending else 'ascending'} {{n}}",
        f"@order by {{n}} from {'large to small' if descending else 'small to large'}",
    ] * bool(words)
    tail = draw.clause(templates, n=field)
    extremes = wording.extremes_of(field)
    if extremes and draw.chance(0.4):
        first, last = (extremes.most, extremes.least) if descending else (extremes.least, extremes.most)
        tail = f"{draw.expanded('@order')} by {draw.phrase(field)} from the {first} to the {last}"
    comma = "," if condition else ""
    question = ask_rows(draw, entity, shown, condition, f"{comma} {tail}")
    where = f" WHERE {condition.sql}" if condition else ""
    order = f"ORDER BY {field.name}{' DESC' if descending else ''}"
    return f"SELECT {columns(shown)} FROM {entity.name}{where} {order}", question


_ALPHABETICAL = (
    "in alphabetical order",
    "in [ascending|lexicographical|alphabetic] order",
    "in ascending alphabetical order",
    "@order alphabetically",
    "alphabetically",
)


def alphabetical(draw: Draw) -> tuple[str, str]:
    """Columns of the rows in alphabetical order."""
    entity = draw.entity("label", "category")
    field = draw.field(entity, "label", "category")
    if field.nulls:
        return ordered(draw)
    others = draw.shown(entity, 1, but=[field]) if draw.chance(0.4) else ()
    tail = draw.clause(_ALPHABETICAL)
    if others:
        tail = draw.clause(["@order by {n} alphabetically", "in alphabetical order of {n}"], n=field)
    descending = draw.chance(0.15)
    if descending:
        tail = draw.clause(["in [reverse|descending] alphabetical order of {n}"], n=field)
    shown = (field, *others)
    question = ask_rows(draw, entity, shown, None, f" {tail}")
    order = f"ORDER BY {field.name}{' DESC' if descending else ''}"
    return f"SELECT {columns(shown)} FROM {entity.name} {order}", question


def extreme_word(field: Field, most: bool) -> str:
    """The template of the adjective for the highest or lowest value."""
    if field.kind in ("date", "year"):
        return "[latest|most recent]" if most else "earliest"
    return "@max" if most else "@min"


def extreme_rows(draw: Draw, entity: Entity, field: Field, most: bool, single: bool = False) -> str:
    """The template of the row, or the ``{n}`` rows, that come first."""
    word = extreme_word(field, most)
    texts = [f"{{n}} {{T}} with the {word} {{x}}", f"{{n}} {{T}} having the {word} {{x}}"]
    extremes = wording.extremes_of(field)
    if single:
        texts = [text.replace("{n} ", "") for text in texts] + [f"{{T}} whose {{x}} is the {word}"]
    elif field.kind == "number":
        texts += [f"{{T}} with the {{n}} {word} {{xs}}"]
    if extremes and len([one for one in entity.fields if wording.extremes_of(one)]) == 1:
        texts += [f"{{n}} {extremes.most if most else extremes.least} {{T}}"] * 2
    return draw.pick(texts)


def top(draw: Draw) -> tuple[str, str]:
    """Columns of the first row, or the first few, by a number or a date."""
    entity, field = ranked(draw)
    condition = filter_of(draw, entity, but=[field], many=True) if draw.chance(0.25) else None
    most, single = draw.chance(0.65), draw.chance(0.7)
    number, written = (1, "") if single else draw.number(2, 6)
    shown = draw.shown(entity, draw.pick([1, 2, 3], [5, 3, 1]), but=[field])
    if draw.chance(0.15):
        shown = (*shown[:1], field)
    rows = extreme_rows(draw, entity, field, most, single).replace("{T}", "{t}" if single else "{ts}")
    rows = draw.clause([rows], n=written, t=entity, x=field)
    word = extreme_word(field, most)
    text = f" {condition.text}" if condition else ""
    if text and single:
        templates = [f"Among {{ts}}{{f}}, [what is|find|show] the {{z}} of the one with the {word} {{x}}."]
    elif text:
        templates = [f"Among {{ts}}{{f}}, [show|find|list] the {{zs}} of the {{n}} with the {word} {{x}}."]
    elif single:
        templates = ["@one the {z} of the {r}.", "@one the {z} of the {r}.", "@show the {z} of the {r}."]
        templates += [f"Which {{t}} has the {word} {{x}}? [Give|Show|Find|Return] [the|its] {{z}}."]
        templates += [f"Which {{t}} has the {word} {{x}}?"] * (3 if shown == entity.title else 0)
    else:
        templates = ["@list the {zs} of the {r}.", "@show the {z} of the {r}."]
        if field.kind == "number":
            end = "top" if most else "bottom"
            templates += [f"@list the {{zs}} of the {end} {{n}} {{ts}} by {{x}}."]
            templates += [f"@list the {{zs}} of the top {{n}} {{ts}} with the {word} {{x}}."]
    question = draw.ask(templates, z=shown, t=entity, x=field, r=rows, n=written, f=text)
    where = f" WHERE {condition.sql}" if condition else ""
    order = f"ORDER BY {field.name}{' DESC' if most else ''} LIMIT {number}"
    return f"SELECT {columns(shown)} FROM {entity.name}{where} {order}", finished(question)


RANKING = (
    Family("ordered", 4, ordered),
    Family("alphabetical", 2.5, alphabetical),
    Family("top", 6, top),
)
