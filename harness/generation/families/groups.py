"""One row for each value of a column: GROUP BY with HAVING and ORDER BY."""

from __future__ import annotations

from harness.generation.draw import Draw
from harness.generation.families.family import Family
from harness.generation.families.rows import finished
from harness.generation.families.totals import FUNCTIONS
from harness.generation.filters import filter_of
from harness.generation.types import Entity, Field, Kind
from harness.generation.values import literal, threshold


def _grouping(draw: Draw, *kinds: Kind) -> tuple[Entity, Field]:
    """A table and a column whose values repeat."""
    groups = {entity: draw.groups(entity) for entity in draw.catalog.entities if all(map(entity.of, kinds))}
    entity = draw.pick([entity for entity, fields in groups.items() if fields])
    return entity, draw.pick(groups[entity])


def count_each(draw: Draw) -> tuple[str, str]:
    """The number of rows for each value."""
    entity, group = _grouping(draw)
    condition = filter_of(draw, entity, but=[group], many=True) if draw.chance(0.2) else None
    templates = [
        "How many {ts}{f} are there [for each|in each|per|with each] {g}?",
        "[Show|List|Find|Give] the number of {ts}{f} [for each|in each|per] {g}.",
        "What is the number of {ts}{f} [for each|per] {g}?",
        "[Show|List|Give] each {g} [and|with|together with] the number of {ts}{f} [with it|of it|it has].",
        "For each {g}, [how many {ts}{f} are there?|count the {ts}{f}.|show the number of {ts}{f}.]",
        "What are the {gs} of {ts}{f} and the number of {ts} [for each|in each]?",
        "[Show|List|Give|Please show] [different|all|the] {gs} and the [corresponding|] number of {ts}{f}.",
        "What are the different {gs} and how many {ts}{f} [have|are in|are there for] each?",
        "How many {ts}{f} does each {g} have?",
        "What is the number of {ts}{f} in each {g}?",
    ]
    question = draw.ask(templates, t=entity, g=group, f=f" {condition.text}" if condition else "")
    where = f" WHERE {condition.sql}" if condition else ""
    order, tail = draw.pick(
        [("", ""), (" ORDER BY COUNT(*) DESC", ", most first"), (" ORDER BY COUNT(*)", ", fewest first")],
        [8, 1, 1],
    )
    sql = f"SELECT {group.name}, COUNT(*) FROM {entity.name}{where} GROUP BY {group.name}{order}"
    return sql, finished(question.rstrip(".?") + tail)


def aggregate_each(draw: Draw) -> tuple[str, str]:
    """An aggregate, or two, for each value."""
    entity, group = _grouping(draw, "number")
    field = draw.field(entity, "number")
    names = draw.random.sample(list(FUNCTIONS), draw.pick([1, 2], [4, 1]))
    words = " and ".join(FUNCTIONS[name] for name in names)
    templates = [
        f"What [is|are] the {words} {{x}} of [the|] {{ts}} [for each|in each|per|of each] {{g}}?",
        f"[Show|Find|List|Give] the {words} {{x}} of {{ts}} for [each|every] {{g}}.",
        f"For each {{g}}, [show|find|give|return] the {words} {{x}} of [its|the] {{ts}}.",
        f"[Show|List] each {{g}} and the {words} {{x}} of its {{ts}}.",
        f"@list the {{gs}} and the {words} {{x}} [of|for] [the|their|] {{ts}} [of each|in each|].",
        f"@list the {words} {{x}} of [the|] {{ts}} [by|grouped by] {{g}}.",
    ]
    shown = ", ".join(f"{name}({field.name})" for name in names)
    question = draw.ask(templates, t=entity, g=group, x=field)
    return f"SELECT {group.name}, {shown} FROM {entity.name} GROUP BY {group.name}", finished(question)


def most_common(draw: Draw) -> tuple[str, str]:
    """The values with the most or fewest rows."""
    entity, group = _grouping(draw)
    most = draw.chance(0.75)
    word, other = ("@common", "most") if most else ("@rare", "fewest")
    number_of = "@most" if most else "@fewest"
    order = "DESC " if most else ""
    with_count = draw.chance(0.25)
    if draw.chance(0.2):
        number, written = draw.number(2, 4)
        templates = [
            f"What are the {{n}} {word} {{gs}} [of|among] [the|all|] {{ts}}{{c}}?",
            f"[Show|List|Find] the {{n}} {{gs}} with the {other} {{ts}}{{c}}.",
        ]
    else:
        number, written = 1, ""
        templates = [
            f"What is the {word} {{g}} [of|among] [the|all|] {{ts}}{{c}}?",
            f"[Find|Show|Give|Return] the {word} {{g}} of [the|all|] {{ts}}{{c}}.",
            f"[Which|What] {{g}} has the {other} {{ts}}{{c}}?",
            f"[Which|What] {{g}} has the {number_of} {{ts}}{{c}}?",
            f"@one the {{g}} with the {number_of} {{ts}}{{c}}.",
            f"@one the {{g}} [that has|having] the {number_of} {{ts}}{{c}}.",
            f"[Which|What] {{g}} is [the {word}|used {other} often] [among|for|by] {{ts}}{{c}}?",
        ]
    count = " and how many are there" if with_count else ""
    question = draw.ask(templates, t=entity, g=group, n=written, c=count)
    shown = f"{group.name}, COUNT(*)" if with_count else group.name
    tail = f"ORDER BY COUNT(*) {order}LIMIT {number}"
    return f"SELECT {shown} FROM {entity.name} GROUP BY {group.name} {tail}", finished(question)


