"""What is seen of a training while it runs: sparklines in the terminal, and tables in Weights & Biases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from math import isfinite, nan
from statistics import fmean
from typing import Any

from rewards.types import Grade
from tasks.types import Sample

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 16
"""Characters of a sparkline."""
SHOWN = {"reward": "reward", "dev": "EX dev", "no_spread": "no spread", "loss": "loss", "seconds": "s"}
"""Figure of the curve -> its name in the terminal."""
ANSWERS = 32
"""Answers of a step that its table holds."""


def spark(values: Sequence[float], width: int = WIDTH) -> str:
    """A line of bars from the least to the largest value; many values become means of ``width`` parts.

    >>> spark([0, 1, 2, 3])
    '▁▃▆█'
    """
    if len(values) > width:
        edges = [i * len(values) // width for i in range(width + 1)]
        values = [fmean(values[low:high]) for low, high in pairwise(edges)]
    low, high = min(values), max(values)
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(BARS[round((value - low) * scale)] for value in values)


class Live:
    """The figures so far as one line of sparklines with their last values."""

    def __init__(self, rows: Sequence[Mapping[str, float]] = ()) -> None:
        self._rows = list(rows)

    def add(self, row: Mapping[str, float]) -> str:
        """The line after a further row."""
        self._rows.append(row)
        return "  ".join(filter(None, (self._part(name) for name in SHOWN)))

    def _part(self, name: str) -> str:
        values = [row[name] for row in self._rows if isfinite(row.get(name, nan))]
        return f"{SHOWN[name]} {spark(values)} {values[-1]:.3g}" if values else ""


class Tracker:
    """Logs to the run that the trainer opened in Weights & Biases; nothing where it opened none."""

    def __init__(self) -> None:
        self._answers: list[Iterable[Any]] = []
        self._rewards: list[float] = []

    def add(self, samples: Sequence[Sample], grades: Sequence[Grade]) -> None:
        """Answers that were paid in the running step."""
        for sample, grade in zip(samples, grades, strict=True):
            value, attempt = grade.scores["reward"].value, grade.attempt
            if value is not None:
                self._rewards.append(value)
            if len(self._answers) < ANSWERS:
                found = [sample.question, attempt.sql, value, attempt.reason.value, attempt.detail]
                self._answers.append(found)

    def step(self, row: Mapping[str, float]) -> None:
        """Log the step: every figure of the curve, some answers, the distribution of the rewards."""
        import wandb

        if wandb.run is not None:
            found: dict[str, Any] = {f"curve/{name}": value for name, value in row.items()}
            found["train/global_step"] = row["step"]
            if self._answers:
                columns: list[str | int] = ["question", "sql", "reward", "reason", "detail"]
                found["answers"] = wandb.Table(columns=columns, data=self._answers)
                found["rewards"] = wandb.Histogram(self._rewards)
            wandb.log(found)
        self._answers, self._rewards = [], []
