"""Pairs of verdicts of two runs on the same questions, their figures, and what these say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from leaderboards.slices import FIELDS, Values, ordered, values
from leaderboards.statistics import (
    ClusteredInterval,
    Interval,
    clustered_difference,
    clustered_share,
    detectable,
    holm,
    mcnemar,
    paired_difference,
    totals,
    wilson,
)
from leaderboards.statistics.significance import ALPHA, POWER
from leaderboards.summary import mean
from leaderboards.types import Record

AnswersByQuestion = dict[str, list[Record]]
"""Question id -> the records of its answers, in order."""
DIGITS = 12
"""Digits after the point to which scores of questions are rounded before they are compared."""
Outcome = Literal["better", "worse", "no significant difference"]


@dataclass(frozen=True, slots=True)
class Pair:
    """A question scored in both runs. ``a`` and ``b``: the means of its answers' scores, in [0, 1]."""

    sample_id: str
    database: str
    a: float
    b: float
    slices: Values = field(default_factory=dict)
    """Field -> the slices in which the question is."""

    def as_row(self) -> dict[str, Any]:
        """For a data frame: ``feature`` is a tuple, every other field of ``slices`` a text, "" for none."""
        single = {name: "".join(self.slices.get(name, ())) for name in FIELDS if name != "feature"}
        return {
            "sample_id": self.sample_id,
            **single,
            "feature": self.slices.get("feature", ()),
            "a": self.a,
            "b": self.b,
        }


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
    p_holm: float | None = None
    """p after Holm's correction: in a slice over the slices of its field, in a matrix over all its pairs."""

    @property
    def difference(self) -> float | None:
        return None if self.ex_a is None or self.ex_b is None else self.ex_b - self.ex_a

    @property
    def corrected(self) -> float:
        """p after Holm's correction where there is one."""
        return self.p if self.p_holm is None else self.p_holm

    @property
    def outcome(self) -> Outcome:
        """What McNemar's test says of B at the 5 % level, after Holm's correction where there is one.

        With several answers a question counts as won by a higher mean; B is better only if its mean over all
        questions is higher, too.
        """
        if self.corrected < ALPHA and self.wins > self.losses and (self.difference or 0.0) > 0:
            return "better"
        if self.corrected < ALPHA and self.wins < self.losses and (self.difference or 0.0) < 0:
            return "worse"
        return "no significant difference"

    def as_dict(self) -> dict[str, Any]:
        names = ("n", "wins", "losses", "ties", "ex_a", "ex_b", "difference", "p", "p_holm")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class Share:
    """The headline of one run on the questions that are compared, with both 95 % intervals."""

    ex: float | None
    interval: Interval | None
    """Wilson's, for independent questions."""
    clustered: ClusteredInterval | None
    """For questions of other databases; None with fewer than two."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """B against A: the outcome of McNemar's test, and how far it can be relied on."""

    outcome: Outcome
    p: float
    """Of McNemar's exact test, after Holm's correction where there is one."""
    p_databases: float | None
    """The p-value for other databases, which counts questions of one database as alike; None with one."""
    detectable: float | None
    """The smallest difference that the test finds with 80 % power, given the discordant questions; None after
    Holm's correction, with which it depends on all pairs."""
    text: str
    """The same as a sentence, without the names of the runs."""


@dataclass(frozen=True, slots=True)
class PairedTest:
    """B tested against A on the same questions."""

    figures: PairedFigures
    interval: Interval | None
    """The 95 % interval of the difference of their means, for other questions like these."""
    clustered: ClusteredInterval | None
    """The 95 % interval of the difference for questions of other databases; None with fewer than two."""

    @property
    def verdict(self) -> Verdict:
        figures = self.figures
        discordant = (figures.wins + figures.losses) / figures.n if figures.n else 0.0
        p_databases = self.clustered.p if self.clustered else None
        smallest = detectable(figures.n, discordant) if figures.p_holm is None else None
        text = _text(figures, p_databases, smallest)
        return Verdict(figures.outcome, figures.corrected, p_databases, smallest, text)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            **self.figures.as_dict(),
            "interval": self.interval,
            "clustered": asdict(self.clustered) if self.clustered else None,
            "verdict": asdict(self.verdict),
        }


def _text(figures: PairedFigures, p_databases: float | None, smallest: float | None) -> str:
    outcome, p = figures.outcome, figures.corrected
    if outcome == "no significant difference":
        if figures.p_holm is not None:
            return f"{outcome} ({_p(p)})"
        if smallest is None:
            return f"{outcome} ({_p(p)}): too few questions to find one"
        size = f"a difference of {100 * smallest:.1f} points"
        return f"{outcome} ({_p(p)}); {size} would be found with {POWER:.0%} probability"
    if p_databases is None:
        return f"{outcome} ({_p(p)})"
    if p_databases < ALPHA:
        return f"{outcome} ({_p(p)}), on other databases too ({_p(p_databases)})"
    return f"{outcome} ({_p(p)}) on these databases; not shown for others ({_p(p_databases)})"


def _p(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.2g}"


def score_of(answers: Sequence[Record]) -> float | None:
    """The mean score of the answers to a question; None if none was scored.

    Rounded, so that the order in which equal scores are added makes no difference.
    """
    score = mean(record.metric for record in answers)
    return None if score is None else round(score, DIGITS)


def pair_up(first: AnswersByQuestion, second: AnswersByQuestion, engine: str) -> tuple[list[Pair], int]:
    """The questions scored in both runs, by sample id, and the number of other questions."""
    pairs = []
    for sample_id in sorted(first.keys() & second.keys()):
        a, b = (score_of(answers[sample_id]) for answers in (first, second))
        if a is not None and b is not None:
            record = first[sample_id][0]
            pairs.append(Pair(sample_id, record.database, a, b, values(record, engine)))
    return pairs, len(first.keys() | second.keys()) - len(pairs)


def figures(pairs: Sequence[Pair]) -> PairedFigures:
    """The figures of some pairs."""
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


def paired_test(pairs: Sequence[Pair]) -> PairedTest:
    """B tested against A on all pairs."""
    differences = [pair.b - pair.a for pair in pairs]
    clusters = totals(differences, (pair.database for pair in pairs))
    return PairedTest(figures(pairs), paired_difference(differences), clustered_difference(clusters))


def share(scores: Sequence[float], databases: Sequence[str]) -> Share:
    """The headline of one run: ``scores`` and ``databases`` of each question."""
    n = len(scores)
    ex = sum(scores) / n if n else None
    return Share(ex, wilson(sum(scores), n), clustered_share(totals(scores, databases)))


def slices(pairs: Sequence[Pair]) -> dict[str, dict[str, PairedFigures]]:
    """Field -> slice -> figures, with Holm's correction over a field; fields with one slice are left out."""
    groups: defaultdict[str, defaultdict[str, list[Pair]]] = defaultdict(lambda: defaultdict(list))
    for pair in pairs:
        for name, found in pair.slices.items():
            for value in found:
                groups[name][value].append(pair)
    return {name: _corrected(name, groups[name]) for name in FIELDS if len(groups[name]) > 1}


def _corrected(name: str, groups: Mapping[str, Sequence[Pair]]) -> dict[str, PairedFigures]:
    found = {value: figures(groups[value]) for value in ordered(name, groups)}
    corrected = holm([one.p for one in found.values()])
    return {value: replace(one, p_holm=p) for (value, one), p in zip(found.items(), corrected, strict=True)}
