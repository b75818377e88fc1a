"""The Python interface, for notebooks and scripts. Every name here can be imported from ``harness``.

    import harness

    run = harness.evaluate("nano", "pocket", limit=100)
    harness.summary(run)["ex"]  # execution accuracy in [0, 1]
    harness.records(run, frame=True)  # every answer with its verdict, as a pandas data frame

``overrides`` is a mapping of dotted keys, as ``--set`` takes them, to Python values::

    {"scoring.seconds": 10, "prompt.schema.rows": 0}  # keys of the task (docs/reference/task-spec.md)
    {"runner.hf.dtype": "float32"}  # keys of the runners (docs/reference/runner.md)
    {"train.learning_rate": 1e-5, "grpo.group_size": 4}  # keys of a training (docs/reference/training.md)
    {"eval.samples": 8, "eval.temperature": 1.0}  # other fields of harness.EvalSpec
    {"stage.dev_limit": 50}  # other fields of harness.TrainSpec

Runs are kept under ``HARNESS_HOME`` (default: ``~/.harness``), where the command line finds them too. Every
error of the caller raises a subclass of ``HarnessError`` whose text is one line that says how to fix it:
``SpecError`` (a task, key or value), ``DataError`` (data, a database or a run), ``ModelError`` (a model or an
endpoint) and ``MissingExtra`` (an optional dependency).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args, overload

from harness.spec import EvalSpec, TrainSpec
from leaderboards import board as boards
from leaderboards import compare as comparisons
from leaderboards import find, frames, store
from leaderboards.board import Board
from leaderboards.compare import Comparison
from leaderboards.types import Record, Run, RunKind, Summary
from rewards.types import Grade, Score
from tasks.common.errors import DataError, HarnessError, MissingExtra, ModelError, SpecError, nearest
from tasks.common.parse import parse
from tasks.task import Task
from tasks.types import Sample

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "Board",
    "Comparison",
    "DataError",
    "EvalSpec",
    "Grade",
    "HarnessError",
    "MissingExtra",
    "ModelError",
    "Record",
    "Run",
    "Sample",
    "Score",
    "SpecError",
    "Summary",
    "Task",
    "TrainSpec",
    "board",
    "compare",
    "curve",
    "evaluate",
    "load_task",
    "records",
    "runs",
    "score",
    "summary",
    "train",
]

Overrides: TypeAlias = Mapping[str, object]
ARGUMENTS = {"eval": ("model", "task", "split", "limit"), "stage": ("model", "task", "method", "limit")}
"""Fields of ``eval`` and ``stage`` that are arguments of ``evaluate`` and ``train``."""


def load_task(name: str | Path, overrides: Overrides | None = None, *, trust: bool = False) -> Task:
    """Load a shipped task, or the task in a YAML file, with its samples, prompts and databases.

    ``overrides``: keys of the task. ``trust``: the task may run code that it names (``module:Class``).

    Raises SpecError: no such task, an unknown key or an invalid value.
    """
    return Task.named(str(name), _assignments(overrides), trust)


def evaluate(
    model: str,
    task: str | Path = "pocket",
    *,
    split: str = "",
    limit: int = 0,
    fresh: bool = False,
    overrides: Overrides | None = None,
) -> Run:
    """Ask a model the questions of a task and judge its answers, as ``harness eval`` does.

    - ``model``: as ``--model`` takes it: ``nano``, a folder, ``org/name``, ``replay:FILE``, ...
    - ``task``: name of a shipped task, or a YAML file.
    - ``split``: "" is the task's own evaluation split.
    - ``limit``: ask the first questions only; 0 is all.
    - ``fresh``: evaluate again even if a finished run of the same inputs exists; otherwise that run is
      returned.
    - ``overrides``: keys of the task, ``runner.KEY``, and ``eval.KEY`` for the other fields of ``EvalSpec``
      (``samples``, ``temperature``, ``turns``, ``seed``, ...).

    The same call continues an interrupted evaluation where it stopped.

    Raises SpecError, DataError, ModelError (also if questions are left unanswered).
    """
    from harness.evaluation import evaluate_model
    from runners.compat.quiet import quiet

    task_keys, chosen = _divided(overrides, "eval")
    runner_keys = [assignment for assignment in task_keys if assignment.startswith("runner.")]
    fields = {"model": model, "task": str(task), "split": split, "limit": limit, **chosen}
    spec = parse(EvalSpec, fields, runner_keys, where="overrides")
    with quiet():
        run = evaluate_model(spec, [key for key in task_keys if key not in runner_keys], 0, fresh)
    if not run.finished:
        raise ModelError("questions are left unanswered: evaluate again to ask them")
    return run


def train(
    model: str,
    task: str | Path,
    out: str | Path,
    *,
    method: str = "grpo",
    limit: int = 0,
    overrides: Overrides | None = None,
) -> list[Run]:
    """Train a model on a task, as ``harness train`` does, in this process.

    - ``model``: ``nano``, a folder or ``org/name``.
    - ``task``: name of a shipped task, or a YAML file.
    - ``out``: folder of the checkpoints; the trained model is in ``out/model`` (with ``sft+grpo``:
      ``out/sft/model`` and ``out/grpo/model``).
    - ``method``: ``sft``, ``grpo`` or ``sft+grpo``.
    - ``limit``: use the first questions of the training split only; 0 is all.
    - ``overrides``: keys of the task, ``train.KEY`` for every stage, ``sft.KEY`` and ``grpo.KEY`` for one,
      and ``stage.KEY`` for the other fields of ``TrainSpec`` (``split``, ``only``, ``dev_limit``, ...).

    Returns the training run of each stage, in order; ``run.model`` is the trained folder, which ``evaluate``
    takes. An interrupted training continues from its last checkpoint when it is called again.

    Raises SpecError, DataError, ModelError, MissingExtra.
    """
    from harness.provenance import lineage
    from harness.training.stages import TrainRequest, stages, train_stages
    from runners.compat.quiet import quiet
    from runners.training import requirements

    assignments, chosen = _divided(overrides, "stage")
    fields = {"model": model, "task": str(task), "limit": limit, **chosen}
    planned = stages(TrainRequest(method, Path(out), fields, assignments))
    with quiet():
        for stage in planned:
            requirements.check(stage.spec.config, 1)
        train_stages(planned, workers=0, evaluated=False)
    by_id = {run.id: run for run in store.runs()}
    return [by_id[lineage.read(stage.out / "model").run] for stage in planned]


def score(task: Task | str | Path, samples: Sequence[Sample], texts: Sequence[str]) -> list[Grade]:
    """Judge texts as answers to samples of a task, one each, without a run.

    ``grade.scores["reward"]`` is the training reward. ``grade.attempt`` holds the evidence: the extracted
    SQL, the reason, and ``verdicts`` by mode. Every call starts and ends the sandbox, so prefer one call
    with many answers. To judge a file of answers to a split, call ``evaluate("replay:FILE", task)``.

    Raises SpecError, DataError; ValueError: the numbers of texts and samples differ, or a text is no string.
    """
    from rewards.grader import Grader

    if len(samples) != len(texts):
        raise ValueError(
            f"score: {len(samples)} samples and {len(texts)} texts: give one text for each sample"
        )
    if other := [(i, type(text).__name__) for i, text in enumerate(texts) if not isinstance(text, str)]:
        raise ValueError(f"score: text {other[0][0]} is of type {other[0][1]}: pass the answers as strings")
    loaded = task if isinstance(task, Task) else load_task(task)
    with Grader(loaded.spec.scoring) as grader:
        return grader.grade(loaded, samples, texts)


@overload
def runs(task: str = "", kind: RunKind | None = None, *, frame: Literal[False] = False) -> list[Run]: ...
@overload
def runs(task: str = "", kind: RunKind | None = None, *, frame: Literal[True]) -> pd.DataFrame: ...
def runs(task: str = "", kind: RunKind | None = None, *, frame: bool = False) -> list[Run] | pd.DataFrame:
    """List the runs under ``HARNESS_HOME``, oldest first, finished or not.

    - ``task``: only runs of the task with this name.
    - ``kind``: only ``eval`` or only ``train``.
    - ``frame``: return a data frame with a row for each run.

    Raises SpecError: no such kind; DataError: no run and no shipped task has this name.
    """
    if task:
        find.expect_task(task)
    if kind not in (None, *get_args(RunKind)):
        raise SpecError(f"no kind of run '{kind}': {nearest(str(kind), get_args(RunKind))}")
    listed = [run for run in store.runs() if task in ("", run.task) and kind in (None, run.kind)]
    return frames.runs(listed) if frame else listed


@overload
def records(*evaluations: Run | str, frame: Literal[False] = False) -> list[Record]: ...
@overload
def records(*evaluations: Run | str, frame: Literal[True]) -> pd.DataFrame: ...
def records(*evaluations: Run | str, frame: bool = False) -> list[Record] | pd.DataFrame:
    """The judged answers of evaluations. An evaluation is a run, its id, or a model (its newest one).

    ``frame``: return a data frame with a row for each answer; its column ``run`` is the model's label.

    Raises DataError: no such evaluation, or its files are damaged.
    """
    names = [_name(evaluation) for evaluation in evaluations]
    if frame:
        return frames.records(*names)
    return [record for name in names for record in store.records(find.find(name).id)]


def summary(evaluation: Run | str) -> Summary:
    """The figures of an evaluation: ``ex`` and its interval, counts, reasons (docs/reference/scores.md).

    Raises DataError: no such evaluation, or its files are damaged.
    """
    run = find.find(_name(evaluation))
    try:
        return store.summary(run.id)
    except (OSError, ValueError) as error:
        raise DataError(f"scores of {run.id}: {error}") from None


def curve(model: Run | str) -> pd.DataFrame:
    """The curve of a training run, or of an evaluated model, as a data frame: a row for each step.

    Raises DataError: no such model, or it was not trained under this ``HARNESS_HOME``.
    """
    return frames.curve(model)


def board(*evaluations: Run | str, task: str = "") -> Board:
    """The leaderboard of these evaluations, or of all; ``.to_frame()`` has a row for each run.

    ``task``: only evaluations of the task with this name. Raises DataError: no such evaluation or task.
    """
    if task:
        find.expect_task(task)
    ids = [find.find(_name(evaluation)).id for evaluation in evaluations]
    return boards.board(ids or None, task)


def compare(a: Run | str, b: Run | str) -> Comparison:
    """Compare B with A, question by question; ``.to_frame()`` has a row for each question.

    Raises DataError: no such evaluation, or the two cannot be compared (the text says what differs).
    """
    return comparisons.compare(_name(a), _name(b))


def _name(run: Run | str) -> str:
    return run.id if isinstance(run, Run) else run


def _assignments(overrides: Overrides | None) -> list[str]:
    """Overrides as ``--set`` takes them. Raises SpecError: no mapping, or a value that YAML cannot hold."""
    if not isinstance(overrides, Mapping | None):
        raise SpecError('overrides: write a mapping, {"scoring.seconds": 10}')
    try:
        return [f"{key}={json.dumps(_plain(value))}" for key, value in (overrides or {}).items()]
    except (TypeError, ValueError) as error:
        raise SpecError(f"overrides: {error}: use text, numbers, true or false, lists and mappings") from None


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _divided(overrides: Overrides | None, section: str) -> tuple[list[str], dict[str, Any]]:
    """Split overrides: those outside a section, as ``--set`` takes them, and field -> value of the others.

    Raises SpecError: no mapping, or a field that is an argument of the function.
    """
    if not isinstance(overrides, Mapping | None):
        raise SpecError('overrides: write a mapping, {"scoring.seconds": 10}')
    in_section = {key: value for key, value in (overrides or {}).items() if key.startswith(f"{section}.")}
    others = {key: value for key, value in (overrides or {}).items() if key not in in_section}
    fields = {key.removeprefix(f"{section}."): value for key, value in in_section.items()}
    if given := [name for name in ARGUMENTS[section] if name in fields]:
        raise SpecError(f"overrides: {section}.{given[0]}: pass it as the argument {given[0]}")
    return _assignments(others), fields
