"""Two tables along a foreign key: rows of the child with the parent, and parents with their children."""

from __future__ import annotations

from harness.generation.draw import Draw, Filter, columns
from harness.generation.families.family import Family
from harness.generation.families.ranking import extreme_word, measures
from harness.generation.families.rows import finished, singular_text
from harness.generation.families.totals import FUNCTIONS, ask_count
from harness.generation.filters import filter_of, name_in
from harness.generation.types import Entity, Link
from harness.generation.values import literal

_OF_NAMED = (
    "of the {p} {o}",
    "for the {p} {o}",
    "that belong to the {p} {o}",
    "from the {p} {o}",
    "by the {p} {o}",
    "whose {p} is {v}",
    "of {p} {v}",
    "in {p} {v}",
    "in the {v} {p}",
    "that the {p} {v} has",
    "of {v}",
    "by {v}",
)
_OF_SOME = ("of {ps} {f}", "for {ps} {f}", "of a {p} {o}", "from {ps} {f}", "that belong to {ps} {f}")


def parent_text(draw: Draw, link: Link, condition: Filter) -> Filter:
    """A condition on the parent of a link, as words that follow the child's plural."""
    text = condition.text
    templates = list(_OF_NAMED if is_named(link.parent, condition) else _OF_SOME)
    if text.startswith("whose "):
        templates += ["whose {p}'s {v}"]
    forms = {"f": text, "o": singular_text(f" {text}"), "v": name_in(condition) or text[len("whose ") :]}
    return Filter(condition.sql, draw.clause(templates, p=draw.parent(link), **forms), *condition.fields)


def is_named(entity: Entity, condition: Filter) -> bool:
    """Whether a condition gives the name of a row."""
    return bool(name_in(condition)) and condition.fields[0] in entity.title


_HOW_MANY = (
    "How many {cs} does the {p} {v} have?",
    "How many {cs} does {v} have?",
    "How many {cs} are there in the {v} {p}?",
    "Count the {cs} that {v} has.",
)


def child_by_parent(draw: Draw) -> tuple[str, str]:
    """Columns, or the number, of the children of some parents."""
    link = draw.link(alone=False)
    if link.child is link.parent:
        return by_own_table(draw, link)
    parent = filter_of(draw, link.parent, full=True)
    condition = parent_text(draw, link, parent)
    if draw.chance(0.35):
        sql = f"SELECT COUNT(*) FROM {link.sql} WHERE {condition.sql}"
        if not is_named(link.parent, parent) or draw.chance(0.5):
            return sql, ask_count(draw, link.child, condition.text)
        return sql, draw.ask(_HOW_MANY, c=link.child, p=draw.parent(link), v=name_in(parent))
    if draw.chance(0.15):
        other = filter_of(draw, link.child, full=True)
        condition = Filter(f"{other.sql} AND {condition.sql}", f"{other.text} {condition.text}")
    shown = draw.shown(link.child, draw.pick([1, 2], [3, 1]))
    question = draw.ask(["@list the {xs} of [the|all|] {cs} {f}."], x=shown, c=link.child, f=condition)
    return f"SELECT {columns(shown, True)} FROM {link.sql} WHERE {condition.sql}", finished(question)


def by_own_table(draw: Draw, link: Link) -> tuple[str, str]:
    """A table that points to itself: the rows whose manager has a name."""
    shown, title = draw.shown(link.child), draw.title(link.parent)
    value = draw.pick(title[0].values)
    sql = f"SELECT {columns([*shown], True)} FROM {link.child.name}".replace(f"{link.child.name}.", "a.")
    on = f"AS a JOIN {link.parent.name} AS b ON a.{link.ref.name} = b.{link.key.name}"
    templates = [
        "@list the {xs} of [the|all|] {cs} whose {r} has the {y} {v}.",
        "@list the {xs} of {cs} with {v} as the {y} of their {r}.",
    ]
    question = draw.ask(
        templates, x=shown, c=link.child, r=link.role, y=title[0], v=draw.written(value, title[0])
    )
    return f"{sql} {on} WHERE b.{title[0].name} = {literal(value)}", finished(question)


