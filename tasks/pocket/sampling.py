"""Draw the questions of every split, and keep those whose gold can distinguish right from wrong answers.

Train has no combination of family and database from ``held_out``, no phrasing of dev and test, and no unseen
database. Every dev and test question on a seen database is of a held-out combination.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from itertools import chain
from pathlib import Path
from random import Random

from tasks.pocket.domains import SEEN, UNSEEN
from tasks.pocket.families import FAMILIES, Family, Split
from tasks.pocket.fill import SEED, Columns
from tasks.pocket.schema import Domain
from tasks.pocket.slots import Draw, NoFit
from tasks.types import Cell

Row = dict[str, str]
Combination = tuple[Family, Domain]

SIZES: dict[tuple[Split, str], int] = {
    ("test", "seen"): 900,
    ("test", "unseen"): 300,
    ("dev", "seen"): 375,
    ("dev", "unseen"): 125,
    ("train", "seen"): 12_000,
}
TRIES = 100
"""Draws for another question of a combination before the combination counts as exhausted."""
LARGEST = 400
"""The most rows of a gold's result."""


def held_out(family: Family) -> list[str]:
    """The two seen databases on which train has no question of this family."""
    place = FAMILIES.index(family)
    first = place % len(SEEN)
    second = (first + 1 + place // len(SEEN) % (len(SEEN) - 1)) % len(SEEN)
    return [SEEN[first].name, SEEN[second].name]


def sample(base: dict[str, Columns], files: dict[str, list[Path]]) -> dict[Split, list[Row]]:
    """The rows of every split. ``base``: the cells of each domain; ``files``: its built instances."""
    splits: dict[Split, list[Row]] = {"train": [], "dev": [], "test": []}
    with closing(Sampler(base, files)) as sampler:
        for (split, part), size in SIZES.items():
            splits[split] += sampler.collect(split, part, size)
    for split, rows in splits.items():
        Random(f"{SEED} {split}").shuffle(rows)
        for number, row in enumerate(rows, 1):
            row["id"] = f"{split}-{number:05d}"
    return splits


class Sampler:
    """Draws rows whose questions are distinct over all splits and do not occur in ``asked``."""

    def __init__(
        self,
        base: dict[str, Columns],
        files: dict[str, list[Path]],
        seed: int = SEED,
        asked: Iterable[str] = (),
    ) -> None:
        self._seed = seed
        self._cells = {name: _sorted(columns) for name, columns in base.items()}
        self._instances = {
            name: [sqlite3.connect(f"file:{path}?immutable=1", uri=True) for path in paths]
            for name, paths in files.items()
        }
        self._asked = set(asked)

    def close(self) -> None:
        """Close all instances."""
        for instance in chain.from_iterable(self._instances.values()):
            instance.close()

    def collect(self, split: Split, part: str, size: int) -> list[Row]:
        """``size`` rows, in turn from each combination that this part of the split may use."""
        random = Random(f"{self._seed} {split} {part}")
        usable = _combinations(split, part)
        random.shuffle(usable)
        rows: list[Row] = []
        while usable and len(rows) < size:
            drawn = [(combination, self._draw(combination, split, part, random)) for combination in usable]
            usable = [combination for combination, row in drawn if row]
            rows += [row for _, row in drawn if row]
        return rows[:size]

    def _draw(self, combination: Combination, split: Split, part: str, random: Random) -> Row | None:
        family, domain = combination
        phrasings = family.phrasings(split)
        for _ in range(TRIES):
            try:
                question, sql = Draw(domain, self._cells[domain.name], random).write(family, phrasings)
            except NoFit:
                continue
            if question not in self._asked and all(
                proves(sql, file) for file in self._instances[domain.name]
            ):
                self._asked.add(question)
                return {
                    "id": "",
                    "question": question,
                    "query": sql,
                    "db_id": domain.name,
                    "difficulty": family.difficulty,
                    "family": family.name,
                    "part": part,
                }
        return None


def proves(sql: str, instance: sqlite3.Connection) -> bool:
    """Whether the result is neither empty, large, nor a single 0 or NULL, and its LIMIT cuts no tie."""
    rows = instance.execute(sql).fetchmany(LARGEST + 1)
    if not 0 < len(rows) <= LARGEST or rows in ([(0,)], [(None,)]):
        return False
    return " LIMIT " not in sql or _cuts_no_tie(sql, instance)


def _cuts_no_tie(sql: str, instance: sqlite3.Connection) -> bool:
    """Whether there is a row after the LIMIT that does not tie with the last row before it."""
    body, _, order = sql.partition(" ORDER BY ")
    sort, _, limit = order.partition(" LIMIT ")
    tail = body[body.index(" FROM ") :]
    keys = instance.execute(
        f"SELECT {sort.removesuffix(' DESC')}{tail} ORDER BY {sort} LIMIT {int(limit) + 1}"
    ).fetchall()
    return len(keys) > int(limit) and keys[-1] != keys[-2]


def _combinations(split: Split, part: str) -> list[Combination]:
    if part == "unseen":
        return [(family, domain) for family in FAMILIES for domain in UNSEEN]
    return [
        (family, domain)
        for family in FAMILIES
        for domain in SEEN
        if (domain.name in held_out(family)) == (split != "train")
    ]


def _sorted(columns: Columns) -> Columns:
    """The sorted cells of each column without NULLs, from which values are drawn."""
    return {
        name: sorted((cell for cell in cells if cell is not None), key=_order)
        for name, cells in columns.items()
    }


def _order(cell: Cell) -> tuple[float, str]:
    return (cell, "") if isinstance(cell, int | float) else (0.0, str(cell))
