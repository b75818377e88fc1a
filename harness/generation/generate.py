"""Make pairs for a task, and write them with a task spec: ``harness generate``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from harness.generation.checks import Checker
from harness.generation.draw import Draw, NoFit
from harness.generation.families import FAMILIES
from harness.generation.paraphrase import paraphrased
from harness.generation.reading import read_catalog
from harness.generation.splits import Seen, described, divide
from harness.generation.task_files import (
    databases_of,
    known_questions,
    refuse_foreign,
    rows,
    test_rows,
    write,
)
from harness.generation.types import Catalog, Pair
from harness.render.progress import Report, bar
from rewards.grader import Grader
from tasks.common.errors import DataError
from tasks.common.terminal import say
from tasks.databases.comments import with_comments
from tasks.databases.sandbox.pool import Sandbox
from tasks.databases.schema import describe
from tasks.spec import ScoringSpec
from tasks.task import Task
from tasks.types import Limits

BATCH = 200
PATIENCE = 6
"""Batches in a row without a new pair after which a database has no more."""
LIMITS = Limits(seconds=5, rows=10_000)


@dataclass(frozen=True, slots=True)
class Generated:
    """What was written. ``refused``: cause -> drawn pairs that were left out."""

    task: str
    folder: Path
    splits: dict[str, int]
    difficulty: dict[str, int]
    databases: dict[str, int]
    refused: dict[str, int]
    wanted: int
    reworded: int = 0
    families: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        fields = ("task", "splits", "difficulty", "databases", "families", "refused", "wanted", "reworded")
        return {"folder": str(self.folder), **{name: getattr(self, name) for name in fields}}


def generate(task: Task, count: int, seed: int, out: Path, model: str = "", workers: int = 0) -> Generated:
    """Make ``count`` pairs on the databases of a task and write them into ``out`` with a task spec.

    ``model``: a runner's name, which rewords the questions. The same arguments give the same files. Raises
    DataError: the task has no database with rows, or ``out`` holds other files; ModelError.
    """
    refuse_foreign(out)
    engine = task.spec.databases.engine
    seen = Seen(engine)
    for sample in known_questions(task):
        seen.close(sample.database, sample.question, sample.gold)
    pairs, refused = _all_pairs(task, count, seed, seen, workers)
    reworded = 0
    if model:
        for index, pair in enumerate(paraphrased(pairs, model, seed)):
            if seen.add(pair.database, pair.question):
                pairs[index] = pair
                reworded += 1
    train, dev = divide([described(pair, engine) for pair in pairs], seed)
    splits = {"train": rows(train, "train"), "dev": rows(dev, "dev"), "test": test_rows(task)}
    result = Generated(
        task.name,
        out,
        {name: len(split) for name, split in splits.items() if split},
        dict(Counter(pair.difficulty for pair in (*train, *dev))),
        dict(Counter(pair.database for pair in pairs)),
        dict(refused.most_common()),
        count,
        reworded,
        dict(Counter(pair.family for pair in pairs).most_common()),
    )
    facts = {name: value for name, value in result.as_dict().items() if name != "folder"}
    write(task, splits, {"seed": seed, "paraphrase": model, **facts}, out)
    return result


def _all_pairs(
    task: Task, count: int, seed: int, seen: Seen, workers: int
) -> tuple[list[Pair], Counter[str]]:
    """Pairs on all databases of a task, an equal share on each, and why how many others were left out.

    A database without rows is left out with a line on stderr. Raises DataError: no pair was made.
    """
    pairs: list[Pair] = []
    refused: Counter[str] = Counter()
    databases = databases_of(task)
    with (
        Sandbox(workers, LIMITS) as sandbox,
        Grader(ScoringSpec(), workers, structure=False, ties_at_limit=True) as grader,
        bar(f"generate {task.name}", count) as report,
    ):
        for place, database in enumerate(databases):
            share = (count - len(pairs)) // (len(databases) - place)
            try:
                schema = with_comments(database, describe(database))
                catalog = read_catalog(database, schema, sandbox)
            except DataError as error:
                if len(databases) == 1:
                    raise
                say(f"{task.name}: {error}")
                continue
            checker = Checker(catalog, sandbox, grader)
            pairs += _made(catalog, checker, seen, Random(f"{seed} {database.id}"), share, report)
            refused += checker.refused
    if not pairs:
        raise DataError(f"{task.name}: no question fits its databases: they have too few columns or rows")
    return pairs, refused


def _made(
    catalog: Catalog, checker: Checker, seen: Seen, random: Random, count: int, report: Report
) -> list[Pair]:
    """Up to ``count`` new pairs on one database."""
    made: list[Pair] = []
    idle = 0
    weights = [family.weight for family in FAMILIES]
    while len(made) < count and idle < PATIENCE:
        drawn = []
        for family in random.choices(FAMILIES, weights, k=BATCH):
            draw = Draw(catalog, random)
            try:
                sql, question = family.draw(draw)
            except NoFit:
                continue
            pair = draw.pair(sql, question, family.name)
            if seen.add(pair.database, pair.question, pair.sql):
                drawn.append(pair)
        kept = checker.keep(drawn)[: count - len(made)]
        made += kept
        idle = 0 if kept else idle + 1
        report(len(kept))
    return made
