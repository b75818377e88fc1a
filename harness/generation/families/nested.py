"""Queries in queries, and set operations: without children, in both, the same as, shared values."""

from __future__ import annotations

from harness.generation.draw import Draw, NoFit, columns
from harness.generation.families.family import Family
from harness.generation.families.ranking import extreme_rows, ranked
from harness.generation.families.rows import finished, singular_text
from harness.generation.filters import equals, filter_of
from harness.generation.types import Link
from harness.generation.values import literal, threshold, value_of


def _childless(draw: Draw) -> Link:
    """A link whose reference is never NULL, which NOT IN needs."""
    return draw.pick([link for link in draw.catalog.links if link.alone and not link.ref.nulls])


def without_children(draw: Draw) -> tuple[str, str]:
    """The parents that have no child, or none that meets a condition."""
    link = _childless(draw)
    condition = filter_of(draw, link.child) if draw.chance(0.3) else None
    text = f" {condition.text}" if condition else ""
    inner = f"SELECT {link.ref.name} FROM {link.child.name}" + (
        f" WHERE {condition.sql}" if condition else ""
    )
    where = f"FROM {link.parent.name} WHERE {link.key.name} NOT IN ({inner})"
    parts = {"p": link.parent, "c": link.child, "f": text, "f1": singular_text(text)}
    if draw.chance(0.3):
        templates = [
            "How many {ps} [have no|do not have any] {cs}{f}?",
            "Count the {ps} [without any|that have no] {cs}{f}.",
            "How many {ps} [did not have|are not in|never had] any {c}{f1}?",
            "[Find|Give|Show] the number of {ps} without {cs}{f}.",
        ]
        return f"SELECT COUNT(*) {where}", draw.ask(templates, **parts)
    shown = draw.shown(link.parent, draw.pick([1, 2], [4, 1]))
    templates = [
        "@list the {xs} of [the|all|] {ps} [without any|that have no|that do not have any|with no] {cs}{f}.",
        "@list the {xs} of [the|all|] {ps} that [are not in|never had|did not have] any {c}{f1}.",
        "@list the {xs} of [the|all|] {ps} [not associated with|that are not linked to] any {c}{f1}.",
        "@list the {xs} of [the|all|] {ps} [not in|not used by|without] any {c}{f1}.",
        "Which {ps} [have no|do not have any] {cs}{f}? [Show|List|Give] the {xs}.",
    ]
    return f"SELECT {columns(shown)} {where}", finished(draw.ask(templates, x=shown, **parts))


def with_children(draw: Draw) -> tuple[str, str]:
    """The parents that have some child."""
    link = draw.link()
    shown = draw.shown(link.parent)
    templates = ["@list the {xs} of [the|all|] {ps} that have [at least one|a|some] {c}."]
    question = draw.ask(templates, x=shown, p=link.parent, c=link.child)
    inner = f"SELECT {link.ref.name} FROM {link.child.name}"
    return f"SELECT {columns(shown)} FROM {link.parent.name} WHERE {link.key.name} IN ({inner})", finished(
        question
    )


def except_children(draw: Draw) -> tuple[str, str]:
    """The names of all parents except those with a child that meets a condition."""
    link = draw.link()
    title = draw.title(link.parent)
    if len(title) != 1 or not title[0].unique:
        raise NoFit
    condition = filter_of(draw, link.child, full=True)
    templates = [
        "@list the {xs} of [all|the] {ps} except those [with|that have] {cs} {f}.",
        "@list the {xs} of {ps} that do not have any {cs} {f}.",
    ]
    question = draw.ask(templates, x=title, p=link.parent, c=link.child, f=condition)
    name = title[0]
    inner = f"SELECT {name.full} FROM {link.sql} WHERE {condition.sql}"
    return f"SELECT {name.name} FROM {link.parent.name} EXCEPT {inner}", finished(question)


