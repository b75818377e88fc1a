"""The stages of one training: a single one, or SFT followed by GRPO on its model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.prepare import prepare_databases
from harness.provenance import outputs
from harness.render.output import command
from harness.spec import TrainSpec
from harness.training import rows
from harness.training.plan import recipe
from harness.training.train import grader_of, train_model, training_reward
from leaderboards.types import Run
from runners.training import distributed
from runners.training.folder import curve, read_json
from tasks import spec as specs
from tasks.common.errors import SpecError, nearest
from tasks.common.parse import parse
from tasks.task import Task
from tasks.types import Workers

METHODS = ("sft", "grpo")


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of a training: its spec, the overrides of the task, and the folder it trains into."""

    spec: TrainSpec
    overrides: tuple[str, ...]
    out: Path


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """A request for a training: its method, and the fields that its stages have in common."""

    method: str
    """``sft``, ``grpo``, or ``sft+grpo`` for one stage after the other."""
    out: Path
    fields: Mapping[str, Any]
    """Fields of every stage's ``TrainSpec``: ``model``, ``task``, ``limit``, ..."""
    overrides: Sequence[str] = ()
    """Keys: ``train.KEY`` (all stages), ``sft.KEY`` or ``grpo.KEY`` (one stage), and keys of the task."""
    recipe: str = ""
    seed: int = 0
    sft_fields: Mapping[str, Any] = field(default_factory=dict)
    """Fields that differ in the SFT stage."""


def stages(request: TrainRequest) -> list[Stage]:
    """The stages of a training, in order.

    Raises SpecError: an unknown method or key, or a key of a stage that the method does not have.
    """
    methods = request.method.split("+")
    if unknown := [method for method in methods if method not in METHODS]:
        raise SpecError(f"no method '{unknown[0]}': {nearest(unknown[0], [*METHODS, 'sft+grpo'])}")
    presets = recipe(request.recipe) if request.recipe else {}
    fields = dict(request.fields)
    planned = []
    for method in methods:
        settings = {**presets.get("train", {}), **presets.get(method, {}), "seed": request.seed}
        method_fields = request.sft_fields if method == "sft" else {}
        overrides = _settings(request.overrides, method, methods)
        spec = parse(
            TrainSpec,
            {**fields, **method_fields, "method": method, method: settings},
            overrides,
            where=f"--set {method}",
        )
        spec = spec.of_task(specs.load(spec.task, of_task(request.overrides), spec.trust))
        out = request.out / method if len(methods) > 1 else request.out
        planned.append(Stage(spec, of_task(request.overrides), out))
        fields["model"] = str(out / "model")
    return planned


def _settings(overrides: Sequence[str], method: str, methods: Sequence[str]) -> list[str]:
    """The overrides of a stage: ``train.KEY=VALUE`` and ``method.KEY=VALUE``, in their order."""
    settings = []
    for override in overrides:
        section, _, rest = override.partition(".")
        if section in METHODS and section not in methods:
            raise SpecError(f"--set {override}: --method {'+'.join(methods)} has no {section} stage")
        if section in ("train", method):
            settings.append(f"{method}.{rest}")
    return settings


def of_task(overrides: Sequence[str]) -> tuple[str, ...]:
    """The overrides that are keys of the task."""
    return tuple(item for item in overrides if item.partition(".")[0] not in ("train", *METHODS))


@dataclass(frozen=True, slots=True)
class Finished:
    """The results of stages that were not evaluated; ``next`` is the command that evaluates the last."""

    stages: Sequence[Mapping[str, Any]]
    next: str

    def as_dict(self) -> dict[str, Any]:
        """The result of each stage, and the last figures of its curve."""
        return {"stages": [dict(stage) for stage in self.stages], "next": self.next}


def finished(stages: Sequence[Stage], trusted: bool) -> Finished:
    """The results of finished stages, read from their folders."""
    results = []
    for stage in stages:
        result = read_json(stage.out / "training.json")["result"]
        figures_of_last_step = (curve(stage.out) or [{}])[-1]
        figures = {name: figures_of_last_step.get(name) for name in ("reward", "loss")}
        results.append({"method": stage.spec.method, **result, **figures})
    last_stage = stages[-1]
    words = ["eval", "--model", results[-1]["model"], "--task", last_stage.spec.task]
    words += [word for override in last_stage.overrides for word in ("--set", override)]
    words += ["--turns", str(last_stage.spec.turns)] * (last_stage.spec.turns > 1)
    return Finished(results, command(*words, *["--trust-task"] * trusted))


def train_stages(stages: Sequence[Stage], workers: Workers, evaluated: bool) -> list[Run]:
    """Train each stage on the model of the one before; returns the evaluations, one for each model.

    All stages are checked before the first starts, with the first model, whose shape the later ones have.
    """
    for stage in stages if distributed.is_main() else ():
        outputs.refuse_foreign(stage.out)
        if not (stage.out / "training.json").is_file():
            check_stage(stage.spec, stage.overrides, stages[0].spec.model, workers)
    runs: dict[str, Run] = {}
    for stage in stages:
        with outputs.training_into(stage.out):
            for run in train_model(stage.spec, stage.overrides, stage.out, workers, evaluated):
                runs[run.id] = run
    return list(runs.values())


def check_stage(spec: TrainSpec, overrides: Sequence[str], model: str, workers: Workers) -> None:
    """Raise the HarnessError with which a training of ``model`` (or of its shape) would fail later.

    Checks rows, lengths, memory, template and adapter, and the rewards of the golds of a few questions.
    """
    from runners.training import grpo, sft

    task = Task.named(spec.task, overrides, spec.trust)
    samples = rows.questions(spec, task)
    examples: Sequence[Any] = rows.training_rows(spec, task, samples)
    if spec.method == "sft":
        sft.check(model, examples, spec.sft)
        return
    grpo.check(model, examples, spec.grpo)
    prepare_databases(task, samples)
    with grader_of(task, workers) as grader:
        grpo.check_rewards(examples, training_reward(task, grader))
