"""Draws the questions of every split, and keeps those whose gold proves something.

Train never sees the families of ``held_out`` combinations, the phrasings kept for dev and test, or the unseen
databases; every dev and test question on a seen database is of a held-out combination.
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
Combo = tuple[Family, Domain]

SIZES: dict[tuple[Split, str], int] = {
    ("test", "seen"): 900,
    ("test", "unseen"): 300,
    ("dev", "seen"): 375,
    ("dev", "unseen"): 125,
    ("train", "seen"): 12_000,
}
TRIES = 100
"""Draws for one more question of a combination, before it counts as used up."""
LARGEST = 400
"""Rows of the largest result worth asking for."""


def held_out(family: Family) -> list[str]:
    """The two seen databases on which training never meets this family."""
    place = FAMILIES.index(family)
    first = place % len(SEEN)
    second = (first + 1 + place // len(SEEN) % (len(SEEN) - 1)) % len(SEEN)
    return [SEEN[first].name, SEEN[second].name]


def sample(base: dict[str, Columns], files: dict[str, list[Path]]) -> dict[Split, list[Row]]:
    """The rows of every split. ``base`` has the cells, ``files`` the built instances, of each domain."""
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
    """Collects rows, none of whose questions occurs twice in all splits together, nor in ``asked``."""

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
        """So many rows, taking turns between the combinations that this part of the split may use."""
        random = Random(f"{self._seed} {split} {part}")
        live = _combos(split, part)
        random.shuffle(live)
        rows: list[Row] = []
        while live and len(rows) < size:
            fresh = [(combo, self._draw(combo, split, part, random)) for combo in live]
            live = [combo for combo, row in fresh if row]
            rows += [row for _, row in fresh if row]
        return rows[:size]

    def _draw(self, combo: Combo, split: Split, part: str, random: Random) -> Row | None:
        family, domain = combo
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
    """Whether the result is neither empty nor huge nor a bare 0 or NULL, and its LIMIT cuts well."""
    rows = instance.execute(sql).fetchmany(LARGEST + 1)
    if not 0 < len(rows) <= LARGEST or rows in ([(0,)], [(None,)]):
        return False
    return " LIMIT " not in sql or _cuts_well(sql, instance)


def _cuts_well(sql: str, instance: sqlite3.Connection) -> bool:
    """Whether there is a row beyond the LIMIT, and it does not tie with the last one within."""
    body, _, order = sql.partition(" ORDER BY ")
    sort, _, limit = order.partition(" LIMIT ")
    tail = body[body.index(" FROM ") :]
    keys = instance.execute(
        f"SELECT {sort.removesuffix(' DESC')}{tail} ORDER BY {sort} LIMIT {int(limit) + 1}"
    ).fetchall()
    return len(keys) > int(limit) and keys[-1] != keys[-2]


def _combos(split: Split, part: str) -> list[Combo]:
    if part == "unseen":
        return [(family, domain) for family in FAMILIES for domain in UNSEEN]
    return [
        (family, domain)
        for family in FAMILIES
        for domain in SEEN
        if (domain.name in held_out(family)) == (split != "train")
    ]


def _sorted(columns: Columns) -> Columns:
    """The cells of each column in order, without NULLs: what values are drawn from."""
    return {
        name: sorted((cell for cell in cells if cell is not None), key=_order)
        for name, cells in columns.items()
    }


def _order(cell: Cell) -> tuple[float, str]:
    return (cell, "") if isinstance(cell, int | float) else (0.0, str(cell))
