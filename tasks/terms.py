"""Penalties on the training reward: the section ``scoring.terms`` of a task."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from tasks.common.parse import Spec


class EfficiencySpec(Spec):
    """A correct query that costs more than the gold loses up to ``weight``."""

    weight: float = Field(0.0, ge=0)
    """What an answer loses at most; 0: nothing."""
    by: Literal["steps", "seconds"] = "steps"
    """Compare SQLite virtual-machine instructions (``steps``) or seconds; seconds are used where no
    steps are counted."""


class FormatSpec(Spec):
    """An answer whose whole text does not match ``pattern`` loses ``weight``."""

    weight: float = Field(0.0, ge=0)
    """What an answer loses; 0: nothing."""
    pattern: str = r"```sql\n.*\n```|[^`]*"
    """A Python regular expression for the text without outer white space; ``.`` matches newlines too."""


class LengthSpec(Spec):
    """An answer of ``most`` characters or more loses ``weight``, one of up to ``free`` characters nothing.

    In between, the loss grows linearly.
    """

    weight: float = Field(0.0, ge=0)
    """What an answer loses at most; 0: nothing."""
    free: int = Field(500, ge=0)
    """Characters that cost nothing."""
    most: int = Field(2000, gt=0)
    """Characters at which the whole weight is lost."""

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.most <= self.free:
            raise ValueError(f"most ({self.most}) must be greater than free ({self.free})")
        return self


class ForbiddenSpec(Spec):
    """An answer with one of these constructs (``rewards/structure/constructs.py``) loses ``weight``."""

    weight: float = Field(0.0, ge=0)
    """What an answer loses; 0: nothing."""
    constructs: tuple[str, ...] = ("select_star", "cross_join")
    """Names of the forbidden constructs."""


class TermsSpec(Spec):
    """All penalties. Each has weight 0 unless it is set."""

    efficiency: EfficiencySpec = EfficiencySpec()
    """Cost of the query compared with the gold."""
    format: FormatSpec = FormatSpec()
    """Form of the whole answer."""
    length: LengthSpec = LengthSpec()
    """Length of the whole answer."""
    forbidden: ForbiddenSpec = ForbiddenSpec()
    """Constructs that the query must not use."""
