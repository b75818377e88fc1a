"""The values of a column in a generated instance.

They are values of the base database, literals of the golds, neighbours of these literals, and new values.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from tasks.types import Cell

Kind = Literal["integer", "real", "text", "date"]
_DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})(.*)", re.DOTALL)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SIZES = (3, 6, 12, 40)
"""How many different values a column may have; each instance takes one of these numbers."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Where a column's values come from.

    ``known``: values in the base database. ``mentioned``: literals of the golds. ``unique``: no value occurs
    twice (keys, and columns by which golds rank rows, where a tie would make equal queries differ).
    ``nulls``: the share of NULL in the base.
    """

    kind: Kind
    known: tuple[Cell, ...] = ()
    mentioned: tuple[Cell, ...] = ()
    unique: bool = False
    nulls: float = 0.0

    def values(self, random: Random, rows: int) -> list[Cell]:
        """A value for each of ``rows`` rows. Unique values are all different, and may be fewer."""
        if self.unique:
            others = list(self.known)
            random.shuffle(others)
            keys = dict.fromkeys([*self.mentioned, *others[: rows // 2]])
            for _ in range(2 * rows):
                keys[self._new(random)] = None
            return list(keys)[:rows]
        choices = self._choices(random, random.choice(_SIZES))
        return random.choices(choices, k=rows)

    def _choices(self, random: Random, size: int) -> list[Cell]:
        """About ``size`` different values."""
        mentioned = random.sample(self.mentioned, min(len(self.mentioned), size))
        near = [cell for value in mentioned for cell in _neighbours(self.kind, value, random)]
        drawn = [*mentioned, *random.sample(near, min(len(near), size // 2))]
        drawn += random.sample(self.known, min(len(self.known), size))
        drawn += [self._new(random) for _ in range(max(size - len(drawn), size // 4))]
        return drawn + [None] * round(len(drawn) * min(self.nulls, 0.3))

    def _new(self, random: Random) -> Cell:
        """A random value of the same kind as the known ones, and of about their size."""
        if self.kind == "date":
            return _date(random, next((cell for cell in self.known if isinstance(cell, str)), "2000-01-01"))
        numbers = [cell for cell in self.known if isinstance(cell, int | float)]
        low, high = (min(numbers), max(numbers)) if numbers else (0, 100)
        if self.kind == "integer":
            return random.randint(min(0, int(low)), int(high) * 2 + 10)
        if self.kind == "real":
            return round(random.uniform(min(0.0, low), high * 2 + 1), 2)
        texts = [cell for cell in self.known if isinstance(cell, str)]
        if texts and all(text.isdigit() for text in texts):
            return str(random.randint(0, 2 * max(map(int, texts)) + 10))
        return _word(random)


def pool(declared: str, base: Sequence[Cell], mentioned: Sequence[Cell], unique: bool) -> Pool:
    """The pool of a column. ``declared``: its type. ``base``: its values. ``mentioned``: golds' literals."""
    known = [cell for cell in base if cell is not None]
    nulls = 1 - len(known) / len(base) if base else 0.0
    kind = _kind(declared, known)
    converted = dict.fromkeys(value for cell in mentioned for value in _converted(kind, cell))
    return Pool(kind, tuple(dict.fromkeys(known)), tuple(converted), unique, nulls)


def _kind(declared: str, known: Sequence[Cell]) -> Kind:
    if known:
        if all(isinstance(cell, int) for cell in known):
            return "integer"
        if all(isinstance(cell, int | float) for cell in known):
            return "real"
        return "date" if all(isinstance(cell, str) and _DATE.fullmatch(cell) for cell in known) else "text"
    name = declared.upper()
    if "INT" in name or "BOOL" in name or "YEAR" in name:
        return "integer"
    if any(word in name for word in ("REAL", "FLOA", "DOUB", "NUM", "DEC")):
        return "real"
    return "date" if "DATE" in name or "TIME" in name else "text"


def _converted(kind: Kind, literal: Cell) -> Iterator[Cell]:
    """A literal as a value of the column's kind, without the wildcards of LIKE; none where that fails."""
    if kind in ("text", "date"):
        text = str(literal)
        yield re.sub("[%_]", "", text) if "%" in text else text
        return
    try:
        yield int(str(literal)) if kind == "integer" else float(str(literal))
    except ValueError:
        return


def _neighbours(kind: Kind, cell: Cell, random: Random) -> Iterator[Cell]:
    """Values that differ a little from a mentioned one."""
    if isinstance(cell, int | float):
        yield cell + 1
        yield cell - 1
        if kind == "real":
            yield cell + 0.01
    elif kind == "date":
        yield _date(random, str(cell))
    else:
        text = str(cell)
        yield _word(random) + text
        yield text + _word(random)


def _date(random: Random, like: str) -> str:
    """Another date within some years; what follows the date in the text is unchanged."""
    match = _DATE.fullmatch(like)
    if not match:
        return like
    year = int(match[1]) + random.randint(-2, 2)
    return f"{year:04d}-{random.randint(1, 12):02d}-{random.randint(1, 28):02d}{match[4]}"


def _word(random: Random) -> str:
    return "".join(random.choices(_LETTERS, k=random.randint(2, 6)))
