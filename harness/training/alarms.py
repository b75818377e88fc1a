"""Signs of luck and hacking while a model is measured or trained: what ``leaderboards.alarms`` is given."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from leaderboards import store
from leaderboards.alarms import SAYS, Paid, Trend
from rewards.types import Grade
from tasks.common.terminal import say
from tasks.types import Mode, Sample

PREFIX = "alarms/"
"""Of the measures' names in a training curve."""
STEPS = 5
"""Steps over which groups that teach nothing are counted."""
IDLE = 0.95
"""Share of such groups from which a training learns next to nothing."""
NOTHING_TAUGHT = (
    "{:.0%} of the groups of the last {} steps had answers that are all paid alike, and teach nothing: raise"
    " train.temperature or train.group_size, ask questions nearer to what the model can do (--only,"
    " train.curriculum), or begin with --method sft"
)


class TrainingAlarms:
    """The alarms of one training. A checkpoint keeps its state: a resumed run measures what it would have."""

    def __init__(self, run_id: str, metric: Mode) -> None:
        self._metric = metric
        began = {
            name: row[PREFIX + name]
            for row in reversed(store.curve(run_id))
            for name in SAYS
            if PREFIX + name in row
        }
        self._trend = Trend(began)
        self._paid: list[Paid] = []
        """Of the running step: groups are scored in no fixed order."""
        self._idle: deque[float] = deque(maxlen=STEPS)
        self._told = False

    def add(self, samples: Sequence[Sample], texts: Sequence[str], grades: Sequence[Grade]) -> None:
        """Answers that were paid in the running step."""
        self._paid += [
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
        ]

    def step(self, row: Mapping[str, float]) -> dict[str, float]:
        """The measures for the curve, after a row of it; says on stderr what has begun to drift."""
        self._trend.add(sorted(self._paid, key=lambda paid: (paid.sample_id, paid.completion)))
        self._paid = []
        if "idle" in row:
            self._idle.append(row["idle"])
        news = self._trend.step()
        if not self._told and len(self._idle) == STEPS and (idle := self._nothing_taught()):
            self._told = True
            news.append(idle)
        for line in news:
            say(f"! step {row['step']:.0f}: {line}")
        return {PREFIX + name: round(value, 6) for name, value in self._measured().items()}

    def _measured(self) -> dict[str, float]:
        idle = {"no_spread": fmean(self._idle)} if self._idle else {}
        return self._trend.measured | idle

    def _nothing_taught(self) -> str:
        """What to say where the last steps had next to no group whose answers were paid differently."""
        if not self._idle or fmean(self._idle) < IDLE:
            return ""
        return NOTHING_TAUGHT.format(fmean(self._idle), len(self._idle))

    def summary(self) -> Mapping[str, Any]:
        """What the finished run says of it."""
        idle = self._nothing_taught()
        if idle and not self._told:  # a run of fewer steps
            say(f"! {idle}")
        return {"alarms": self._measured(), "warnings": self._trend.warnings + [idle] * bool(idle)}

    def state(self) -> Mapping[str, Any]:
        """For a checkpoint."""
        return {"trend": self._trend.state(), "idle": list(self._idle), "told": self._told}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._trend.restore(state["trend"])
        self._idle.extend(state["idle"])
        self._told = state["told"]
