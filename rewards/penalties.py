"""Penalties beside correct or wrong (``scoring.terms``): efficiency, format, length, forbidden constructs.

Each term subtracts at most its weight from a composite's value. All weights together must be less than the
margin between the worst correct and the best wrong answer, so that correct still strictly dominates.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rewards.composite import cost_ratio, is_correct
from rewards.structure.constructs import CONSTRUCTS
from rewards.types import Attempt, Score, Scorer
from tasks.common.errors import SpecError, nearest
from tasks.terms import TermsSpec
from tasks.types import Mode


@dataclass(frozen=True, slots=True)
class WithPenalties:
    """A composite less its penalties. Reads ``Attempt.text``.

    ``margin``: the difference between the base's worst correct and best wrong value. Raises SpecError:
    weights that reach the margin, an unknown construct, a pattern that is not a regular expression.
    """

    base: Scorer
    terms: TermsSpec
    margin: float
    metric: Mode = Mode.STRICT

    def __post_init__(self) -> None:
        total = sum(weight for weight, _ in self._weights_and_shares().values())
        if total >= self.margin:
            raise SpecError(
                f"scoring.terms: the weights sum to {total:g}, but a correct answer leads a wrong one by only"
                f" {self.margin:g}: set weights with a smaller sum, or wrong answers could win"
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
        terms = self._weights_and_shares().items()
        penalties = {name: -weight * share(attempt) for name, (weight, share) in terms if weight}
        parts = {**(score.parts or {"base": score.value}), **penalties}
        value = score.value + sum(penalties.values())
        return Score(value, score.reason, score.sql, score.detail, parts)

    def _weights_and_shares(self) -> Mapping[str, tuple[float, Callable[[Attempt], float]]]:
        """Term -> its weight, and the function for the share of it in [0, 1] that an attempt loses."""
        terms = self.terms
        return {
            "efficiency": (terms.efficiency.weight, self._inefficiency),
            "format": (terms.format.weight, self._wrong_format),
            "length": (terms.length.weight, self._excess_length),
            "forbidden": (terms.forbidden.weight, self._forbidden),
        }

    def _inefficiency(self, attempt: Attempt) -> float:
        """0 for a wrong answer or a query that costs at most as much as the gold; else between 0 and 1."""
        if not is_correct(attempt, self.metric):
            return 0.0
        return 1 - min(1.0, cost_ratio(attempt, self.terms.efficiency.by))

    def _wrong_format(self, attempt: Attempt) -> float:
        return float(re.fullmatch(self.terms.format.pattern, attempt.text.strip(), re.DOTALL) is None)

    def _excess_length(self, attempt: Attempt) -> float:
        """Rises linearly from 0 at ``free`` characters to 1 at ``most``."""
        length = self.terms.length
        excess = (len(attempt.text) - length.free) / (length.most - length.free)
        return min(1.0, max(0.0, excess))

    def _forbidden(self, attempt: Attempt) -> float:
        """1 if the worker found a forbidden construct in a query that its engine could parse, else 0."""
        return float(attempt.parses and bool(attempt.constructs))
