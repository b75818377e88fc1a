"""English phrases for the names of tables and columns: ``emp_fname`` is "employee first name"."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

ABBREVIATIONS = {
    "acc": "account", "acct": "account", "addr": "address", "amt": "amount", "approx": "approximate",
    "apt": "apartment", "avg": "average", "bal": "balance", "cat": "category", "cd": "code",
    "cnt": "count", "cust": "customer", "dept": "department", "desc": "description", "dist": "distance",
    "dob": "date of birth", "dst": "destination", "dt": "date", "emp": "employee", "fname": "first name",
    "freq": "frequency", "hr": "hour", "img": "image", "inv": "invoice", "lang": "language",
    "lat": "latitude", "lname": "last name", "lng": "longitude", "loc": "location", "lon": "longitude",
    "max": "maximum", "mfr": "manufacturer", "mgr": "manager", "min": "minimum", "msg": "message",
    "mth": "month", "nbr": "number", "num": "number", "org": "organization", "pct": "percentage",
    "pop": "population", "pos": "position", "prod": "product", "prof": "professor", "qty": "quantity",
    "ref": "reference", "reg": "region", "sec": "section", "src": "source", "std": "standard",
    "stu": "student", "temp": "temperature", "tel": "telephone", "tot": "total", "univ": "university",
    "usr": "user", "val": "value", "vol": "volume", "wt": "weight", "yr": "year",
}  # fmt: skip
_IRREGULAR = {
    "person": "people", "child": "children", "man": "men", "woman": "women", "foot": "feet", "mouse": "mice",
    "index": "indexes", "analysis": "analyses", "basis": "bases", "criterion": "criteria", "life": "lives",
    "staff": "staff", "equipment": "equipment", "information": "information", "data": "data",
    "aircraft": "aircraft", "series": "series", "species": "species", "news": "news", "gas": "gases",
    "bus": "buses", "movie": "movies", "cookie": "cookies",
}  # fmt: skip
_PARTICLES = {"from", "to", "on", "at", "by", "in", "of", "for"}
_SINGULAR = {many: one for one, many in _IRREGULAR.items()}
_TABLE_PREFIXES = {"tbl", "tb", "ref", "dim", "fact", "lu", "lkp"}
_INITIAL = re.compile(r"(?<![A-Za-z])([LlFf])_?[Nn]ame\b")
"""A first or last name by its initial: LName, f_name."""
_PIECE = re.compile(r"[A-Z]+(?![^\W\d_A-Z])|[A-Z]?[^\W\d_A-Z]+|\d+")


def words_of(name: str, known: Collection[str] = ()) -> list[str]:
    """The lower-case words of an identifier, with abbreviations written out.

    ``known``: words of the schema, by which a name without separators is divided (``countrylanguage``).
    """
    words: list[str] = []
    for piece in _PIECE.findall(_INITIAL.sub(r"\1name", name)):
        for word in _divided(piece.lower(), known):
            words += ABBREVIATIONS.get(word, word).split()
    return words or [name.lower()]


def _divided(word: str, known: Collection[str]) -> list[str]:
    if word not in known or len(word) < 7:
        for place in range(3, len(word) - 2):
            if word[:place] in known and word[place:] in known:
                return [word[:place], word[place:]]
    return [word]


def vocabulary(names: Sequence[str]) -> frozenset[str]:
    """The words of these identifiers that have a separator around them, in singular and plural."""
    pieces = {piece.lower() for name in names for piece in _PIECE.findall(name)}
    whole = {piece for piece in pieces if len(piece) > 3}
    return frozenset(form for word in whole for form in (word, singular(word)))


def entity_words(table: str, known: Collection[str]) -> list[str]:
    """The words for one row of a table."""
    words = words_of(table, known)
    first = next(iter(_PIECE.findall(table)), "").lower()
    if len(words) > 1 and first in _TABLE_PREFIXES:
        words = words[1:]
    return [*words[:-1], singular(words[-1])]


def plural(phrase: str) -> str:
    """The plural of a noun phrase, whose head is its last word, or the word before "of"."""
    head, of, rest = phrase.partition(" of ")
    before, space, word = head.rpartition(" ")
    return f"{before}{space}{_plural(word)}{of}{rest}"


def _plural(word: str) -> str:
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _SINGULAR or is_plural(word) or word in _PARTICLES or word.endswith("ed"):
        return word
    if word.endswith("y") and word[-2:-1] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "z", "ch", "sh")) else "s")


def is_plural(word: str) -> bool:
    """Whether a word has the form of a plural."""
    return len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is"))


def singular(word: str) -> str:
    """The singular of a word."""
    if word in _SINGULAR:
        return _SINGULAR[word]
    if word in _IRREGULAR or not is_plural(word):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("sses", "ches", "shes", "xes", "zzes", "statuses")) else word[:-1]


def joined(parts: Sequence[str]) -> str:
    """The parts as an English list: "a", "a and b", "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
