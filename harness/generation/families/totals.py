"""One number about one table: counts, averages, sums and extremes."""

from __future__ import annotations

from harness.generation.draw import Draw, Filter, columns
from harness.generation.families.family import Family
from harness.generation.families.rows import finished, predicate
from harness.generation.filters import filter_of
from harness.generation.types import Field

FUNCTIONS = {"AVG": "@avg", "SUM": "@sum", "MIN": "@min", "MAX": "@max"}


def counted(draw: Draw) -> tuple[str, str]:
    """How many rows a table has, or how many meet one or two conditions."""
    entity = draw.entity()
    if draw.chance(0.25):
        templates = [
            "How many {ts} [are there|do we have|are there in total|exist|are there in the database]?",
            "How many {ts} are [recorded|listed|available|stored|known]?",
            "[Count|Find] the [total|] number of [all|] {ts} [in total|available|].",
            "What is the [total|] number of {ts} [in total|in the database|]?",
            "[Give|Return|Show] the [total|] number of {ts}.",
        ]
        return f"SELECT COUNT(*) FROM {entity.name}", finished(draw.ask(templates, t=entity))
    condition = filter_of(draw, entity)
    if draw.chance(0.2):
        other = filter_of(draw, entity, but=condition.fields)
        condition = Filter(f"{condition.sql} AND {other.sql}", f"{condition.text} and {other.text}")
    return f"SELECT COUNT(*) FROM {entity.name} WHERE {condition.sql}", ask_count(
        draw, entity, condition.text
    )


def ask_count(draw: Draw, rows: object, text: str) -> str:
    """A question for the number of rows that meet a condition, of which ``text`` is the words."""
    does = "" if " and " in text else predicate(text)
    templates = [
        "How many {ts} {f} are there?",
        "How many {ts} {f} do we have?",
        "Count the [number of|] {ts} {f}.",
        "What is the number of {ts} {f}?",
        "[Find|Give|Return|Show] the number of {ts} {f}.",
    ]
    templates += ["How many {ts} {does}?"] * (2 if does else 0)
    return finished(draw.ask(templates, t=rows, f=text, does=does))


def count_distinct(draw: Draw) -> tuple[str, str]:
    """How many different values a column has."""
    entity = draw.entity("category", "label", "year", "ref")
    field = draw.field(entity, "category", "label", "year", "ref")
    condition = filter_of(draw, entity, but=[field], many=True) if draw.chance(0.3) else None
    templates = [
        "How many @different {xs} [do the {ts}{f} have|are there among the {ts}{f}]?",
        "How many @different {xs} are there for {ts}{f}?",
        "How many @different {xs} [are there|do we have|exist|are listed]{n}?",
        "[Count|Find] the number of @different {t} {xs}{n}.",
        "[Count|Find|Give] the number of @different {xs} of [the|all|] {ts}{f}.",
        "What is the number of @different {xs} [among|of] [the|] {ts}{f}?",
    ]
    fits = [one for one in templates if not condition or "{f}" in one]
    question = draw.ask(fits, t=entity, x=field, f=f" {condition.text}" if condition else "", n="")
    where = f" WHERE {condition.sql}" if condition else ""
    return f"SELECT COUNT(DISTINCT {field.name}) FROM {entity.name}{where}", finished(question)


def aggregated(draw: Draw) -> tuple[str, str]:
    """An aggregate of a number, of all rows or of those that meet a condition."""
    entity = draw.entity("number")
    field = draw.field(entity, "number")
    function = draw.pick(list(FUNCTIONS), [4, 3, 2, 2])
    condition = filter_of(draw, entity, but=[field], many=True) if draw.chance(0.6) else None
    word = FUNCTIONS[function]
    templates = [
        f"@one the {word} {{x}} of [all|the|all the] {{ts}}{{f}}.",
        f"@one the {word} {{x}} of {{ts}}{{f}}.",
        f"@one the {word} {{x}} [for|across|among] [all|the] {{ts}}{{f}}.",
        f"What is the {word} {{t}} {{x}}{{f}}?",
    ]
    if function == "SUM":
        templates += ["How much {x} do [the|all] {ts}{f} have in total?"]
    text = f" {condition.text}" if condition else ""
    question = draw.ask(templates[:3] if text else templates, t=entity, x=field, f=text)
    where = f" WHERE {condition.sql}" if condition else ""
    return f"SELECT {function}({field.name}) FROM {entity.name}{where}", finished(question)


def several(draw: Draw) -> tuple[str, str]:
    """Two or three aggregates of a number, or one of two numbers."""
    entity = draw.entity("number")
    field = draw.field(entity, "number")
    condition = filter_of(draw, entity, but=[field], many=True) if draw.chance(0.4) else None
    text = f" {condition.text}" if condition else ""
    where = f" WHERE {condition.sql}" if condition else ""
    if draw.chance(0.3):
        other = draw.field(entity, "number", but=[field])
        one, two = draw.pick(list(FUNCTIONS)), draw.pick(list(FUNCTIONS))
        shown = f"{one}({field.name}), {two}({other.name})"
        asked = f"{FUNCTIONS[one]} {{x}} and {FUNCTIONS[two]} {{y}}"
        question = draw.ask(
            [f"What are the {asked} of [all|the] {{ts}}{{f}}?"], t=entity, x=field, y=other, f=text
        )
        return f"SELECT {shown} FROM {entity.name}{where}", question
    chosen = draw.random.sample(["AVG", "MIN", "MAX"], draw.pick([2, 3]))
    words = [FUNCTIONS[name] for name in chosen]
    asked = " and ".join([", ".join(words[:-1]), words[-1]])
    templates = [
        f"What are the {asked} {{x}} of [all|the] {{ts}}{{f}}?",
        f"[Find|Show|Give|Return] the {asked} {{x}} of [all|the] {{ts}}{{f}}.",
        f"[Find|Show|Give|Return] the {asked} {{x}} [for|across] all {{ts}}{{f}}.",
    ]
    shown = ", ".join(f"{name}({field.name})" for name in chosen)
    return f"SELECT {shown} FROM {entity.name}{where}", draw.ask(templates, t=entity, x=field, f=text)


def above_average(draw: Draw) -> tuple[str, str]:
    """The rows whose number is above or below the average."""
    entity = draw.entity("number")
    field = draw.field(entity, "number")
    above = draw.chance(0.65)
    word = (
        "[above|higher than|greater than|larger than|more than]" if above else "[below|lower than|less than]"
    )
    templates = [
        f"whose {{x}} is {word} [the|] average",
        f"with [a|] {{x}} {word} [the|] average [{{x}}|]",
    ]
    text = draw.clause(templates, x=field)
    sql = f"{field.name} {'>' if above else '<'} (SELECT AVG({field.name}) FROM {entity.name})"
    if draw.chance(0.3):
        return f"SELECT COUNT(*) FROM {entity.name} WHERE {sql}", ask_count(draw, entity, text)
    shown: tuple[Field, ...] = draw.shown(entity, draw.pick([1, 2], [3, 1]), but=[field])
    templates = ["@list the {xs} of [the|all|] {ts} {f}.", "Which {ts} have [a|] {f}? Show the {xs}."]
    question = draw.ask(templates[:1], t=entity, x=shown, f=text)
    return f"SELECT {columns(shown)} FROM {entity.name} WHERE {sql}", finished(question)


TOTALS = (
    Family("counted", 6, counted),
    Family("count_distinct", 3, count_distinct),
    Family("aggregated", 4, aggregated),
    Family("several", 2.5, several),
    Family("above_average", 2, above_average),
)
