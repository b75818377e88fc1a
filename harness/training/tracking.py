"""Log a training to Weights & Biases or trackio: figures, answers, rewards, lineage, evaluations."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.training.alarms import Scored
from leaderboards import store
from leaderboards.types import Run
from leaderboards.writer import RunWriter
from rewards.types import Grade
from tasks.common.digests import digest_of
from tasks.common.secrets import without_secrets
from tasks.types import Sample

ANSWERS = 32
"""Most answers in the table of a step."""


class Tracker:
    """Logs a training to a run of its own by ``library``: wandb, or trackio, which has the same functions.

    Every figure of the curve is logged once, under the same name and at its step. A resumed training
    continues the same run. wandb is offline where WANDB_API_KEY is not set; trackio is always local.
    """

    def __init__(self, run: Run, out: Path, library: str) -> None:
        self._out = out
        self._described = run
        with redirect_stdout(sys.stderr):  # trackio prints to stdout, which is for results
            self._library: Any = import_module(library)
            self._run: Any = (start_wandb if library == "wandb" else _start_trackio)(run, out, described(run))
        self.online = library == "trackio" or not self._run.offline
        """Whether artifacts of other runs can be found."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        failed = {"exit_code": int(error is not None)} if self._library.__name__ == "wandb" else {}
        with redirect_stdout(sys.stderr):
            self._run.finish(**failed)

    def step(self, row: Mapping[str, float], scored: Sequence[Scored]) -> None:
        """Log the step: every figure of the curve, some answers, the distribution of the rewards."""
        logged: dict[str, Any] = dict(row)
        if scored:
            answers: list[Iterable[Any]] = [_cells(sample, grade) for sample, _, grade in scored[:ANSWERS]]
            columns: list[str | int] = ["question", "sql", "reward", "reason", "detail"]
            logged["answers"] = self._library.Table(columns=columns, data=answers)
            rewards = [grade.scores["reward"].value for _, _, grade in scored]
            if known := [value for value in rewards if value is not None]:
                logged["rewards"] = self._library.Histogram(known)
        self._log(logged)

    def _log(self, logged: dict[str, Any]) -> None:
        if self._library.__name__ == "trackio" and "step" in logged:  # a name that trackio keeps for itself
            self._run.log(logged, step=int(logged.pop("step")))
        else:
            self._run.log(logged)

    def trained(self, model: Path, content: Mapping[str, str]) -> None:
        """Log the model's lineage as an artifact, linked with that of the model it was trained from."""
        run = self._described
        name = f"model-{digest_of(content)}"
        facts = {"parent": run.parent, "parent_artifact": f"model-{run.parent_content}", "run": run.id}
        artifact = self._library.Artifact(name, type="model", metadata={**facts, "method": run.method})
        artifact.add_file(str(model / "harness.json"))
        if self.online:
            self._link(f"model-{run.parent_content}")
        self._run.log_artifact(artifact)

    def _link(self, parent: str) -> None:
        """Note the parent's artifact as an input; a base model, which no training logged, has none."""
        try:
            self._run.use_artifact(f"{parent}:latest")
        except Exception as error:  # each library has errors of its own for a name that it does not know
            if isinstance(error, AttributeError | TypeError):
                raise

    def evaluated(self, before: Sequence[Run], after: Sequence[Run]) -> None:
        """Log the headline of the evaluations before and after the training, with their intervals."""
        rows: list[Iterable[Any]] = []
        figures: dict[str, float] = {}
        for name, runs in (("before", before), ("after", after)):
            for run in runs:
                found = store.summary(run.id)
                rows.append([name, run.id, run.label, found["ex"], found["low"], found["high"], found["n"]])
                figures |= {f"{name}/ex": found["ex"]} if found["ex"] is not None else {}
        if rows:
            columns: list[str | int] = ["when", "run", "model", "ex", "low", "high", "questions"]
            self._log({**figures, "evaluations": self._library.Table(columns=columns, data=rows)})


@dataclass(frozen=True, slots=True)
class StepLog:
    """Where the steps of a training are logged: its run, and a tracker if the settings name one."""

    writer: RunWriter
    tracker: Tracker | None = None

    def append(self, row: Mapping[str, float], scored: Sequence[Scored]) -> None:
        """Log the figures of a step, and its scored answers."""
        self.writer.append_curve([row])
        if self.tracker:
            self.tracker.step(row, scored)


def start_wandb(run: Run, out: Path, config: Mapping[str, Any], job: str = "") -> Any:
    """A run in Weights & Biases with the id of ours; offline in ``out`` where WANDB_API_KEY is not set."""
    import wandb

    os.environ.setdefault("WANDB_DATA_DIR", str(out))  # else offline tables are kept in the user's home
    wandb.setup(wandb.Settings(silent=True, console="off", disable_git=True))
    started = wandb.init(
        project=os.environ.get("WANDB_PROJECT", "sql-harness"),
        dir=os.environ.get("WANDB_DIR", str(out)),
        mode=None if os.environ.get("WANDB_API_KEY") or "WANDB_MODE" in os.environ else "offline",
        id=run.id,
        name=run.id,
        group=run.task,
        job_type=job or run.method,
        config=dict(config),
        resume="allow",
    )
    started.define_metric("step")
    started.define_metric("*", step_metric="step")
    return started


def _start_trackio(run: Run, out: Path, config: Mapping[str, Any]) -> Any:
    """A run in trackio's local database, which `trackio show` draws."""
    import trackio

    return trackio.init(
        project=os.environ.get("TRACKIO_PROJECT", "sql-harness"),
        name=run.id,
        group=run.task,
        config=dict(config),
        resume="allow",
        embed=False,
        auto_log_gpu=False,
        auto_log_cpu=False,
    )


def _cells(sample: Sample, grade: Grade) -> list[Any]:
    """The row of an answer in the table."""
    attempt, value = grade.attempt, grade.scores["reward"].value
    return [sample.question, attempt.sql, value, attempt.reason.value, attempt.detail]


def described(run: Run) -> dict[str, Any]:
    """The config of a training run in a tracker, without secrets."""
    names = ("task", "task_digest", "split", "metric", "scorer_version", "method", "parent", "seed", "commit")
    config: dict[str, Any] = without_secrets(
        {
            **{name: getattr(run, name) for name in names},
            "parent_artifact": f"model-{run.parent_content}",
            "reward": run.spec["task"]["scoring"]["reward"],
            "lineage": run.training,
            "train": run.spec["train"],
            "versions": run.versions,
        }
    )
    return config
