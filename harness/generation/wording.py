"""The words that questions choose between, and adjectives for the extremes of a column."""

from __future__ import annotations

from typing import NamedTuple

from harness.generation.types import Field

CHOICES = {
    "list": (
        "List",
        "Show",
        "Find",
        "Give me",
        "Return",
        "What are",
        "What are",
        "What are",
        "Tell me",
        "Give",
        "Display",
        "Please show",
        "Report",
    ),
    "show": ("List", "Show", "Find", "Give me", "Return", "Tell me", "Give", "Please show", "Report"),
    "one": ("What is", "What is", "What is", "Find", "Show", "Give", "Return", "Tell me"),
    "all": ("all", "all the", "the", "every one of the"),
    "most": (
        "most",
        "most",
        "most number of",
        "largest number of",
        "greatest number of",
        "highest number of",
    ),
    "fewest": ("fewest", "least number of", "smallest number of", "lowest number of"),
    "gt": ("greater than", "more than", "above", "larger than", "over", "higher than"),
    "lt": ("less than", "below", "smaller than", "under", "lower than"),
    "ge": ("at least", "no less than"),
    "le": ("at most", "no more than"),
    "avg": ("average", "average", "mean"),
    "sum": ("total", "total", "sum of the"),
    "max": ("maximum", "highest", "largest", "greatest"),
    "min": ("minimum", "lowest", "smallest"),
    "desc": ("in descending order", "from highest to lowest", "descending", "in decreasing order"),
    "asc": ("in ascending order", "from lowest to highest", "ascending", "in increasing order"),
    "order": ("ordered", "sorted"),
    "different": ("different", "distinct", "distinct", "unique"),
    "is": ("is", "is", "equals", "is equal to"),
    "common": ("most common", "most frequent"),
    "rare": ("least common", "least frequent"),
}
SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
PLACES = {
    "city", "country", "town", "state", "county", "district", "region", "continent", "province",
    "location", "place", "nation", "village", "hometown", "origin",
}  # fmt: skip
PEOPLE = {
    "person", "people", "student", "teacher", "professor", "employee", "customer", "client", "user",
    "member", "player", "singer", "artist", "author", "actor", "actress", "driver", "pilot", "doctor",
    "nurse", "patient", "owner", "manager", "worker", "staff", "guest", "visitor", "editor",
    "director", "coach", "athlete", "politician", "candidate", "voter", "instructor", "physician",
    "musician", "composer", "writer", "poet", "resident", "tenant", "passenger", "swimmer", "wrestler",
    "farmer", "guide", "lawyer", "judge", "captain", "sailor", "reviewer",
}  # fmt: skip


class Extremes(NamedTuple):
    """The adjectives of a column: of the row with most, of that with least, and in comparisons."""

    most: str
    least: str
    more: str = ""
    less: str = ""


_LONG = Extremes("longest", "shortest", "longer than", "shorter than")
_LARGE = Extremes("largest", "smallest")
_EXPENSIVE = Extremes("most expensive", "cheapest", "more expensive than", "cheaper than")
ADJECTIVES = {
    "age": Extremes("oldest", "youngest", "older than", "younger than"),
    "price": _EXPENSIVE,
    "cost": _EXPENSIVE,
    "fare": _EXPENSIVE,
    "height": Extremes("tallest", "shortest", "taller than", "shorter than"),
    "weight": Extremes("heaviest", "lightest", "heavier than", "lighter than"),
    "length": _LONG,
    "duration": _LONG,
    "population": Extremes("most populous", "least populous"),
    "area": _LARGE,
    "size": _LARGE,
    "speed": Extremes("fastest", "slowest", "faster than", "slower than"),
    "depth": Extremes("deepest", "shallowest", "deeper than"),
}


def extremes_of(field: Field) -> Extremes | None:
    """The adjectives of a number or a date, if its last word, or the one before "of", has some."""
    words = field.phrases[-1].partition(" of ")[0].split()
    if field.kind in ("date", "year"):
        if {"birth", "born", "birthday"} & field.words:
            return Extremes("youngest", "oldest")
        return Extremes("most recent", "earliest") if len(words) < 3 else None
    return ADJECTIVES.get(words[-1]) if field.kind == "number" else None
