"""Three tables: along two foreign keys, or through a table that links two others."""

from __future__ import annotations

from typing import NamedTuple

from harness.generation.draw import Draw, Filter, columns
from harness.generation.families.children import grouped, having_some
from harness.generation.families.family import Family
from harness.generation.families.joins import is_named, parent_text
from harness.generation.families.rows import finished, predicate, singular_text
from harness.generation.families.totals import ask_count
from harness.generation.filters import filter_of, name_in
from harness.generation.types import Entity, Field, Link


class Bridge(NamedTuple):
    """A table that points to two others. ``pure``: it has hardly more than the two references."""

    near: Link
    far: Link
    pure: bool

    @property
    def sql(self) -> str:
        far = self.far
        return f"{self.near.sql} JOIN {far.parent.name} ON {far.ref.full} = {far.key.full}"


def bridge(draw: Draw) -> Bridge:
    """Two links from one table to different tables."""
    links = [link for link in draw.catalog.links if link.alone]
    pairs = [(a, b) for a in links for b in links if a.child is b.child and a.parent is not b.parent]
    near, far = draw.pick(pairs)
    own = [field for field in near.child.fields if field.kind not in ("ref", "key", "other")]
    return Bridge(near, far, len(own) <= 1)


def chain(draw: Draw) -> tuple[Link, Link, str]:
    """A child, its parent, and the parent of that; and the three as SQL."""
    links = [link for link in draw.catalog.links if link.alone]
    pairs = [(a, b) for a in links for b in links if a.parent is b.child and b.parent is not a.child]
    first, second = draw.pick(pairs)
    return first, second, f"{first.sql} JOIN {second.parent.name} ON {second.ref.full} = {second.key.full}"


def _far_text(draw: Draw, way: Bridge) -> Filter:
    """A condition on the far table, as words that follow the plural of the near one."""
    condition = filter_of(draw, way.far.parent, full=True)
    one = singular_text(" " + condition.text).strip()
    if is_named(way.far.parent, condition):
        texts = ["that have {js} for the {q} {o}", "with {js} for the {q} {o}"]
        texts += [
            "that have the {q} {o}",
            "with the {q} {o}",
            "with {q} {v}",
            "that have {v} as {q}",
        ] * way.pure
    else:
        texts = ["that have {js} for {qs} {f}"] + ["that have {qs} {f}", "with {qs} {f}"] * way.pure
    texts += ["associated with the {q} {o}", "in the {q} {o}"] if is_named(way.far.parent, condition) else []
    texts += ["associated with {qs} {f}"]
    forms = {"o": one, "f": condition.text, "v": name_in(condition)}
    text = draw.clause(texts, q=way.far.parent, j=way.far.child, **forms)
    return Filter(condition.sql, text, *condition.fields)


def across(draw: Draw) -> tuple[str, str]:
    """Columns of the rows that a link table connects with rows that meet a condition, each once."""
    way = bridge(draw)
    condition = _far_text(draw, way)
    near = way.near.parent
    shown = draw.shown(near, draw.pick([1, 2], [4, 1]))
    if draw.chance(0.25):
        sql = f"SELECT COUNT(DISTINCT {way.near.ref.full}) FROM {way.sql} WHERE {condition.sql}"
        return sql, draw.ask(
            ["How many [different|distinct] {ts} {f} are there?", "Count the @different {ts} {f}."],
            t=near,
            f=condition,
        )
    distinct = draw.chance(0.3)
    word = "@different" if distinct else ""
    does = predicate(condition.text)
    templates = [f"@list the {word} {{xs}} of [the|all|] {{ts}} {{f}}."]
    templates += [f"Which {{ts}} {{d}}? [Show|List|Give me|Find] the {word} {{xs}}."] * bool(does)
    question = draw.ask(templates, x=shown, t=near, f=condition, d=does)
    start = "SELECT DISTINCT" if distinct else "SELECT"
    return f"{start} {columns(shown, True)} FROM {way.sql} WHERE {condition.sql}", finished(question)


def across_each(draw: Draw) -> tuple[str, str]:
    """Both sides of a link table beside each other."""
    way = bridge(draw)
    mine, theirs = draw.shown(way.near.parent), draw.shown(way.far.parent)
    templates = [
        "For each {j}, [show|list|find] the {x} of the {p} and the {y} of the {q}.",
        "@show the {x} of the {p} and the {y} of the {q} for each {j}.",
    ]
    question = draw.ask(templates, x=mine, y=theirs, j=way.near.child, p=way.near.parent, q=way.far.parent)
    return f"SELECT {columns([*mine, *theirs], True)} FROM {way.sql}", finished(question)


