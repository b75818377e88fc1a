"""The corpus: an endless, seeded stream of generated databases with questions on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tools.nano.questions import SHAPES, Pair, ask
from tools.nano.schemas import TABLES, World, invent

WEIGHTS = {"easy": 1.0, "medium": 1.2, "hard": 1.2, "extra": 1.0}


@dataclass(frozen=True, slots=True)
class Page:
    """One database and questions on it."""

    world: World
    pairs: tuple[Pair, ...]


def pages(seed: int, questions: int, tables: Sequence[int] = TABLES) -> Iterator[Page]:
    """An endless stream of databases with this many questions each. The same seed gives the same pages."""
    random = Random(seed)
    weights = [WEIGHTS[shape.level] for shape in SHAPES]
    while True:
        world = invent(random, tables)
        pairs: list[Pair] = []
        while len(pairs) < questions:
            pair = ask(random.choices(SHAPES, weights)[0], world, random)
            if pair:
                pairs.append(pair)
        yield Page(world, tuple(pairs))