def having_count(draw: Draw) -> tuple[str, str]:
    """The values with at least so many rows."""
    entity, group = _grouping(draw)
    number, written = draw.number(1, 9)
    operator, words = draw.pick(
        [(">", "more than {n}"), (">=", "at least {n}"), (">=", "{n} or more"), ("<", "fewer than {n}"),
         ("=", "exactly {n}")], [4, 3, 1, 1, 0.6],
    )  # fmt: skip
    with_count = draw.chance(0.2)
    count = " and [the|their] number of {ts}" if with_count else ""
    templates = [
        f"[Which|What] {{gs}} [have|are shared by] {words} {{ts}}?",
        f"@list the {{gs}} that have {words} {{ts}}.",
        f"@list the {{gs}} [with|of|for|having] {words} {{ts}}.",
        f"@list the {{gs}} for which there are {words} {{ts}}.",
        f"@list the {{g}} [that has|of] {words} {{ts}}.",
        f"[Which|What] {{g}} is shared by {words} {{ts}}?",
    ]
    if with_count:
        templates = [f"@list the {{gs}}{count} for those with {words} {{ts}}."]
    question = draw.ask(templates, t=entity, g=group, n=written)
    shown = f"{group.name}, COUNT(*)" if with_count else group.name
    sql = f"SELECT {shown} FROM {entity.name} GROUP BY {group.name} HAVING COUNT(*) {operator} {number}"
    return sql, finished(question)


def having_aggregate(draw: Draw) -> tuple[str, str]:
    """The values whose rows have an aggregate above or below a number."""
    entity, group = _grouping(draw, "number")
    field = draw.field(entity, "number")
    function = draw.pick(["AVG", "MAX", "MIN"])
    value = threshold(draw, field, 0.35, 0.65)
    operator, word = draw.pick([(">", "@gt"), ("<", "@lt")])
    templates = [
        f"[Which|What] {{gs}} have {{ts}} with an {FUNCTIONS['AVG']} {{x}} {word} {{v}}?",
        f"@list the {{gs}} whose {{ts}} have [an|a] {FUNCTIONS[function]} {{x}} {word} {{v}}.",
        f"For which {{gs}} is the {FUNCTIONS[function]} {{x}} of [the|their] {{ts}} {word} {{v}}?",
    ]
    question = draw.ask(templates[1:], t=entity, g=group, x=field, v=draw.written(value))
    tail = f"GROUP BY {group.name} HAVING {function}({field.name}) {operator} {literal(value)}"
    return f"SELECT {group.name} FROM {entity.name} {tail}", finished(question)


def best_group(draw: Draw) -> tuple[str, str]:
    """The value whose rows have the highest or lowest average or total."""
    entity, group = _grouping(draw, "number")
    field = draw.field(entity, "number")
    function = draw.pick(["AVG", "SUM"])
    most = draw.chance(0.7)
    word = "[highest|largest|greatest]" if most else "[lowest|smallest]"
    templates = [
        f"[Which|What] {{g}} has the {word} {FUNCTIONS[function]} {{x}} of {{ts}}?",
        f"@one the {{g}} whose {{ts}} have the {word} {FUNCTIONS[function]} {{x}}.",
    ]
    question = draw.ask([t.replace("@sum", "total") for t in templates], t=entity, g=group, x=field)
    tail = f"GROUP BY {group.name} ORDER BY {function}({field.name}) {'DESC ' if most else ''}LIMIT 1"
    return f"SELECT {group.name} FROM {entity.name} {tail}", finished(question)


GROUPS = (
    Family("count_each", 6, count_each),
    Family("aggregate_each", 3, aggregate_each),
    Family("most_common", 5, most_common),
    Family("having_count", 4, having_count),
    Family("having_aggregate", 1, having_aggregate),
    Family("best_group", 1, best_group),
)
