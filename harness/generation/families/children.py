"""Parents with the number of their children, or an aggregate of them: GROUP BY over a foreign key."""

from __future__ import annotations

from harness.generation.draw import Draw, columns
from harness.generation.families.family import Family
from harness.generation.families.rows import finished
from harness.generation.families.totals import FUNCTIONS
from harness.generation.filters import filter_of
from harness.generation.names import plural
from harness.generation.types import Field, Link
from harness.generation.values import literal, threshold


def grouped(draw: Draw, link: Link, shown: tuple[Field, ...]) -> str:
    """GROUP BY one parent of a link. Engines other than SQLite want all shown columns."""
    names = [link.key.full] + [field.full for field in shown if field is not link.key]
    return "GROUP BY " + (names[0] if draw.catalog.engine == "sqlite" else ", ".join(names))


def having_some(draw: Draw, link: Link, verb: str = "has") -> str:
    """Words after "each parent", where a join leaves parents without children out."""
    return "" if link.covers else f" that {verb} {plural(draw.name(link.child))}"


def children_each(draw: Draw) -> tuple[str, str]:
    """Each parent with the number of its children, or an aggregate of them."""
    link = draw.link()
    shown = draw.title(link.parent) if draw.chance(0.7) else draw.shown(link.parent)
    parts = {
        "x": shown,
        "p": link.parent,
        "c": link.child,
        "e": having_some(draw, link),
        "h": having_some(draw, link, "have"),
    }
    parts["h1"] = "" if link.covers else f" for {plural(draw.name(link.parent))} that have some"
    numbers = link.child.of("number")
    if numbers and draw.chance(0.25):
        field, function = draw.pick(numbers), draw.pick(list(FUNCTIONS))
        word = FUNCTIONS[function]
        templates = [
            f"[Show|List|Give] the {{xs}} of [all|the] {{ps}}{{h}} and the {word} {{n}} of their {{cs}}.",
            f"For each {{p}}{{e}}, [show|find|give|list] the {{x}} and the {word} {{n}} of its {{cs}}.",
            f"What are the {{x}} and the {word} {{n}} of the {{cs}} of each {{p}}{{e}}?",
        ]
        asked, aggregate = (
            draw.ask(templates, **parts, n=field),
            f"{function}({field.full})",
        )
    else:
        templates = [
            "How many {cs} does each {p}{e} have? [Show|List|Give] the {x} and the [number|count].",
            "[Show|List|Find] the {x} of each {p}{e} and [the number of {cs} it has|its number of {cs}].",
            "[Show|List] the {xs} of [all|the] {ps}{h} and the number of {cs} [for each|of each|each has].",
            "What is the {x} of each {p}{e} and the number of its {cs}?",
            "For each {p}{e}, [show|list|find] the {x} and the number of {cs}.",
            "[Show|List|Find|Return] the {xs} of [all|the|] {ps}{h} and the [corresponding|] number of {cs}.",
            "What are the {xs} of the {ps}{h}, and how many {cs} [does each|do they] have?",
            "@list the {p} {xs} and the number of {cs}{h1}.",
            "How many {cs} does each {p}{e} have? [Show|List|Give] the {p} {x} and the number of {cs}.",
        ]
        asked, aggregate = draw.ask(templates, **parts), "COUNT(*)"
    sql = f"SELECT {columns(shown, True)}, {aggregate} FROM {link.sql} {grouped(draw, link, shown)}"
    return sql, finished(asked) if "? " not in asked else asked


def most_children(draw: Draw) -> tuple[str, str]:
    """The parent with the most or fewest children, or the first few."""
    link = draw.link()
    shown = draw.title(link.parent) if draw.chance(0.5) else draw.shown(link.parent, draw.pick([1, 2]))
    most = draw.chance(0.75) or not link.covers
    words = "@most" if most else "@fewest"
    condition = filter_of(draw, link.child, full=True) if draw.chance(0.12) else None
    text = f" {condition.text}" if condition else ""
    single = draw.chance(0.8)
    number, written = (1, "") if single else draw.number(2, 4)
    if single:
        templates = [
            f"@one the {{x}} of the {{p}} with the {words} {{cs}}{{f}}.",
            f"@one the {{x}} of the {{p}} that has the {words} {{cs}}{{f}}.",
            f"@one the {{x}} of the {{p}} [having|that is associated with] the {words} {{cs}}{{f}}.",
            f"@list the {{xs}} of the {{p}} with the {words} {{cs}}{{f}}.",
            f"Which {{p}} has the {words} {{cs}}{{f}}? [Give|Show|List|Find|Return] [the|its] {{x}}.",
        ]
        templates += [f"Which {{p}} has the {words} {{cs}}{{f}}?"] * (2 if shown == link.parent.title else 0)
    else:
        templates = [f"@list the {{xs}} of the {{n}} {{ps}} with the {words} {{cs}}{{f}}."]
        if most:
            templates += ["@list the {xs} of the top {n} {ps} [by|in terms of] the number of {cs}{f}."]
    question = draw.ask(templates, x=shown, p=link.parent, c=link.child, n=written, f=text)
    where = f" WHERE {condition.sql}" if condition else ""
    tail = f"{grouped(draw, link, shown)} ORDER BY COUNT(*) {'DESC ' if most else ''}LIMIT {number}"
    return f"SELECT {columns(shown, True)} FROM {link.sql}{where} {tail}", finished(question)


