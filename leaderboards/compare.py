"""Compare two runs question by question."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from leaderboards import store
from leaderboards.board import group
from leaderboards.find import candidates, evaluations
from leaderboards.identity import asked_differently, incomparable, unlike
from leaderboards.pairs import (
    AnswersByQuestion,
    Pair,
    PairedFigures,
    PairedTest,
    Share,
    pair_up,
    paired_test,
    share,
    slices,
)
from leaderboards.slices import FIELDS, engine_of
from leaderboards.types import Record, Run
from tasks.common.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

COMPARED = (
    *("question", "database", "difficulty", "part", "gold", "other_gold", "gold_rows"),
    *("sql", "reason", "metric"),
)
"""The fields of records that a comparison reads."""
FLIPS = 3
"""Questions shown of those that only B got right, and of those that only A did."""


@dataclass(frozen=True, slots=True)
class Flip:
    """A question on which one run is better than the other."""

    sample_id: str
    question: str
    gold: str
    """The gold that the winner's answer was compared with."""
    winner: str
    """``a`` or ``b``."""
    sql_a: str
    sql_b: str
    reason_a: str
    reason_b: str


class Where(NamedTuple):
    """A slice in which one run is significantly better than the other, after Holm's correction."""

    field: str
    value: str
    figures: PairedFigures


@dataclass(frozen=True, slots=True)
class Comparison:
    """B compared with A."""

    a: Run
    b: Run
    share_a: Share
    share_b: Share
    test: PairedTest
    """B tested against A on all questions that both have."""
    left_out: int
    """Questions that only one of the runs has, or that were not scored in both."""
    slices: dict[str, dict[str, PairedFigures]]
    """Field of ``leaderboards.slices.FIELDS`` (if it has several slices) -> slice -> figures."""
    flips: list[Flip]
    differ: tuple[str, ...] = ()
    """Differences in prompts and sampling between the two, in words."""
    pairs: Sequence[Pair] = field(default=(), repr=False)
    """The questions that were scored in both runs."""

    @property
    def all(self) -> PairedFigures:
        return self.test.figures

    @property
    def where(self) -> list[Where]:
        """The slices in which the two differ significantly."""
        return [
            Where(field, value, figures)
            for field, by_value in self.slices.items()
            for value, figures in by_value.items()
            if figures.outcome != "no significant difference"
        ]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            **{name: value for name, value in group(self.b)._asdict().items() if name != "databases"},
            "a": entry(self.a, self.share_a),
            "b": entry(self.b, self.share_b),
            **self.test.as_dict(),
            "left_out": self.left_out,
            "differ": list(self.differ),
            "where": [
                {"field": one.field, "value": one.value, "outcome": one.figures.outcome} for one in self.where
            ],
            **{
                field: {name: figures.as_dict() for name, figures in by_name.items()}
                for field, by_name in self.slices.items()
            },
            "flips": [{name: getattr(flip, name) for name in Flip.__slots__} for flip in self.flips],
        }

    def to_frame(self) -> pd.DataFrame:
        """One row for each question scored in both runs; ``a`` and ``b`` are its scores in [0, 1]."""
        import pandas as pd

        return pd.DataFrame([pair.as_row() for pair in self.pairs], columns=["sample_id", *FIELDS, "a", "b"])


def entry(run: Run, share: Share) -> dict[str, Any]:
    """A compared run for ``--json``."""
    return {"run": run.id, "model": run.model, "label": run.label, **asdict(share)}


def compare(a: str, b: str) -> Comparison:
    """Compare the newest evaluations of A and B with the same questions and the same scoring.

    They may be asked differently, and some questions may be in one only. Of the pairs that the runs of two
    models make, one is preferred that was asked alike (prompt, sampling), then one of the same questions.

    Raises DataError: no such run, or the runs cannot be compared (the text says what differs).
    """
    (first, second), answers = _first_readable(_choose(a, b))
    return comparison(first, second, *answers)


def comparison(
    first: Run, second: Run, first_answers: AnswersByQuestion, second_answers: AnswersByQuestion
) -> Comparison:
    """``second`` compared with ``first``, whose answers are given."""
    pairs, left_out = pair_up(first_answers, second_answers, engine_of(second))
    databases = [pair.database for pair in pairs]
    return Comparison(
        a=first,
        b=second,
        share_a=share([pair.a for pair in pairs], databases),
        share_b=share([pair.b for pair in pairs], databases),
        test=paired_test(pairs),
        left_out=left_out,
        slices=slices(pairs),
        flips=_flips(first_answers, second_answers, pairs),
        differ=tuple(asked_differently(first, second)),
        pairs=pairs,
    )


def _choose(a: str, b: str) -> list[tuple[Run, Run]]:
    """The pairs of runs that can be compared, the best first. Raises DataError where there is none."""
    searched = evaluations()
    runs_a, runs_b = candidates(a, searched), candidates(b, searched)
    pairs = [(run_a, run_b) for run_b in runs_b for run_a in runs_a if run_a.id != run_b.id]
    comparable = sorted(
        (pair for pair in pairs if not incomparable(*pair)),
        key=lambda pair: (group(pair[0]) != group(pair[1]), *unlike(*pair)),
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
                    answers[run.id] = answers_of(run, COMPARED)
                except DataError as error:
                    damaged[run.id] = error
        run_a, run_b = pair
        if run_a.id in answers and run_b.id in answers:
            for run_id, damage in damaged.items():
                store.leave_out(run_id, damage)
            return pair, (answers[run_a.id], answers[run_b.id])
    raise next(iter(damaged.values()))


def answers_of(run: Run, names: Sequence[str] = ()) -> AnswersByQuestion:
    """The records of a run by question; ``names`` as for ``store.records``. Raises DataError: damaged."""
    answers: AnswersByQuestion = {}
    for record in store.records(run.id, names):
        answers.setdefault(record.sample_id, []).append(record)
    return answers


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
        gold=(b if winner == "b" else a).compared_gold,
        winner=winner,
        sql_a=a.sql,
        sql_b=b.sql,
        reason_a=a.reason,
        reason_b=b.reason,
    )