def across_count(draw: Draw) -> tuple[str, str]:
    """The number of linked rows of each row; or the row with the most, or with enough of them."""
    way = bridge(draw)
    link = way.near
    shown = draw.title(link.parent) if draw.chance(0.7) else draw.shown(link.parent)
    noun = way.far.parent if way.pure else link.child
    start, tail = f"SELECT {columns(shown, True)}", f"FROM {link.sql} {grouped(draw, link, shown)}"
    parts = {"x": shown, "p": link.parent, "q": noun, "e": having_some(draw, link)}
    kind = draw.pick(["each", "most", "enough"])
    if kind == "each":
        templates = [
            "[Show|List|Give] the {x} of each {p}{e} and the number of {qs} [it has|for it].",
            "For each {p}{e}, [show|give|find] the {x} and the number of {qs}.",
        ]
        return f"{start}, COUNT(*) {tail}", finished(draw.ask(templates, **parts))
    if kind == "most":
        templates = [
            "@one the {x} of the {p} with the [most|largest number of] {qs}.",
            "Which {p} has the most {qs}? [Give|Show|List] the {x}.",
        ]
        return f"{start} {tail} ORDER BY COUNT(*) DESC LIMIT 1", finished(draw.ask(templates, **parts))
    number, written = draw.number(1, 6)
    operator, words = draw.pick([(">", "more than {n}"), (">=", "at least {n}")])
    question = draw.ask(
        [f"@list the {{xs}} of [the|] {{ps}} [with|that have] {words} {{qs}}."], n=written, **parts
    )
    return f"{start} {tail} HAVING COUNT(*) {operator} {number}", finished(question)


def two_hops(draw: Draw) -> tuple[str, str]:
    """Columns, or the number, of the rows whose parent's parent meets a condition."""
    first, second, sql = chain(draw)
    outer = parent_text(draw, second, filter_of(draw, second.parent, full=True))
    condition = Filter(outer.sql, draw.clause(["of [the|] {ms} {f}"], m=first.parent, f=outer))
    if draw.chance(0.3):
        return f"SELECT COUNT(*) FROM {sql} WHERE {condition.sql}", ask_count(
            draw, first.child, condition.text
        )
    shown = draw.shown(first.child)
    question = draw.ask(["@list the {xs} of [the|all|] {cs} {f}."], x=shown, c=first.child, f=condition)
    return f"SELECT {columns(shown, True)} FROM {sql} WHERE {condition.sql}", finished(question)


def far_columns(draw: Draw) -> tuple[str, str]:
    """Columns of each row and of its parent's parent."""
    first, second, sql = chain(draw)
    mine, theirs = draw.shown(first.child), draw.shown(second.parent)
    templates = [
        "For each {c}, [show|list|find] the {x} and the {y} of the {p} of its {m}.",
        "@show the {x} of each {c} and the {y} of the {p} of its {m}.",
    ]
    question = draw.ask(templates, x=mine, y=theirs, c=first.child, m=first.parent, p=second.parent)
    return f"SELECT {columns([*mine, *theirs], True)} FROM {sql}", finished(question)


def far_count(draw: Draw) -> tuple[str, str]:
    """The number of grandchildren of each row, or the row with the most."""
    first, second, sql = chain(draw)
    shown: tuple[Field, ...] = draw.title(second.parent)
    top: Entity = second.parent
    group = grouped(draw, second, shown)
    if draw.chance(0.5):
        templates = [
            "@one the {x} of the {p} with the most {cs} of its {ms}.",
            "Which {p} has the most {cs} among its {ms}? Give the {x}.",
        ]
        question = draw.ask(templates, x=shown, p=top, c=first.child, m=first.parent)
        return f"SELECT {columns(shown, True)} FROM {sql} {group} ORDER BY COUNT(*) DESC LIMIT 1", finished(
            question
        )
    templates = ["[Show|List|Give] the {x} of each {p} that has some and the number of {cs} of its {ms}."]
    question = draw.ask(templates, x=shown, p=top, c=first.child, m=first.parent)
    return f"SELECT {columns(shown, True)}, COUNT(*) FROM {sql} {group}", finished(question)


PATHS = (
    Family("across", 3, across),
    Family("across_each", 1, across_each),
    Family("across_count", 2, across_count),
    Family("two_hops", 2, two_hops),
    Family("far_columns", 0.7, far_columns),
    Family("far_count", 0.7, far_count),
)
