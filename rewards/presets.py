"""Reward presets by name, and how a spec's scoring section becomes the scorer that pays."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from rewards.composite import Binary, Classic, Gated, Weighted
from rewards.types import Scorer
from tasks.errors import SpecError, nearest
from tasks.spec import ScoringSpec
from tasks.types import Mode

PRESETS: dict[str, Callable[[Mode], Scorer]] = {"gated": Gated, "classic": Classic, "binary": Binary}
"""Name -> what makes the composite for a metric."""


def reward(scoring: ScoringSpec) -> Scorer:
    """The composite a spec asks for: its weights, else its preset, else the user's ``module:Class``.

    A class of the user's own is called without arguments. Raises SpecError: unknown preset, no such class,
    something that cannot score.
    """
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
    module, _, name = where.partition(":")
    try:
        scorer = getattr(import_module(module), name)()
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise SpecError(f"scoring.reward: '{where}': {error}") from None
    if not callable(scorer):
        raise SpecError(f"scoring.reward: '{where}' cannot be called with an attempt")
    return scorer  # type: ignore[no-any-return]
