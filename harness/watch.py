"""Signs of luck and hacking while a model is measured or trained: what ``leaderboards.alarms`` is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from leaderboards import store
from leaderboards.alarms import MODES, SAYS, Paid, Trend
from rewards.types import Grade
from tasks.spec import ScoringSpec
from tasks.terminal import say
from tasks.types import Mode, Sample

PREFIX = "alarms/"
"""Of the measures' names in a training curve."""


def watched(scoring: ScoringSpec, modes: Sequence[Mode] = MODES) -> ScoringSpec:
    """The scoring with further verdicts: those that alarms compare."""
    return scoring.model_copy(update={"modes": tuple(dict.fromkeys((*scoring.modes, *modes)))})


class TrainingWatch:
    """The alarms of one training; after a resume they go on from where the training began."""

    def __init__(self, run_id: str, metric: Mode) -> None:
        self._metric = metric
        began = {
            name: row[PREFIX + name]
            for row in reversed(store.curve(run_id))
            for name in SAYS
            if PREFIX + name in row
        }
        self._trend = Trend(began)

    def add(self, samples: Sequence[Sample], texts: Sequence[str], grades: Sequence[Grade]) -> None:
        """Answers that were paid in the running step."""
        self._trend.add(
            Paid(
                sample_id=sample.id,
                completion=text,
                metric=grade.attempt.verdicts.get(self._metric),
                strict=grade.attempt.verdicts.get(Mode.STRICT),
                spider=grade.attempt.verdicts.get(Mode.SPIDER),
                bird=grade.attempt.verdicts.get(Mode.BIRD),
                gold_rows=grade.attempt.gold_rows,
                gold_columns=grade.attempt.gold_columns,
            )
            for sample, text, grade in zip(samples, texts, grades, strict=True)
        )

    def step(self, number: float) -> dict[str, float]:
        """The measures for the curve; says on stderr what has begun to drift."""
        for line in self._trend.step():
            say(f"! step {number:.0f}: {line}")
        return {PREFIX + name: round(value, 6) for name, value in self._trend.measured.items()}

    def summary(self) -> Mapping[str, Any]:
        """What the finished run says of it."""
        return {"alarms": self._trend.measured, "warnings": self._trend.warnings}
