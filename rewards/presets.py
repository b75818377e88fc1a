"""Reward presets by name, and how a spec's scoring section becomes the scorer that pays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rewards.composite import Binary, Classic, Gated, Weighted
from rewards.efficiency import RVes
from rewards.penalties import WithTerms
from rewards.types import Attempt, Score, Scorer
from tasks.common.errors import HarnessError, SpecError, nearest
from tasks.common.named_code import load_object
from tasks.spec import ScoringSpec
from tasks.types import Mode

PRESETS: dict[str, Callable[[Mode], Scorer]] = {
    "gated": Gated,
    "classic": Classic,
    "binary": Binary,
    "r_ves": RVes,
}
"""Name -> what makes the composite for a metric."""
GAPS = {"gated": 0.7, "classic": 0.5, "binary": 1.0, "r_ves": 0.44}
"""Preset -> what its worst right answer leads its best wrong one by: room for ``scoring.terms``."""


def reward(scoring: ScoringSpec) -> Scorer:
    """The composite a spec asks for: its weights, else its preset, else the user's ``module:Class``.

    A class of the user's own is called without arguments. Raises SpecError: unknown preset, no such class,
    something that cannot score, terms where the lead of right answers is not known.
    """
    if scoring.terms is None:
        return _base(scoring)
    if scoring.weights or scoring.reward not in GAPS:
        raise SpecError(f"scoring.terms: only with a preset: {', '.join(GAPS)}")
    return WithTerms(_base(scoring), scoring.terms, GAPS[scoring.reward], scoring.metric)


def _base(scoring: ScoringSpec) -> Scorer:
    if scoring.weights:
        return Weighted(dict(scoring.weights), scoring.metric)
    if ":" in scoring.reward:
        return _own(scoring.reward)
    if scoring.reward not in PRESETS:
        raise SpecError(
            f"scoring.reward: no preset '{scoring.reward}': {nearest(scoring.reward, PRESETS)}"
            " (or write module:Class)"
        )
    return PRESETS[scoring.reward](scoring.metric)


def _own(where: str) -> Scorer:
    try:
        scorer = load_object(where)()
    except ModuleNotFoundError as error:
        raise SpecError(f"scoring.reward: '{where}': {error} (looked in {Path.cwd()} too)") from None
    except Exception as error:
        raise SpecError(f"scoring.reward: '{where}': {type(error).__name__}: {error}") from error
    if not callable(scorer):
        raise SpecError(f"scoring.reward: '{where}' cannot be called with an attempt")
    return Own(where, scorer)


@dataclass(frozen=True, slots=True)
class Own:
    """A reward of the user's own. What it raises, or returns instead of a Score, is one line."""

    where: str
    scorer: Scorer

    def __call__(self, attempt: Attempt) -> Score:
        try:
            score = self.scorer(attempt)
        except HarnessError:
            raise
        except Exception as error:
            said = f"raised {type(error).__name__}: {error}"
            raise SpecError(f"scoring.reward: {self.where} {said}") from error
        if not isinstance(score, Score) or not isinstance(score.value, int | float | None):
            raise SpecError(f"scoring.reward: {self.where} must return a Score, not {score!r:.100}")
        return score