def best_parent(draw: Draw) -> tuple[str, str]:
    """The parent whose children have the highest or lowest total or average."""
    link = draw.pick([one for one in draw.catalog.links if one.alone and one.child.of("number")])
    shown = draw.title(link.parent) if draw.chance(0.6) else draw.shown(link.parent)
    field, function = draw.field(link.child, "number"), draw.pick(["AVG", "SUM"])
    most = draw.chance(0.75)
    word = f"{'[highest|largest|greatest]' if most else '[lowest|smallest]'} {FUNCTIONS[function]}"
    templates = [
        f"@one the {{x}} of the {{p}} [with|that has] the {word} {{n}} of its {{cs}}.",
        f"@one the {{x}} of the {{p}} whose {{cs}} have the {word} {{n}}.",
        f"Which {{p}} has the {word} {{c}} {{n}}? [Give|Show|List|Find] the {{x}}.",
    ]
    templates = [text.replace("@sum", "total") for text in templates]
    question = draw.ask(templates, x=shown, p=link.parent, c=link.child, n=field)
    tail = f"{grouped(draw, link, shown)} ORDER BY {function}({field.full}) {'DESC ' if most else ''}LIMIT 1"
    return f"SELECT {columns(shown, True)} FROM {link.sql} {tail}", finished(question)


def enough_children(draw: Draw) -> tuple[str, str]:
    """The parents with at least so many children, or whose children have a high total."""
    link = draw.link()
    shown = draw.title(link.parent) if draw.chance(0.6) else draw.shown(link.parent)
    numbers = link.child.of("number")
    if numbers and draw.chance(0.2):
        field, function = draw.pick(numbers), draw.pick(["AVG", "SUM", "MAX"])
        value = threshold(draw, field, 0.4, 0.7)
        templates = [f"@list the {{xs}} of {{ps}} whose {{cs}} have a {FUNCTIONS[function]} {{n}} @gt {{v}}."]
        question = draw.ask(
            [templates[0].replace("@sum", "total")],
            x=shown,
            p=link.parent,
            c=link.child,
            n=field,
            v=draw.written(value),
        )
        having = f"{function}({field.full}) > {literal(value)}"
    else:
        number, written = draw.number(1, 8)
        operator, words = draw.pick(
            [(">", "more than {n}"), (">=", "at least {n}"), (">=", "{n} or more"), ("=", "exactly {n}")],
            [4, 4, 1, 0.6],
        )
        templates = [
            f"@list the {{xs}} of [the|] {{ps}} [with|that have] {words} {{cs}}.",
            f"Which {{ps}} have {words} {{cs}}? [Give|Show|List|Find] [the|their] {{xs}}.",
            f"@list the {{x}} of [each|every] {{p}} [with|that has] {words} {{cs}}.",
            f"@list the {{xs}} of [the|] {{ps}} [associated with|for which there are] {words} {{cs}}.",
        ]
        templates += [f"Which {{ps}} have {words} {{cs}}?"] * (shown == link.parent.title)
        question = draw.ask(templates, x=shown, p=link.parent, c=link.child, n=written)
        having = f"COUNT(*) {operator} {number}"
    return (
        f"SELECT {columns(shown, True)} FROM {link.sql} {grouped(draw, link, shown)} HAVING {having}",
        finished(question),
    )


def children_by_group(draw: Draw) -> tuple[str, str]:
    """The number of children for each value of a column of the parent."""
    link = draw.link()
    group = draw.pick(draw.groups(link.parent))
    templates = [
        "How many {cs} are there for each {g} of {ps}?",
        "[Show|Find|List] the number of {cs} for each {p} {g}.",
        "For each {g} of {ps}, how many {cs} are there?",
    ]
    question = draw.ask(templates, c=link.child, p=link.parent, g=group)
    return f"SELECT {group.full}, COUNT(*) FROM {link.sql} GROUP BY {group.full}", finished(question)


CHILDREN = (
    Family("children_each", 4, children_each),
    Family("most_children", 5, most_children),
    Family("best_parent", 0.8, best_parent),
    Family("enough_children", 3, enough_children),
    Family("children_by_group", 1, children_by_group),
)