def parent_of_child(draw: Draw) -> tuple[str, str]:
    """Columns of the parent of one child, or of the parents of some children, each once."""
    link = draw.link()
    condition = filter_of(draw, link.child, full=True)
    shown = draw.shown(link.parent, draw.pick([1, 2], [4, 1]))
    one = singular_text(f" {condition.text}")
    if is_named(link.child, condition):
        question = draw.ask(
            ["@one the {x} of the {p} of the {c} {f}."],
            x=shown,
            p=draw.parent(link),
            c=link.child,
            f=singular_text(" " + condition.text),
        )
        return f"SELECT {columns(shown, True)} FROM {link.sql} WHERE {condition.sql}", finished(question)
    form = draw.pick(["plain", "distinct", "nested"], [3, 1.5, 1])
    word = "@different" if form == "distinct" else ""
    templates = [
        f"@list the {word} {{xs}} of [the|all|] {{ps}} [that have|with|that correspond to] {{cs}} {{f}}.",
        f"@list the {word} {{xs}} of [the|all|] {{ps}} [that have|with] [any|some|a] {{c}} {{f1}}.",
        f"Which {{ps}} have {{cs}} {{f}}? [Show|List|Give me|Find] the {word} {{xs}}.",
    ]
    if form == "nested":
        templates = ["@list the {xs} of [the|all|] {ps} that have [any|some|at least one] {c} {f1}."]
    question = draw.ask(templates, x=shown, p=link.parent, c=link.child, f=condition, f1=one)
    if form != "nested":
        start = "SELECT DISTINCT" if form == "distinct" else "SELECT"
        sql = f"{start} {columns(shown, True)} FROM {link.sql} WHERE {condition.sql}"
    else:
        inner = f"SELECT {link.ref.full} FROM {link.child.name} WHERE {condition.sql}"
        sql = f"SELECT {columns(shown)} FROM {link.parent.name} WHERE {link.key.name} IN ({inner})"
    return sql, finished(question)


def side_by_side(draw: Draw) -> tuple[str, str]:
    """Columns of each child and of its parent."""
    link = draw.pick([link for link in draw.catalog.links if link.alone and not link.ref.nulls])
    mine, theirs = draw.shown(link.child), draw.shown(link.parent)
    condition = filter_of(draw, link.child, full=True, but=mine) if draw.chance(0.3) else None
    text = f" {condition.text}" if condition else ""
    one = singular_text(text)
    templates = [
        "@list the {xs} of [all|] {cs}{f} and the {ys} of their {ps}.",
        "@list the {xs} of [all|the|] {cs}{f} and the corresponding {p} {ys}.",
        "@list the {xs} and {p} {ys} of [all|the|] {cs}{f}.",
        "For each {c}{f1}, [show|list|give|find] its {x} and the {y} of its {p}.",
        "@show the {x} of each {c}{f1} [and|together with|along with] the {y} of its {p}.",
    ]
    question = draw.ask(templates, x=mine, y=theirs, c=link.child, p=link.parent, f=text, f1=one)
    where = f" WHERE {condition.sql}" if condition else ""
    order = ""
    ranks = measures(link.child)
    if ranks and not condition and draw.chance(0.2):
        field = draw.pick(ranks)
        question = question.rstrip(".?") + draw.ask([", @order by {n} @desc"], n=field)
        order = f" ORDER BY {field.full} DESC"
    return f"SELECT {columns([*mine, *theirs], True)} FROM {link.sql}{where}{order}", finished(question)


def aggregate_by_parent(draw: Draw) -> tuple[str, str]:
    """An aggregate over the children of some parents."""
    link = draw.pick(
        [link for link in draw.catalog.links if link.child.of("number") and link.child is not link.parent]
    )
    field, function = draw.field(link.child, "number"), draw.pick(list(FUNCTIONS))
    condition = parent_text(draw, link, filter_of(draw, link.parent, full=True))
    question = draw.ask(
        [f"@one the {FUNCTIONS[function]} {{n}} of [the|all|] {{cs}} {{f}}."],
        n=field,
        c=link.child,
        f=condition,
    )
    return f"SELECT {function}({field.full}) FROM {link.sql} WHERE {condition.sql}", finished(question)


def parent_of_top(draw: Draw) -> tuple[str, str]:
    """Columns of the parent of the child that comes first, or of the first child of a parent."""
    link = draw.link()
    field = draw.pick(measures(link.child))
    most = draw.chance(0.7)
    shown = draw.shown(link.parent)
    word = extreme_word(field, most)
    templates = [
        f"@one the {{x}} of the {{p}} of the {{c}} with the {word} {{n}}.",
        f"@one the {{x}} of the {{p}} with the {word} {{c}} {{n}}.",
        f"@one the {{x}} of the {{p}} that has the {{c}} with the {word} {{n}}.",
    ]
    question = draw.ask(templates, x=shown, p=link.parent, c=link.child, n=field)
    order = f"ORDER BY {field.full}{' DESC' if most else ''} LIMIT 1"
    return f"SELECT {columns(shown, True)} FROM {link.sql} {order}", finished(question)


JOINS = (
    Family("child_by_parent", 6, child_by_parent),
    Family("parent_of_child", 5, parent_of_child),
    Family("side_by_side", 3, side_by_side),
    Family("aggregate_by_parent", 2, aggregate_by_parent),
    Family("parent_of_top", 1.5, parent_of_top),
)
