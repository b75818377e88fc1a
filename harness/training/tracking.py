"""Log a training to Weights & Biases: its figures, some answers, the distribution of its rewards."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.training.alarms import Scored
from leaderboards.types import Run
from rewards.types import Grade
from tasks.common.secrets import without_secrets
from tasks.types import Sample

ANSWERS = 32
"""Most answers in the table of a step."""


class Tracker:
    """Logs a training to a run of its own in Weights & Biases, offline where WANDB_API_KEY is not set.

    Every figure of the curve is logged once, under the same name and at its step. A resumed training
    continues the same run.
    """

    def __init__(self, run: Run, out: Path) -> None:
        import wandb

        wandb.setup(wandb.Settings(silent=True, console="off", disable_git=True))
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "sql-harness"),
            dir=os.environ.get("WANDB_DIR", str(out)),
            mode=None if os.environ.get("WANDB_API_KEY") or "WANDB_MODE" in os.environ else "offline",
            id=run.id,
            name=run.id,
            group=run.task,
            job_type=run.method,
            config=described(run),
            resume="allow",
        )
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._run.finish(exit_code=int(error is not None))

    def step(self, row: Mapping[str, float], scored: Sequence[Scored]) -> None:
        """Log the step: every figure of the curve, some answers, the distribution of the rewards."""
        import wandb

        logged: dict[str, Any] = dict(row)
        if scored:
            columns: list[str | int] = ["question", "sql", "reward", "reason", "detail"]
            answers: list[Iterable[Any]] = [_cells(sample, grade) for sample, _, grade in scored[:ANSWERS]]
            logged["answers"] = wandb.Table(columns=columns, data=answers)
            rewards = [grade.scores["reward"].value for _, _, grade in scored]
            logged["rewards"] = wandb.Histogram([value for value in rewards if value is not None])
        self._run.log(logged)


def _cells(sample: Sample, grade: Grade) -> list[Any]:
    """The row of an answer in the table."""
    attempt, value = grade.attempt, grade.scores["reward"].value
    return [sample.question, attempt.sql, value, attempt.reason.value, attempt.detail]


def described(run: Run) -> dict[str, Any]:
    """The config of a training run in Weights & Biases, without secrets."""
    names = ("task", "task_digest", "split", "metric", "scorer_version", "method", "parent", "seed", "commit")
    config: dict[str, Any] = without_secrets(
        {
            **{name: getattr(run, name) for name in names},
            "reward": run.spec["task"]["scoring"]["reward"],
            "lineage": run.training,
            "train": run.spec["train"],
            "versions": run.versions,
        }
    )
    return config
