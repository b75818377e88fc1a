"""Compare several runs: every pair tested on the questions that all of them share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from string import ascii_uppercase
from typing import Any

from leaderboards import store
from leaderboards.board import group
from leaderboards.compare import answers_of, entry
from leaderboards.find import candidates, evaluations
from leaderboards.identity import asked_differently, incomparable, unlike
from leaderboards.pairs import AnswersByQuestion, Pair, PairedTest, Share, paired_test, score_of, share
from leaderboards.statistics import holm
from leaderboards.types import Run
from tasks.common.errors import DataError

MOST = len(ascii_uppercase)
COMPARED = ("database", "metric")
"""The fields of records that a matrix reads."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One run of a matrix."""

    name: str
    """``A`` for the first run that was named, ``B`` for the next, ..."""
    run: Run
    share: Share
    """Its headline on the questions that all runs share."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Run ``b`` tested against run ``a``, which was named before it."""

    a: str
    b: str
    test: PairedTest
    """Its p-value is corrected by Holm's method over all pairs of the matrix."""
    differ: tuple[str, ...]
    """Differences in prompts and sampling between the two, in words."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """Several runs compared on the same questions."""

    entries: Sequence[Entry]
    cells: Sequence[Cell]
    """Every pair once, in the order of the entries."""
    n: int
    """Questions that were scored in all runs."""
    left_out: int
    """Questions that some run lacks, or that were not scored in all."""

    def cell(self, a: str, b: str) -> Cell:
        """The cell of two entries in the order of the matrix."""
        return next(cell for cell in self.cells if (cell.a, cell.b) == (a, b))

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        key = group(self.entries[-1].run)._asdict()
        return {
            **{name: value for name, value in key.items() if name != "databases"},
            "n": self.n,
            "left_out": self.left_out,
            "runs": [{"name": one.name, **entry(one.run, one.share)} for one in self.entries],
            "pairs": [
                {"a": cell.a, "b": cell.b, **cell.test.as_dict(), "differ": list(cell.differ)}
                for cell in self.cells
            ],
        }


def compare_all(names: Sequence[str]) -> Matrix:
    """Compare the newest evaluations of these names that can all be compared with each other.

    Raises DataError: no such run, two that cannot be compared, the same run twice, or more than 26.
    """
    if len(names) > MOST:
        raise DataError(f"{len(names)} runs to compare: name at most {MOST}")
    runs, answers = _readable(names)
    asked = set.union(*(set(found) for found in answers))
    scores = [_scores(found) for found in answers]
    shared = sorted(set.intersection(*(set(found) for found in scores)))
    databases = [answers[0][sample_id][0].database for sample_id in shared]
    entries = [
        Entry(name, run, share([found[sample_id] for sample_id in shared], databases))
        for name, run, found in zip(ascii_uppercase, runs, scores, strict=False)
    ]
    tests = []
    for i, j in combinations(range(len(runs)), 2):
        pairs = [
            Pair(sample_id, database, scores[i][sample_id], scores[j][sample_id])
            for sample_id, database in zip(shared, databases, strict=True)
        ]
        differ = tuple(asked_differently(runs[i], runs[j]))
        tests.append(Cell(entries[i].name, entries[j].name, paired_test(pairs), differ))
    return Matrix(entries, _corrected(tests), len(shared), len(asked) - len(shared))


def _corrected(cells: Sequence[Cell]) -> list[Cell]:
    corrected = holm([cell.test.figures.p for cell in cells])
    return [
        replace(cell, test=replace(cell.test, figures=replace(cell.test.figures, p_holm=p)))
        for cell, p in zip(cells, corrected, strict=True)
    ]


def _scores(answers: AnswersByQuestion) -> dict[str, float]:
    """Question id -> the mean of its scored answers."""
    means = {sample_id: score_of(found) for sample_id, found in answers.items()}
    return {sample_id: value for sample_id, value in means.items() if value is not None}


def _readable(names: Sequence[str]) -> tuple[list[Run], list[AnswersByQuestion]]:
    """The chosen runs and their answers; damaged runs are named on stderr, and others are chosen.

    Raises the DataError of a damaged run where no other can take its place.
    """
    damaged: dict[str, DataError] = {}
    while True:
        try:
            runs = _choose(names, damaged)
        except DataError:
            if damaged:
                raise next(iter(damaged.values())) from None
            raise
        answers = []
        for run in runs:
            try:
                answers.append(answers_of(run, COMPARED))
            except DataError as error:
                damaged[run.id] = error
        if len(answers) == len(runs):
            for run_id, damage in damaged.items():
                store.leave_out(run_id, damage)
            return runs, answers


def _choose(names: Sequence[str], damaged: dict[str, DataError]) -> list[Run]:
    """One run for each name, each comparable with all others; of several choices that most alike.

    Raises DataError where there is none.
    """
    searched = evaluations()
    found = [[run for run in candidates(name, searched) if run.id not in damaged] for name in names]
    best: list[Run] = []
    refused = ""
    for first in found[0]:
        runs = [first]
        for name, named in zip(names[1:], found[1:], strict=True):
            fitting = [run for run in named if not any(_refusal(other, run) for other in runs)]
            if not fitting:
                refused = refused or _why(name, runs, named)
                break
            runs.append(min(fitting, key=lambda run: _unlike([*runs, run])))
        else:
            if not best or _unlike(runs) < _unlike(best):
                best = runs
            if not any(_unlike(best)):
                break
    if not best:
        raise DataError(refused)
    return best


def _unlike(runs: Sequence[Run]) -> tuple[bool, ...]:
    """A sort key: runs of one group first, then those asked alike, then those of the same questions."""
    keys = [(group(a) != group(b), *unlike(a, b)) for a, b in combinations(runs, 2)]
    return tuple(map(any, zip(*keys, strict=True)))


def _why(name: str, runs: Sequence[Run], named: Sequence[Run]) -> str:
    reasons = (_refusal(other, run) for run in named for other in runs)
    return next(filter(None, reasons), f"no run '{name}' can be compared with the others")


def _refusal(a: Run, b: Run) -> str:
    """Why two runs cannot be compared; "" if they can."""
    if a.id == b.id:
        return f"the run {a.id} is named twice: name different runs"
    differ = "; ".join(incomparable(a, b))
    return f"{a.id} and {b.id} cannot be compared: they differ in {differ}" if differ else ""
