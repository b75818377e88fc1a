"""Compare two runs question by question."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from leaderboards import store
from leaderboards.board import group
from leaderboards.find import candidates
from leaderboards.identity import asked_differently, incomparable
from leaderboards.statistics import Interval, bootstrap, mcnemar
from leaderboards.summary import level, mean
from leaderboards.types import Record, Run
from tasks.common.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

AnswersByQuestion = dict[str, list[Record]]
"""Question id -> the records of its answers, in order."""
FLIPS = 3
"""Questions shown of those that only B got right, and of those that only A did."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A question scored in both runs. ``a`` and ``b``: the means of its answers' scores, in [0, 1]."""

    sample_id: str
    difficulty: str
    database: str
    part: str
    a: float
    b: float


@dataclass(frozen=True, slots=True)
class PairedFigures:
    """Figures of A and B on the same questions.

    ``wins``: questions on which B is better; ``p``: of McNemar's exact two-sided test.
    """

    n: int
    wins: int
    losses: int
    ties: int
    ex_a: float | None
    ex_b: float | None
    p: float

    @property
    def difference(self) -> float | None:
        return None if self.ex_a is None or self.ex_b is None else self.ex_b - self.ex_a

    def as_dict(self) -> dict[str, Any]:
        names = ("n", "wins", "losses", "ties", "ex_a", "ex_b", "difference", "p")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Flip:
    """A question on which one run is better than the other."""

    sample_id: str
    question: str
    gold: str
    winner: str
    """``a`` or ``b``."""
    sql_a: str
    sql_b: str
    reason_a: str
    reason_b: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """B compared with A. ``interval``: the 95 % bootstrap interval of the difference of their means."""

    a: Run
    b: Run
    all: PairedFigures
    interval: Interval | None
    left_out: int
    """Questions that only one of the runs has, or that were not scored in both."""
    slices: dict[str, dict[str, PairedFigures]]
    """``difficulty``, ``database`` or ``part`` (if it has several values) -> value -> figures."""
    flips: list[Flip]
    differ: tuple[str, ...] = ()
    """Differences in prompts and sampling between the two, in words."""
    pairs: Sequence[Pair] = field(default=(), repr=False)
    """The questions that were scored in both runs."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            **{name: value for name, value in group(self.b)._asdict().items() if name != "databases"},
            "a": {"run": self.a.id, "model": self.a.model},
            "b": {"run": self.b.id, "model": self.b.model},
            **self.all.as_dict(),
            "interval": self.interval,
            "left_out": self.left_out,
            "differ": list(self.differ),
            **{
                field: {name: figures.as_dict() for name, figures in by_name.items()}
                for field, by_name in self.slices.items()
            },
            "flips": [{name: getattr(flip, name) for name in Flip.__slots__} for flip in self.flips],
        }

    def to_frame(self) -> pd.DataFrame:
        """One row for each question scored in both runs; ``a`` and ``b`` are its scores in [0, 1]."""
        import pandas as pd

        return pd.DataFrame([asdict(pair) for pair in self.pairs], columns=list(Pair.__slots__))


def compare(a: str, b: str) -> Comparison:
    """Compare the newest evaluations of A and B with the same questions and the same scoring.

    Their prompts may differ. Among several pairs, one that differs only in the model is preferred.

    Raises DataError: no such run, or the runs cannot be compared (the text says what differs).
    """
    (first, second), answers = _first_readable(_choose(a, b))
    pairs, left_out = _pairs(*answers)
    fields = ("difficulty", "database", "part")
    return Comparison(
        a=first,
        b=second,
        all=_paired(pairs),
        interval=bootstrap([pair.b - pair.a for pair in pairs]),
        left_out=left_out,
        slices={field: by_name for field in fields if len(by_name := _slices(pairs, field)) > 1},
        flips=_flips(*answers, pairs),
        differ=tuple(asked_differently(first, second)),
        pairs=pairs,
    )


def _choose(a: str, b: str) -> list[tuple[Run, Run]]:
    """The pairs of runs that can be compared, the best first. Raises DataError where there is none."""
    runs_a, runs_b = candidates(a), candidates(b)
    pairs = [(run_a, run_b) for run_b in runs_b for run_a in runs_a if run_a.id != run_b.id]
    comparable = sorted(
        (pair for pair in pairs if not incomparable(*pair)),
        key=lambda pair: group(pair[0]) != group(pair[1]),
    )
    if comparable:
        return comparable
    run_a, run_b = runs_a[0], runs_b[0]
    if run_a.id == run_b.id:
        raise DataError(f"'{a}' and '{b}' are the same run, {run_a.id}: name two runs")
    differ = "; ".join(incomparable(run_a, run_b))
    raise DataError(f"{run_a.id} and {run_b.id} cannot be compared: they differ in {differ}")


def _first_readable(
    pairs: Sequence[tuple[Run, Run]],
) -> tuple[tuple[Run, Run], tuple[AnswersByQuestion, AnswersByQuestion]]:
    """The first pair without a damaged run, with its answers; damaged runs before it are named on stderr.

    Raises the DataError of the first damaged run if every pair has one.
    """
    answers: dict[str, AnswersByQuestion] = {}
    damaged: dict[str, DataError] = {}
    for pair in pairs:
        for run in pair:
            if run.id not in answers and run.id not in damaged:
                try:
                    answers[run.id] = _answers(run)
                except DataError as error:
                    damaged[run.id] = error
        run_a, run_b = pair
        if run_a.id in answers and run_b.id in answers:
            for run_id, damage in damaged.items():
                store.leave_out(run_id, damage)
            return pair, (answers[run_a.id], answers[run_b.id])
    raise next(iter(damaged.values()))


def _pairs(first: AnswersByQuestion, second: AnswersByQuestion) -> tuple[list[Pair], int]:
    """The questions scored in both runs, by sample id, and the number of other questions."""
    pairs = []
    for sample_id in sorted(first.keys() & second.keys()):
        a, b = (mean(record.metric for record in answers[sample_id]) for answers in (first, second))
        if a is not None and b is not None:
            record = first[sample_id][0]
            pairs.append(Pair(sample_id, record.difficulty, record.database, record.part, a, b))
    return pairs, len(first.keys() | second.keys()) - len(pairs)


def _answers(run: Run) -> AnswersByQuestion:
    """The records of a run by question. Raises DataError: they are damaged."""
    answers: AnswersByQuestion = {}
    for record in store.records(run.id):
        answers.setdefault(record.sample_id, []).append(record)
    return answers


def _paired(pairs: Sequence[Pair]) -> PairedFigures:
    n = len(pairs)
    wins = sum(pair.b > pair.a for pair in pairs)
    losses = sum(pair.b < pair.a for pair in pairs)
    return PairedFigures(
        n=n,
        wins=wins,
        losses=losses,
        ties=n - wins - losses,
        ex_a=sum(pair.a for pair in pairs) / n if n else None,
        ex_b=sum(pair.b for pair in pairs) / n if n else None,
        p=mcnemar(wins, losses),
    )


def _slices(pairs: Sequence[Pair], field: str) -> dict[str, PairedFigures]:
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        groups.setdefault(getattr(pair, field), []).append(pair)
    return {name: _paired(groups[name]) for name in sorted(groups, key=level) if name}


def _flips(first: AnswersByQuestion, second: AnswersByQuestion, pairs: Sequence[Pair]) -> list[Flip]:
    """A fixed random choice of questions on which B is better, then of those on which A is better."""
    flips = []
    for winner, won in (("b", [p for p in pairs if p.b > p.a]), ("a", [p for p in pairs if p.a > p.b])):
        for pair in random.Random(0).sample(won, min(FLIPS, len(won))):
            flips.append(_flip(winner, first[pair.sample_id][0], second[pair.sample_id][0]))
    return flips


def _flip(winner: str, a: Record, b: Record) -> Flip:
    return Flip(
        sample_id=a.sample_id,
        question=a.question,
        gold=a.gold,
        winner=winner,
        sql_a=a.sql,
        sql_b=b.sql,
        reason_a=a.reason,
        reason_b=b.reason,
    )
