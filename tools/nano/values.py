"""Literals that a question compares a column with, in the form of SQL and in the form of the question."""

from __future__ import annotations

from random import Random

from tools.nano import names, words
from tools.nano.schemas import Field, pseudo


class Literals:
    """The literals of one question. The same literal is returned each time it is requested.

    ``v`` and ``w`` are two values (numbers and dates: the second is the greater), ``y`` a year,
    ``m`` a month of a year, ``part`` a piece of text.
    """

    def __init__(self, random: Random) -> None:
        self.random = random
        self._known: dict[tuple[str, str], str] = {}
        number = random.choice((1, 2, 2, 3, 3, 4, 5, 5, 6, 7, 8, 10, 12, 15, 20))
        self.small = str(number)
        in_words = number < len(words.NUMBER_WORDS) and random.random() < 0.35
        self.small_in_words = words.NUMBER_WORDS[number] if in_words else self.small
        self._quote = random.choice(("", "", "", "", "'", '"'))

    def sql(self, which: str, field: Field) -> str:
        """The literal in SQL (``part`` without quotes, because it is inside a pattern)."""
        value = self._value(which, field)
        number = which in "vw" and field.kind in ("num", "flag", "key")
        return value if number or which == "part" else f"'{value}'"

    def in_words(self, which: str, field: Field) -> str:
        """The literal as the question writes it."""
        value = self._value(which, field)
        if which == "m":
            year, month = value.split("-")
            return f"{words.MONTHS[int(month) - 1]} {year}"
        if which == "part":
            return f"{self._quote or chr(39)}{value}{self._quote or chr(39)}"
        return f"{self._quote}{value}{self._quote}" if field.kind in ("label", "cat") else value

    def _value(self, which: str, field: Field) -> str:
        key = (which, field.name)
        if key not in self._known:
            if which in "vw":
                self._known["v", field.name], self._known["w", field.name] = self._two(field)
            else:
                self._known[key] = self._piece(which)
        return self._known[key]

    def _two(self, field: Field) -> tuple[str, str]:
        if field.kind in ("date", "event"):
            first, second = sorted((_date(self.random), _date(self.random)))
            return first, second
        if field.kind in ("num", "key"):
            return _numbers(self.random, field)
        make = _label if field.kind == "label" else _category
        first = make(self.random)
        second = make(self.random)
        return (first, second) if first != second else (first, second + " II")

    def _piece(self, which: str) -> str:
        first = 1950 if self.random.random() < 0.3 else 2005
        year = str(self.random.randint(first, 2025))
        if which == "y":
            return year
        if which == "m":
            return f"{year}-{self.random.randint(1, 12):02d}"
        choices = (pseudo(self.random)[:3], self.random.choice(names.VALUES), pseudo(self.random))
        return self.random.choice(choices)


def _date(random: Random) -> str:
    return f"{random.randint(1995, 2025)}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}"


def _numbers(random: Random, field: Field) -> tuple[str, str]:
    """Two numbers, the greater last, of a random magnitude."""
    top = random.choice((9, 30, 100, 100, 500, 1000, 5000, 20000, 100000))
    first = random.randint(1, top)
    if top >= 500 and random.random() < 0.7:
        first = max(first // 50 * 50, 50)
    second = first + random.randint(1, top) if random.random() < 0.5 else first * random.choice((2, 3, 4, 5))
    if field.type == "real" and random.random() < 0.3:
        digits = random.choice((1, 2))
        return f"{first + random.random() * 0.5 + 0.25:.{digits}f}", f"{second + 1.25:.{digits}f}"
    return str(first), str(second)


def _label(random: Random) -> str:
    """A proper name: a person's, a thing's or an invented one."""
    draw = random.random()
    if draw < 0.35:
        return f"{random.choice(names.FIRST_NAMES)} {random.choice(names.LAST_NAMES)}"
    if draw < 0.6:
        return f"{random.choice(names.VALUES).title()} {random.choice(words.ENTITIES).title()}"
    if draw < 0.8:
        return pseudo(random).title()
    return f"{pseudo(random).title()} {random.choice(words.ENTITIES).title()}"


def _category(random: Random) -> str:
    """A category: one word mostly, in either case; sometimes two, or a code."""
    draw = random.random()
    word = pseudo(random) if random.random() < 0.25 else random.choice(names.VALUES)
    if draw < 0.08:
        word = f"{word} {random.choice(names.VALUES)}"
    elif draw < 0.12:
        word = f"{word[0].upper()}{random.randint(1, 99)}"
    return word.title() if random.random() < 0.5 else word
