"""Log a training to Weights & Biases or trackio: figures, answers, rewards, lineage, evaluations."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
    redirect_stdout,
)
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from harness.training.alarms import Scored
from harness.training.wandb_process import init_wandb
from leaderboards import store
from leaderboards.types import Run
from leaderboards.writer import RunWriter
from rewards.types import Grade
from tasks.common import files
from tasks.common.digests import digest_of
from tasks.common.errors import DataError, HarnessError, first_line
from tasks.common.secrets import without_secrets
from tasks.common.terminal import say
from tasks.types import Sample

ANSWERS = 32
"""Most answers in the table of a step."""
TRACKED = "tracked.json"
"""File in a training's folder: what its tracker has."""
REMOTE = {"TRACKIO_SPACE_ID": "the Space", "TRACKIO_SERVER_URL": "the server"}
"""Variables with which trackio uploads what it logs -> what each names; the first that is set counts."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """What a tracker has of a training, so that a resumed one logs nothing twice and nothing is left out."""

    run: str
    library: str
    step: float = 0
    """The last step that was logged."""
    complete: bool = False
    """Whether the lineage and the evaluations were logged too."""

    @classmethod
    def read(cls, out: Path, run: str, library: str) -> Tracked:
        """What the folder says of this run and library; step 0 if nothing."""
        try:
            found = cls(**json.loads(files.read(out / TRACKED)))
        except (OSError, ValueError, TypeError):
            return cls(run, library)
        return found if (found.run, found.library) == (run, library) else cls(run, library)


def tracker_of(
    library: str, run: Run, out: Path, made_by: str = ""
) -> AbstractContextManager[Tracker | None]:
    """The tracker of a training; None if ``library`` is "".

    ``made_by``: id of the finished run that made the model. It is tracked again only if it was stopped before
    its lineage and its evaluations were logged. Raises DataError: the library cannot start a run.
    """
    if not library:
        return nullcontext()
    if not made_by:
        with store.open_run(run) as writer:
            continued = writer.run  # the unfinished run that the training goes on with, if there is one
        return Tracker(continued, out, library)
    tracked = Tracked.read(out, made_by, library)
    made = [other for other in store.runs() if other.id == made_by]
    return Tracker(made[0], out, library) if made and tracked.step and not tracked.complete else nullcontext()


class Tracker:
    """Logs a training to a run of its own by ``library``: wandb, or trackio, which has the same functions.

    Every figure of the curve is logged once, under the same name and at its step. A resumed training
    continues the same run after the last step that was logged: steps that it repeats are not logged again.
    wandb is offline where WANDB_API_KEY is not set; trackio is local where no variable of ``REMOTE`` is.
    """

    def __init__(self, run: Run, out: Path, library: str) -> None:
        self._out = out
        self._described = run
        self._tracked = Tracked.read(out, run.id, library)
        self._opened = ExitStack()
        with redirect_stdout(sys.stderr):  # trackio prints to stdout, which is for results
            self._library: Any = import_module(library)
            start = wandb_run if library == "wandb" else _trackio_run
            self._run: Any = self._opened.enter_context(start(run, out, described(run)))
        self.online = library == "trackio" or not self._run.offline
        """Whether artifacts of other runs can be found."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with redirect_stdout(sys.stderr):
            self._opened.__exit__(error_type, error, trace)

    def step(self, row: Mapping[str, float], scored: Sequence[Scored]) -> None:
        """Log the step: every figure of the curve, some answers, the distribution of the rewards."""
        if row["step"] <= self._tracked.step:
            return
        logged: dict[str, Any] = dict(row)
        if scored:
            answers: list[Iterable[Any]] = [_cells(sample, grade) for sample, _, grade in scored[:ANSWERS]]
            columns: list[str | int] = ["question", "sql", "reward", "reason", "detail"]
            logged["answers"] = self._library.Table(columns=columns, data=answers)
            rewards = [grade.scores["reward"].value for _, _, grade in scored]
            if known := [value for value in rewards if value is not None]:
                logged["rewards"] = self._library.Histogram(known)
        self._log(logged)
        self._note(step=row["step"])

    def _note(self, **values: Any) -> None:
        self._tracked = replace(self._tracked, **values)
        files.write(self._out / TRACKED, files.as_json(asdict(self._tracked)), durable=False)

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
        """Log the headline of the evaluations before and after the training, with their intervals.

        It is what a training logs last.
        """
        rows: list[Iterable[Any]] = []
        figures: dict[str, float] = {}
        for name, runs in (("before", before), ("after", after)):
            for run in runs:
                found = store.summary(run.id)
                rows.append([name, run.id, run.label, found["ex"], found["low"], found["high"], found["n"]])
                figures |= {f"{name}/ex": found["ex"]} if found["ex"] is not None else {}
        if rows:
            columns: list[str | int] = ["when", "run", "model", "ex", "low", "high", "questions"]
            at = {"step": self._tracked.step}
            self._log({**at, **figures, "evaluations": self._library.Table(columns=columns, data=rows)})
        self._note(complete=True)


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


@contextmanager
def wandb_run(run: Run, out: Path, config: Mapping[str, Any], job: str = "") -> Iterator[Any]:
    """A run in Weights & Biases with the id of ours; offline in ``out`` where WANDB_API_KEY is not set.

    Raises DataError: it cannot be started.
    """
    with _folders_of_wandb(out):
        with _started("wandb", "WANDB_MODE=offline logs to a folder"):
            started = init_wandb(
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
        with started:
            started.define_metric("step")
            started.define_metric("*", step_metric="step")
            yield started


@contextmanager
def _folders_of_wandb(out: Path) -> Iterator[None]:
    """Where wandb keeps tables, artifacts and logs in this block where no variable says it: not the home."""
    folders = {"WANDB_DATA_DIR": out / "wandb", "WANDB_CACHE_DIR": out / "wandb" / "cache"}
    chosen = {name: str(folder.resolve()) for name, folder in folders.items() if name not in os.environ}
    os.environ.update(chosen)
    try:
        yield
    finally:
        for name in chosen:
            os.environ.pop(name, None)


@contextmanager
def _trackio_run(run: Run, out: Path, config: Mapping[str, Any]) -> Iterator[Any]:
    """A run in trackio's local database, which `trackio show` draws, or where a variable of REMOTE says.

    Raises DataError: it cannot be started.
    """
    import trackio

    remote = [name for name in REMOTE if os.environ.get(name)]
    for name in remote[:1]:
        url = urlsplit(os.environ[name])  # a server's URL may hold its token
        say(
            f"trackio uploads questions, answers and settings to {REMOTE[name]} {url.hostname or url.path},"
            f" because {name} is set; a new Space is private, one that exists stays as it is"
        )
    with _started("trackio", f"unset {remote[0]} to log locally" if remote else "see its message"):
        started = trackio.init(
            project=os.environ.get("TRACKIO_PROJECT", "sql-harness"),
            name=run.id,
            group=run.task,
            config=dict(config),
            resume="allow",
            private=True,
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )
    try:
        yield started
    finally:
        started.finish()


@contextmanager
def _started(library: str, advice: str) -> Iterator[None]:
    """Raise DataError where a library refuses to start a run: each has errors of its own for it."""
    try:
        yield
    except (HarnessError, AttributeError, TypeError):
        raise
    except Exception as error:
        reason = first_line(error)
        for name in REMOTE:
            reason = reason.replace(os.environ.get(name) or "\0", name)
        raise DataError(f"{library} cannot start a run: {reason}: {advice}") from error


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
