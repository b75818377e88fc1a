"""Log a training to Weights & Biases: its figures, some answers, the distribution of its rewards."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

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

        self._answers: list[Iterable[Any]] = []
        self._rewards: list[float] = []
        self._drawn: deque[tuple[list[Iterable[Any]], list[float]]] = deque()
        """Answers and rewards of the steps that are drawn but not learned from."""
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

    def add(self, samples: Sequence[Sample], grades: Sequence[Grade]) -> None:
        """Add scored answers of the step that is drawn."""
        for sample, grade in zip(samples, grades, strict=True):
            value, attempt = grade.scores["reward"].value, grade.attempt
            if value is not None:
                self._rewards.append(value)
            if len(self._answers) < ANSWERS:
                answer = [sample.question, attempt.sql, value, attempt.reason.value, attempt.detail]
                self._answers.append(answer)

    def batch_scored(self) -> None:
        """All answers of the step are added; later ones are those of the next step."""
        self._drawn.append((self._answers, self._rewards))
        self._answers, self._rewards = [], []

    def step(self, row: Mapping[str, float]) -> None:
        """Log the step: every figure of the curve, some answers, the distribution of the rewards."""
        import wandb

        logged: dict[str, Any] = dict(row)
        answers, rewards = self._drawn.popleft() if self._drawn else ([], [])
        if answers:
            columns: list[str | int] = ["question", "sql", "reward", "reason", "detail"]
            logged["answers"] = wandb.Table(columns=columns, data=answers)
            logged["rewards"] = wandb.Histogram(rewards)
        self._run.log(logged)


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
