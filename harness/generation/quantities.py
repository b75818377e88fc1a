"""Conditions on numbers, years and dates."""

from __future__ import annotations

from harness.generation import wording
from harness.generation.draw import Draw, Filter, NoFit, is_countable
from harness.generation.types import Entity, Field
from harness.generation.values import literal, threshold


def compare(draw: Draw, entity: Entity, field: Field, sql: str) -> Filter:
    """A number is more or less than a threshold."""
    more, operator = draw.pick([(True, ">"), (False, "<"), (True, ">="), (False, "<=")], [4, 3, 1, 1])
    value = threshold(draw, field)
    word = {">": "@gt", "<": "@lt", ">=": "@ge", "<=": "@le"}[operator]
    texts = [f"whose {{x}} is {word} {{v}}", f"with [a|] {{x}} {word} {{v}}", f"with [a|] {{x}} {word} {{v}}"]
    counted = draw.phrase(field).removeprefix("number of ")
    texts += [
        f"that have [a|] {{x}} {word} {{v}}",
        f"with [a|] {{x}} of {word} {{v}}",
        f"with {word} {{v}} {{c}}",
    ]
    texts += [f"that have {word} {{v}} {{c}}"] * (2 if is_countable(counted) else 0)
    if operator in (">=", "<="):
        end = "[more|higher|above]" if more else "[less|lower|below]"
        texts = [*texts, f"with {{x}} of {{v}} or {end}", f"whose {{x}} is {{v}} or {end}"]
    extremes = wording.extremes_of(field)
    adjective = (extremes.more if more else extremes.less) if extremes and len(operator) == 1 else ""
    if adjective and len([f for f in entity.fields if wording.extremes_of(f) == extremes]) == 1:
        texts += [f"{adjective} {{v}}"] * 2
    return Filter(
        f"{sql} {operator} {literal(value)}",
        draw.clause(texts, x=field, c=counted, v=draw.written(value)),
        field,
    )


def between(draw: Draw, entity: Entity, field: Field, sql: str) -> Filter:
    """A number or year lies between two."""
    low, high = threshold(draw, field, 0.1, 0.4), threshold(draw, field, 0.6, 0.9)
    if not float(str(low)) < float(str(high)):
        raise NoFit
    texts = [
        "whose {x} is between {v} and {w}",
        "with [a|] {x} between {v} and {w}",
        "with {x} from {v} to {w}",
    ]
    sides = {"v": draw.written(low), "w": draw.written(high)}
    return Filter(
        f"{sql} BETWEEN {literal(low)} AND {literal(high)}", draw.clause(texts, x=field, **sides), field
    )


def in_year(draw: Draw, entity: Entity, field: Field, sql: str) -> Filter:
    """A year is, comes before or comes after one."""
    operator, texts = draw.pick(
        [
            ("=", ["whose {x} is {v}", "with {x} {v}", "in the {x} {v}", "with {x} in {v}"]),
            (">", ["whose {x} is after {v}", "with [a|] {x} after {v}", "with [a|] {x} later than {v}"]),
            ("<", ["whose {x} is before {v}", "with [a|] {x} before {v}", "with [a|] {x} earlier than {v}"]),
        ]
    )
    value = draw.pick(field.values) if operator == "=" else threshold(draw, field)
    return Filter(
        f"{sql} {operator} {literal(value)}", draw.clause(texts, x=field, v=draw.written(value)), field
    )


def dated(draw: Draw, entity: Entity, field: Field, sql: str) -> Filter:
    """A date comes before or after one, or lies in a year."""
    day = str(sorted(map(str, field.values))[int(len(field.values) * draw.random.uniform(0.15, 0.85))])[:10]
    if draw.chance(0.35):
        year = day[:4]
        texts = ["whose {x} is in {v}", "with [a|] {x} in [the year|] {v}"]
        text = draw.clause(texts, x=field, v=draw.written(year, field))
        return Filter(_in_year(draw, field, sql, year), text, field)
    operator, texts = draw.pick(
        [
            (">", ["whose {x} is after {v}", "with [a|] {x} after {v}", "with [a|] {x} later than {v}"]),
            ("<", ["whose {x} is before {v}", "with [a|] {x} before {v}", "with [a|] {x} earlier than {v}"]),
        ]
    )
    return Filter(f"{sql} {operator} '{day}'", draw.clause(texts, x=field, v=draw.written(day, field)), field)


def _in_year(draw: Draw, field: Field, sql: str, year: str) -> str:
    """That a date, or its text, lies in a year."""
    if draw.catalog.engine == "sqlite":
        return f"strftime('%Y', {sql}) = '{year}'"
    has_type = any(word in field.type.upper() for word in ("DATE", "TIME"))
    return f"EXTRACT(year FROM {sql}) = {year}" if has_type else f"{sql} LIKE '{year}%'"
