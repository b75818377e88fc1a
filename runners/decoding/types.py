"""How answers are decoded, and what was generated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runners.decoding.tokens import NO_LIMIT
from runners.types import Finish


@dataclass(frozen=True, slots=True)
class DecodingSettings:
    """How tokens are chosen."""

    temperature: float
    top_p: float
    max_new_tokens: int
    end_tokens: tuple[int, ...]
    has_stop: Callable[[list[int]], bool] | None = None
    """Whether an answer's tokens contain a stop string."""
    refill: float | None = None
    """Share of the batch's tokens that must be free before rows join; None: ``generation.REFILL``."""
    longest_shared: int = NO_LIMIT
    """The most tokens of texts that may share prefixes (``probe.longest_shared``); 0: none shares."""


@dataclass(frozen=True, slots=True)
class Generated:
    """One answer: its tokens, including a final end-of-sequence token.

    ``logprob``: the sum of their log-probabilities at temperature 1. ``seconds``: its share of the wall-clock
    time since the previous answers ended.
    """

    tokens: list[int]
    logprob: float | None
    finish: Finish
    seconds: float = 0.0