def in_both(draw: Draw) -> tuple[str, str]:
    """The parents with children of two kinds."""
    link = draw.link()
    title = draw.title(link.parent)
    field = draw.field(link.child, "category")
    one, other = value_of(draw, field), value_of(draw, field)
    if len(title) != 1 or not title[0].unique or one == other:
        raise NoFit
    templates = [
        "@list the {xs} of {ps} that have both {cs} with {k} {v} and {cs} with {k} {w}.",
        "@list the {xs} of {ps} that have {cs} with both {k} {v} and {k} {w}.",
        "@list the {xs} of {ps} with both {v} and {w} as {c} {k}.",
        "Which {ps} have both {v} and {w} {cs}? [Show|List|Give me] the {xs}.",
        "Which {ps} have {cs} with {k} {v} [as well as|and also] {cs} with {k} {w}? [Show|List] the {xs}.",
    ]
    sides = {"v": draw.written(one, field), "w": draw.written(other, field)}
    question = draw.ask(templates, x=title, p=link.parent, c=link.child, k=field, **sides)
    start = f"SELECT {title[0].full} FROM {link.sql} WHERE {field.full} ="
    return f"{start} {literal(one)} INTERSECT {start} {literal(other)}", finished(question)


def shared_values(draw: Draw) -> tuple[str, str]:
    """The values of a column that occur on both sides of a number, or on one side only."""
    entity = draw.entity("number")
    group, field = draw.pick(draw.groups(entity)), draw.field(entity, "number", "year")
    low, high = threshold(draw, field, 0.2, 0.6), threshold(draw, field, 0.4, 0.9)
    start = f"SELECT {group.name} FROM {entity.name} WHERE {field.name}"
    if draw.chance(0.6):
        if not float(str(low)) < float(str(high)):
            raise NoFit
        sides = {"v": draw.written(high), "w": draw.written(low)}
        templates = [
            "@list the {gs} shared by {ts} with [a|] {n} @gt {v} and {ts} with [a|] {n} @lt {w}.",
            "Which {gs} have both {ts} with [a|] {n} @gt {v} and {ts} with [a|] {n} @lt {w}?",
        ]
        question = draw.ask(templates, g=group, t=entity, n=field, **sides)
        return f"{start} > {literal(high)} INTERSECT {start} < {literal(low)}", finished(question)
    templates = [
        "@list the {gs} that have no {ts} with [a|] {n} @gt {v}.",
        "Which {gs} do not have any {t} with [a|] {n} @gt {v}?",
    ]
    question = draw.ask(templates, g=group, t=entity, n=field, v=draw.written(high))
    return f"SELECT {group.name} FROM {entity.name} EXCEPT {start} > {literal(high)}", finished(question)


def both_values(draw: Draw) -> tuple[str, str]:
    """The values of a column that occur with two values of another, or never with one."""
    entity = draw.entity("category")
    group = draw.pick([*draw.groups(entity), *entity.of("label")])
    field = draw.field(entity, "category", but=[group])
    one, other = value_of(draw, field), value_of(draw, field)
    start = f"SELECT {group.name} FROM {entity.name}"
    v = draw.written(one, field)
    if draw.chance(0.3):
        templates = [
            "@list the {gs} that do not have any {t} with {k} {v}.",
            "[Which|What] {gs} have no {ts} [with|of] {k} {v}?",
            "@list the {gs} [without|except those with] {ts} [with|of] {k} {v}.",
        ]
        question = draw.ask(templates, g=group, t=entity, k=field, v=v)
        return f"{start} EXCEPT {start} WHERE {field.name} = {literal(one)}", finished(question)
    if one == other:
        raise NoFit
    templates = [
        "@list the {gs} that have both {ts} with {k} {v} and {ts} with {k} {w}.",
        "@list the {gs} [of|for] {ts} with both {k} {v} and {k} {w}.",
        "[Which|What] {gs} have {ts} [with|of] [both|] {k} {v} and {w}?",
        "@list the {gs} shared by {ts} with {k} {v} and {ts} with {k} {w}.",
    ]
    question = draw.ask(templates, g=group, t=entity, k=field, v=v, w=draw.written(other, field))
    where = f"{start} WHERE {field.name} ="
    return f"{where} {literal(one)} INTERSECT {where} {literal(other)}", finished(question)


