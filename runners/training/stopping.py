"""Reasons to stop a training: conditions on its curve, a collapsed reward, unscored answers, a full disk."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from statistics import fmean

from runners.training.config import TrainingConfig
from runners.training.folder import CurveRow, RunFolder, read_json, write_json
from tasks.common.errors import ModelError, nearest

WINDOW = 10
"""Steps at the beginning and at the end whose mean rewards are compared."""
OPTIONAL = ("dev", "kl", "alarms")
"""First words of figures that are not in every row of a curve."""
_CONDITION = re.compile(r"\s*([\w/@-]+)\s*(<=|>=|<|>)\s*(-?[\d.]+(?:e-?\d+)?)\s*(?:for\s+(\d+))?\s*")
_DISK_FULL = re.compile(r"No space left|File too large|[Qq]uota exceeded|failed writing file|unexpected pos")
_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A bound on a figure of the curve that must hold for a number of rows with that figure."""

    text: str
    figure: str
    sign: str
    bound: float
    rows: int

    @classmethod
    def read(cls, text: str) -> Condition:
        """Read a condition such as ``reward < 0.1 for 20``. Raises ModelError: it has another form."""
        match = _CONDITION.fullmatch(text)
        if match is None:
            raise ModelError(f"train.stop_if: '{text}' is no condition: write it like 'reward < 0.1 for 20'")
        figure, sign, bound, rows = match.groups()
        return cls(text, figure, sign, float(bound), int(rows or 1))

    def holds(self, rows: Sequence[CurveRow]) -> bool:
        """Whether the condition holds in each of the last ``self.rows`` rows with the figure."""
        values = [row[self.figure] for row in rows if self.figure in row][-self.rows :]
        return len(values) == self.rows and all(_OPERATORS[self.sign](value, self.bound) for value in values)


class StoppingConditions:
    """The stopping conditions of a training. They depend only on the rows, so a resumed run stops alike."""

    def __init__(self, config: TrainingConfig) -> None:
        self.conditions = [Condition.read(text) for text in config.stop_if]
        self.collapse = config.collapse
        self.unscored = config.unscored

    def reason(self, rows: Sequence[CurveRow]) -> str:
        """The reason to stop after the last row; "" to continue. Raises ModelError: a figure is unknown."""
        row = rows[-1]
        if not isfinite(row["loss"]):
            return f"the loss is {row['loss']} at step {row['step']}: lower learning_rate"
        self._check_figures(rows[0])
        for condition in self.conditions:
            if condition.holds(rows):
                return f"stop_if: {condition.text}: {condition.figure} is {row.get(condition.figure)}"
        if (share := row.get("alarms/unscored", 0.0)) > self.unscored:
            return (
                f"{share:.1%} of the last answers are unscored at step {row['step']}: fix the golds and"
                " databases that harness check names, or set train.unscored=1 to continue regardless"
            )
        return self._collapsed([row for row in rows if "reward" in row])

    def _check_figures(self, first: CurveRow) -> None:
        for condition in self.conditions:
            if condition.figure not in first and not condition.figure.startswith(OPTIONAL):
                raise ModelError(
                    f"train.stop_if: the curve has no '{condition.figure}':"
                    f" {nearest(condition.figure, (*first, *OPTIONAL))}"
                )

    def _collapsed(self, rows: Sequence[CurveRow]) -> str:
        """The reason if the last rewards have collapsed, compared with the first ones; else ""."""
        if not self.collapse or len(rows) < 2 * WINDOW:
            return ""
        first, last = (fmean(row["reward"] for row in part) for part in (rows[:WINDOW], rows[-WINDOW:]))
        spread = fmean(row["reward_std"] for row in rows[:WINDOW])
        if first - last <= self.collapse * spread:
            return ""
        return (
            f"the reward collapsed from {first:.3f} to {last:.3f} (means of {WINDOW} steps):"
            " lower learning_rate, set beta above 0, or collapse to 0 to continue regardless"
        )


def write_report(folder: RunFolder, reason: str, rows: Sequence[CurveRow]) -> ModelError:
    """Write ``stopped.json``: reason, best evaluation and last rows. Returns the error to raise."""
    best = folder.best / "best.json"
    known = read_json(best) if best.is_file() else None
    report = folder.out / "stopped.json"
    write_json(report, {"why": reason, "best": known, "rows": [*rows[-WINDOW:]]})
    return ModelError(f"{reason} (the last rows are in {report})")


@contextmanager
def memory_advice() -> Iterator[None]:
    """Raise ModelError with advice on settings if the memory of a GPU is full in the block."""
    import torch

    try:
        yield
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"the GPU's memory is full ({str(error).partition('. ')[0]}): lower train.micro_groups (SFT:"
            " train.micro_batch) or train.prompts_per_step, or set train.gradient_checkpointing=true;"
            " harness train --plan predicts the memory"
        ) from error


@contextmanager
def disk_advice(folder: RunFolder) -> Iterator[None]:
    """Raise ModelError that names the last checkpoint if the disk is full in the block."""
    try:
        yield
    except Exception as error:  # safetensors and torch raise errors of their own
        if not _DISK_FULL.search(str(error)):
            raise
        saved = folder.last_checkpoint()
        rest = (
            f"{saved.name} is complete: free some space and start again" if saved else "nothing is saved yet"
        )
        raise ModelError(
            f"{folder.out} cannot be written ({' '.join(str(error).split())[:100]}); {rest}"
        ) from error
