"""The alarms of one training: the measures of ``leaderboards.alarms``, and the zero-advantage groups."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import Any

from leaderboards import store
from leaderboards.alarms import MESSAGES, ScoredAnswer, Trend
from rewards.types import Grade
from tasks.common.terminal import say
from tasks.types import Mode, Sample

Scored = tuple[Sample, str, Grade]
"""A question, an answer to it, and the answer's grade."""
PREFIX = "alarms/"
"""Prefix of the measures' names in a training curve."""
STEPS = 5
"""Steps over which the share of zero-advantage groups is averaged."""
MAX_ZERO_SHARE = 0.95
"""A training with a larger share of zero-advantage groups learns next to nothing."""
ZERO_ADVANTAGE = (
    "{:.0%} of the groups of the last {} steps have zero advantage (all answers of a group have the same"
    " reward), so nothing is learned from them: raise train.temperature or train.group_size, choose questions"
    " nearer to what the model can do (--only, train.curriculum), or start with --method sft"
)


class TrainingAlarms:
    """The alarms of one training.

    Their state goes into checkpoints, so that a resumed training measures the same as an uninterrupted one.
    """

    def __init__(self, run_id: str, metric: Mode) -> None:
        self._metric = metric
        first = {
            name: row[PREFIX + name]
            for row in reversed(store.curve(run_id))
            for name in MESSAGES
            if PREFIX + name in row
        }
        self._trend = Trend(first)
        self._zero_shares: deque[float] = deque(maxlen=STEPS)
        self._warned = False
        """Whether the warning of zero-advantage groups was printed."""

    def step(self, row: Mapping[str, float], scored: Iterable[Scored] = ()) -> dict[str, float]:
        """Measure at the end of a step, from its row of the curve and its answers, in any order.

        Prints each new warning on stderr. Returns figures for the curve, by name.
        """
        answers = [self._answer(*each) for each in scored]
        self._trend.add(sorted(answers, key=lambda answer: (answer.sample_id, answer.completion)))
        if "idle" in row:
            self._zero_shares.append(row["idle"])
        new = self._trend.step()
        if not self._warned and len(self._zero_shares) == STEPS and (warning := self._zero_warning()):
            self._warned = True
            new.append(warning)
        for line in new:
            say(f"! step {row['step']:.0f}: {line}")
        return {PREFIX + name: round(value, 6) for name, value in self._measured().items()}

    def _answer(self, sample: Sample, text: str, grade: Grade) -> ScoredAnswer:
        return ScoredAnswer(
            sample_id=sample.id,
            completion=text,
            metric=grade.attempt.verdicts.get(self._metric),
            strict=grade.attempt.verdicts.get(Mode.STRICT),
            spider=grade.attempt.verdicts.get(Mode.SPIDER),
            bird=grade.attempt.verdicts.get(Mode.BIRD),
            gold_rows=grade.attempt.gold_rows,
            gold_columns=grade.attempt.gold_columns,
        )

    def _measured(self) -> dict[str, float]:
        zero = {"no_spread": fmean(self._zero_shares)} if self._zero_shares else {}
        return self._trend.measured | zero

    def _zero_warning(self) -> str:
        """The warning that nearly all groups of the last steps have zero advantage, else ""."""
        if not self._zero_shares or fmean(self._zero_shares) < MAX_ZERO_SHARE:
            return ""
        return ZERO_ADVANTAGE.format(fmean(self._zero_shares), len(self._zero_shares))

    def summary(self) -> Mapping[str, Any]:
        """The measures and warnings at the end, for the finished run."""
        warning = self._zero_warning()
        if warning and not self._warned:  # a run of fewer than STEPS steps
            say(f"! {warning}")
        return {"alarms": self._measured(), "warnings": self._trend.warnings + [warning] * bool(warning)}

    def state(self) -> Mapping[str, Any]:
        """The state for a checkpoint."""
        return {"trend": self._trend.state(), "zero": list(self._zero_shares), "warned": self._warned}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a checkpoint."""
        self._trend.restore(state["trend"])
        self._zero_shares.extend(state["zero"])
        self._warned = state["warned"]
