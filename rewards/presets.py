"""Reward presets by name, and the composite that a spec's scoring section asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rewards.composite import Binary, Classic, Gated, RVes, Weighted
from rewards.penalties import WithPenalties
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
"""Name -> function that makes the composite for a metric."""
MARGINS = {"gated": 0.7, "classic": 0.5, "binary": 1.0, "r_ves": 0.44}
"""Preset -> its worst correct value less its best wrong one. ``scoring.terms`` must weigh less."""


def reward_scorer(scoring: ScoringSpec) -> Scorer:
    """The composite that a spec asks for: its weights, else its preset or its custom reward ``module:Class``.

    The class of a custom reward is called without arguments. Raises SpecError: unknown preset, no such class,
    an object that is not callable, terms where the margin of correct answers is not known.
    """
    if scoring.terms is None:
        return _base(scoring)
    if scoring.weights or scoring.reward not in MARGINS:
        raise SpecError(
            f"scoring.terms needs a preset: remove scoring.weights and set scoring.reward to one of"
            f" {', '.join(MARGINS)}"
        )
    margin = MARGINS[scoring.reward]
    return WithPenalties(_base(scoring), scoring.terms, margin, scoring.metric)


def _base(scoring: ScoringSpec) -> Scorer:
    if scoring.weights:
        return Weighted(dict(scoring.weights), scoring.metric)
    if ":" in scoring.reward:
        return _custom(scoring.reward)
    if scoring.reward not in PRESETS:
        raise SpecError(
            f"scoring.reward: no preset '{scoring.reward}': {nearest(scoring.reward, PRESETS)}"
            " (or write module:Class)"
        )
    return PRESETS[scoring.reward](scoring.metric)


def _custom(where: str) -> Scorer:
    try:
        scorer = load_object(where)()
    except ModuleNotFoundError as error:
        raise SpecError(f"scoring.reward: '{where}': {error} (looked in {Path.cwd()} too)") from None
    except Exception as error:
        raise SpecError(f"scoring.reward: '{where}': {type(error).__name__}: {error}") from error
    if not callable(scorer):
        raise SpecError(f"scoring.reward: '{where}' cannot be called with an attempt")
    return CustomReward(where, scorer)


@dataclass(frozen=True, slots=True)
class CustomReward:
    """A reward class from ``module:Class``.

    A call raises SpecError in one line if the class raises an error or returns something else than a Score.
    """

    where: str
    scorer: Scorer

    def __call__(self, attempt: Attempt) -> Score:
        try:
            score = self.scorer(attempt)
        except HarnessError:
            raise
        except Exception as error:
            message = f"scoring.reward: {self.where} raised {type(error).__name__}: {error}"
            raise SpecError(message) from error
        if not isinstance(score, Score) or not isinstance(score.value, int | float | None):
            raise SpecError(f"scoring.reward: {self.where} must return a Score, but returned {score!r:.100}")
        return score
