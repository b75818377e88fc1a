"""What an answer may lose beside being right or wrong: efficiency, format, length, forbidden constructs.

Every term takes at most its weight from the composite's value, and the weights together are less than what
lies between the worst right and the best wrong answer: correct still strictly dominates.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rewards.efficiency import gain
from rewards.scorers import is_correct
from rewards.structure.constructs import CONSTRUCTS
from rewards.types import Attempt, Score, Scorer
from tasks.common.errors import SpecError, nearest
from tasks.terms import TermsSpec
from tasks.types import Mode


@dataclass(frozen=True, slots=True)
class WithTerms:
    """A composite, less what an answer wastes. Reads ``Attempt.text``.

    ``gap`` is what lies between the base's worst right and best wrong answer. Raises SpecError: weights that
    fill the gap, a construct or a pattern that is none.
    """

    base: Scorer
    terms: TermsSpec
    gap: float
    metric: Mode = Mode.STRICT

    def __post_init__(self) -> None:
        total = sum(weight for weight, _ in self._weighed(None).values())
        if total >= self.gap:
            raise SpecError(
                f"scoring.terms: the weights are {total:g} together, and a right answer leads a wrong one by"
                f" {self.gap:g}: keep them below that, or wrong answers could win"
            )
        for name in self.terms.forbidden.constructs:
            if name not in CONSTRUCTS:
                raise SpecError(
                    f"scoring.terms.forbidden: no construct '{name}': {nearest(name, CONSTRUCTS)}"
                )
        try:
            re.compile(self.terms.format.pattern)
        except re.error as error:
            raise SpecError(f"scoring.terms.format.pattern: {error}") from None

    def __call__(self, attempt: Attempt) -> Score:
        score = self.base(attempt)
        if score.value is None:
            return score
        lost = {name: -weight * share for name, (weight, share) in self._weighed(attempt).items() if weight}
        parts = {**(score.parts or {"base": score.value}), **lost}
        return Score(score.value + sum(lost.values()), score.reason, score.sql, score.detail, parts)

    def _weighed(self, attempt: Attempt | None) -> Mapping[str, tuple[float, float]]:
        """Term -> its weight, and the share of it in [0, 1] that an attempt loses."""
        terms = self.terms
        found: dict[str, Any] = {
            "efficiency": (terms.efficiency.weight, self._slow),
            "format": (terms.format.weight, self._misshapen),
            "length": (terms.length.weight, self._long),
            "forbidden": (terms.forbidden.weight, self._forbidden),
        }
        return {
            name: (weight, share(attempt) if attempt and weight else 0.0)
            for name, (weight, share) in found.items()
        }

    def _slow(self, attempt: Attempt) -> float:
        """0 where a right query costs no more than the gold, towards 1 the more it costs; 0 of wrong ones."""
        if not is_correct(attempt, self.metric):
            return 0.0
        return 1 - min(1.0, gain(attempt, self.terms.efficiency.by))

    def _misshapen(self, attempt: Attempt) -> float:
        return float(re.fullmatch(self.terms.format.pattern, attempt.text.strip(), re.DOTALL) is None)

    def _long(self, attempt: Attempt) -> float:
        """Rises in a line from 0 at ``free`` characters to 1 at ``most``."""
        length = self.terms.length
        over = (len(attempt.text) - length.free) / (length.most - length.free)
        return min(1.0, max(0.0, over))

    def _forbidden(self, attempt: Attempt) -> float:
        """Of what an engine could read as one query; the worker has looked for the constructs in it."""
        return float(attempt.parses and bool(attempt.constructs))