def united(draw: Draw) -> tuple[str, str]:
    """The names of two tables in one list."""
    first, second = draw.entity("label"), draw.entity("label")
    one, other = draw.field(first, "label"), draw.field(second, "label")
    if first is second or one.phrases[-1].split()[-1] != other.phrases[-1].split()[-1]:
        raise NoFit
    templates = [
        "@list the {xs} of all {us} together with the {ys} of all {ws}.",
        "@list the {xs} of {us} and the {ys} of {ws} in one list.",
    ]
    question = draw.ask(templates, x=one, y=other, u=first, w=second)
    return f"SELECT {one.name} FROM {first.name} UNION SELECT {other.name} FROM {second.name}", finished(
        question
    )


def same_as(draw: Draw) -> tuple[str, str]:
    """The other rows with the same value as a named row."""
    entity = draw.entity("category")
    title = draw.title(entity)
    if len(title) != 1 or not title[0].unique or title[0].kind == "key":
        raise NoFit
    field, name = draw.field(entity, "category"), title[0]
    value = value_of(draw, name)
    templates = [
        "@list the {xs} of [the|all|] {ts} with the same {k} as {v}.",
        "Which {ts} have the same {k} as {v}? [Show|List|Give] the {xs}.",
        "@list the {xs} of {ts} whose {k} is the same as that of {v}.",
    ]
    question = draw.ask(templates, x=name, t=entity, k=field, v=draw.written(value, name))
    inner = f"SELECT {field.name} FROM {entity.name} WHERE {name.name} = {literal(value)}"
    return f"SELECT {name.name} FROM {entity.name} WHERE {field.name} = ({inner})", finished(question)


def beyond_group(draw: Draw) -> tuple[str, str]:
    """The rows above every row, or some row, of a group; or above the average of it."""
    entity = draw.entity("number")
    field, group = draw.field(entity, "number"), draw.pick(draw.groups(entity))
    condition = equals(draw, entity, group, group.name)
    function, words = draw.pick(
        [
            ("MAX", "higher than that of [any|every] {t} {f}"),
            ("MIN", "lower than that of every {t} {f}"),
            ("AVG", "above the average of {ts} {g}"),
        ]
    )
    shown = draw.shown(entity, but=[field])
    question = draw.ask(
        [f"@list the {{xs}} of {{ts}} whose {{n}} is {words}."], x=shown, t=entity, n=field, g=condition,
        f=singular_text(" " + condition.text),
    )  # fmt: skip
    inner = f"SELECT {function}({field.name}) FROM {entity.name} WHERE {condition.sql}"
    operator = "<" if function == "MIN" else ">"
    return f"SELECT {columns(shown)} FROM {entity.name} WHERE {field.name} {operator} ({inner})", finished(
        question
    )


def extreme_value(draw: Draw) -> tuple[str, str]:
    """All rows that have the highest or lowest value."""
    entity, field = ranked(draw)
    most = draw.chance(0.6)
    template = extreme_rows(draw, entity, field, most, True).replace("{n}", "").replace("{T}", "{ts}")
    shown = draw.shown(entity, but=[field])
    question = draw.ask(["@list the {xs} of all {r}."], x=shown, r=draw.clause([template], t=entity, x=field))
    inner = f"SELECT {'MAX' if most else 'MIN'}({field.name}) FROM {entity.name}"
    return f"SELECT {columns(shown)} FROM {entity.name} WHERE {field.name} = ({inner})", finished(question)


NESTED = (
    Family("without_children", 4, without_children),
    Family("with_children", 0.7, with_children),
    Family("except_children", 1.2, except_children),
    Family("in_both", 1.2, in_both),
    Family("shared_values", 1.2, shared_values),
    Family("both_values", 1.5, both_values),
    Family("united", 0.4, united),
    Family("same_as", 1, same_as),
    Family("beyond_group", 1, beyond_group),
    Family("extreme_value", 0.7, extreme_value),
)
