"""Conditions on the rows of one table, as SQL and as the words that follow "singers" in a question."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from harness.generation import wording
from harness.generation.draw import Draw, Filter, NoFit
from harness.generation.kinds import flag_of
from harness.generation.quantities import between, compare, dated, in_year
from harness.generation.types import Entity, Field
from harness.generation.values import literal, value_of
from tasks.types import Cell

Condition = Callable[[Draw, Entity, Field, str], Filter]
"""Makes a filter from a draw, the table, one of its columns, and the column as SQL."""


def filter_of(
    draw: Draw, entity: Entity, full: bool = False, but: Sequence[Field] = (), many: bool = False
) -> Filter:
    """A random condition on a table.

    ``full``: the SQL names columns with their table; ``many``: more than one row may meet it.
    """
    fits = [f for f in entity.fields if f.kind in _CONDITIONS and f not in but and f.values]
    if many:
        fits = [field for field in fits if field.kind in ("category", "number", "year", "date", "flag")]
    field = draw.pick(fits, [_WEIGHTS.get(field.kind, 1.0) for field in fits])
    conditions, weights = zip(*_CONDITIONS[field.kind], strict=True)
    made: Condition = draw.pick(conditions, weights)
    return made(draw, entity, field, field.full if full else field.name)


_EQUAL_TEXTS = (
    "whose {x} @is {v}",
    "whose {x} @is {v}",
    "with {x} {v}",
    "with {x} {v}",
    "with the {x} {v}",
    "with {v} as [the|their] {x}",
    "that have the {x} {v}",
    "of {x} {v}",
    "of the {x} {v}",
    "in the {x} {v}",
    "where the {x} is {v}",
)


def equals(draw: Draw, entity: Entity, field: Field, sql: str) -> Filter:
    """A column has a value."""
    value = value_of(draw, field)
    text = draw.clause(
        [*_equal_texts(draw, entity, field, value), *_EQUAL_TEXTS],
        x=field,
        v=draw.written(value, field),
    )
    return Filter(f"{sql} = {literal(value)}", text, field)


def _equal_texts(draw: Draw, entity: Entity, field: Field, value: Cell) -> list[str]:
    """Shorter ways to say it, where the column is a place, a gender, or the name of the row."""
    elsewhere = any(value in other.values for other in entity.fields if other is not field)
    places = [other for other in entity.fields if other.words & wording.PLACES and other.kind == "category"]
    person = entity.words & wording.PEOPLE
    if "destination" in field.words and not elsewhere:
        return ["to {v}"]
    if field.words & wording.PLACES and field.kind in ("category", "label") and not elsewhere:
        home = person or "origin" in field.words
        texts = (
            ["from {v}", "from {x} {v}", "who live in {v}"]
            if home
            else ["in {v}", "in {x} {v}", "located in {v}"]
        )
        return texts * (2 if len(places) == 1 else 1)
    if field.words & {"sex", "gender"} and str(value).lower() in ("f", "m", "female", "male"):
        return [f"who are {'female' if str(value).lower().startswith('f') else 'male'}"] * 2
    if field in entity.title and len(entity.title) == 1 and not elsewhere:
        return ["named {v}", "called {v}", "with the name {v}"] if "name" in field.words else ["with {x} {v}"]
    return ["in {v}", "of {v}", "for {v}"] if field.kind == "category" and not elsewhere else []


_NAMED = re.compile("(named|called|with the name) ")


def name_in(condition: Filter) -> str:
    """The name that a condition on the title of a table gives, as the question writes it; "" if none."""
    return _NAMED.sub("", condition.text) if _NAMED.match(condition.text) else ""


def differs(draw: Draw, entity: Entity, field: Field, sql: str) -> Filter:
    """A column has another value."""
    if field.nulls:
        raise NoFit
    value = value_of(draw, field)
    texts = ["whose {x} is not {v}", "with a {x} other than {v}", "whose {x} is different from {v}"]
    texts += ["that do not have the {x} {v}", "that are not in {v}", "with {x} not equal to {v}"]
    return Filter(
        f"{sql} != {literal(value)}", draw.clause(texts, x=field, v=draw.written(value, field)), field
    )


def either(draw: Draw, entity: Entity, field: Field, sql: str) -> Filter:
    """A column has one of two values."""
    one, other = value_of(draw, field), value_of(draw, field)
    if one == other:
        raise NoFit
    texts = ["whose {x} is {v} or {w}", "whose {x} is either {v} or {w}", "with {x} {v} or {w}"]
    texts += ["with either {v} or {w} as the {x}", "with {x} {v} or {x} {w}", "in {v} or {w}"]
    sides = {"v": draw.written(one, field), "w": draw.written(other, field)}
    form = draw.pick(
        [f"{sql} = {literal(one)} OR {sql} = {literal(other)}"] * 2
        + [f"{sql} IN ({literal(one)}, {literal(other)})"]
    )
    return Filter(f"({form})" if " OR " in form else form, draw.clause(texts, x=field, **sides), field)


def like(draw: Draw, entity: Entity, field: Field, sql: str) -> Filter:
    """A column contains a word, or starts or ends with some letters."""
    value = str(value_of(draw, field))
    words = [word for word in value.split() if word.isalpha() and len(word) > 2]
    if draw.chance(0.6):
        part = draw.pick(words)
        pattern, texts = (
            f"%{part}%",
            ["whose {x} contains {v}", "with {v} in the {x}", "whose {x} includes {v}"],
        )
        texts += [
            "whose {x} has the substring {v}",
            "that contain {v} in their {x}",
            "that have {v} in the {x}",
        ]
        texts += ["whose {x} contains the word {v}"] * (len(value.split()) > 1)
    else:
        part = value[0].upper()
        if not part.isalpha():
            raise NoFit
        pattern, texts = (
            f"{part}%",
            [
                "whose {x} starts with {v}",
                "whose {x} begins with the letter {v}",
                "with a {x} that starts with the letter {v}",
            ],
        )
    draw.values.append(part)
    return Filter(f"{sql} LIKE '{pattern}'", draw.clause(texts, x=field, v=f"'{part}'"), field)


def exact(draw: Draw, entity: Entity, field: Field, sql: str) -> Filter:
    """A number, code or key has a value."""
    value = value_of(draw, field)
    texts = ["whose {x} is {v}", "with {x} {v}", "with [a|] {x} of {v}", "of {x} {v}", "with the {x} {v}"]
    texts += ["in {x} {v}", "for {x} {v}"] * (field.kind == "ref")
    return Filter(
        f"{sql} = {literal(value)}", draw.clause(texts, x=field, v=draw.written(value, field)), field
    )


def flagged(draw: Draw, entity: Entity, field: Field, sql: str) -> Filter:
    """A truth value."""
    value = draw.pick(field.values)
    truth = (flag_of(field.values) or {})[str(value).lower()]
    texts = [f"that are {'' if truth else 'not '}{{x}}", "whose {x} is {v}", "with {x} {v}"]
    return Filter(
        f"{sql} = {literal(value)}", draw.clause(texts, x=field, v=draw.written(value, field)), field
    )


def missing(draw: Draw, entity: Entity, field: Field, sql: str) -> Filter:
    """There is no value, or there is one."""
    if not field.nulls:
        raise NoFit
    if draw.chance(0.6):
        texts = ["without [a|any] {x}", "whose {x} is missing", "that have no {x}", "with no {x} recorded"]
        return Filter(f"{sql} IS NULL", draw.clause(texts, x=field), field)
    texts = ["that have a {x}", "whose {x} is known", "with a recorded {x}"]
    return Filter(f"{sql} IS NOT NULL", draw.clause(texts, x=field), field)


_CONDITIONS: dict[str, list[tuple[Condition, float]]] = {
    "category": [(equals, 9), (differs, 1.2), (either, 1.2), (like, 0.5), (missing, 0.3)],
    "label": [(equals, 4), (like, 2)],
    "text": [(equals, 1), (like, 2), (missing, 1)],
    "number": [(compare, 6), (between, 1), (exact, 1), (missing, 0.2)],
    "year": [(in_year, 4), (between, 1), (missing, 0.3)],
    "date": [(dated, 4), (missing, 1)],
    "flag": [(flagged, 1)],
    "code": [(exact, 1), (missing, 0.2)],
    "key": [(exact, 1)],
    "ref": [(exact, 3), (either, 0.5), (missing, 0.2)],
}
_WEIGHTS = {
    "category": 4.0, "label": 2.0, "number": 2.0, "key": 0.4, "text": 0.5, "code": 0.5, "year": 1.0,
    "ref": 0.7,
}  # fmt: skip
