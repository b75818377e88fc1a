"""``harness train --plan --nodes N``: each stage of a training on so many nodes, and on fewer and more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

from harness.prepare import prepare_databases
from harness.spec import TrainSpec
from harness.training import rows
from harness.training.nodes import figures as cluster_figures
from harness.training.nodes.figures import QUERIES, QUERIES_UNIT, Figure, Figures
from harness.training.nodes.scoring_speed import answers_per_core
from harness.training.nodes.step import Step, Training, divided, learning_plan, step
from harness.training.plan import MEASURED_QUESTIONS, Machine, Plans, StagePlan, lengths
from tasks.common.errors import ModelError
from tasks.task import Task
from tasks.types import Sample

MOST_NODES = 1024
"""Most nodes of the table."""
LEAST_GAIN = 1.02
"""The table ends where twice the nodes make a step less than this faster."""
STILL_SCALES = 0.5
"""A further node must add this share of what one of the first adds."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """One stage on the nodes that were asked for, and the same on 1, 2, 4, ... nodes."""

    training: Training
    step: Step
    steps: tuple[Step, ...]
    cores: tuple[float, ...] = ()
    """Cores that score the answers of a GPU as fast as it draws them: if all answers reach the token limit,
    and if they are as long as the golds; in SFT none."""
    gold: float = 0.0
    """Tokens of a gold, in the mean."""

    @property
    def scales_to(self) -> int:
        """The nodes up to which each further one adds ``STILL_SCALES`` of the first one's rate."""
        first, *_ = self.steps
        for fewer, more in zip(self.steps, self.steps[1:], strict=False):
            added = (more.rate - fewer.rate) / (more.nodes - fewer.nodes)
            if added < STILL_SCALES * first.rate / first.nodes:
                return fewer.nodes
        return self.steps[-1].nodes

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``: seconds, bytes, and answers (in SFT rows) a second."""
        return {
            "step": self.step.as_dict(),
            "by_nodes": [one.as_dict() for one in self.steps],
            "scales_to": self.scales_to,
            "scoring_cores_a_gpu": dict(
                zip(("answers_at_limit", "answers_as_golds"), self.cores, strict=False)
            ),
            "gold_tokens": self.gold,
        }


@dataclass(frozen=True, slots=True)
class Files:
    """A number of files, and the bytes of all."""

    files: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ScaledPlans:
    """The plans of all stages on several nodes, and the figures that they rest on."""

    plans: Plans
    scalings: Mapping[str, Scaling]
    size: tuple[int, int]
    """Nodes, and GPUs of a node."""
    figures: Figures
    databases: Files
    """What is sent to each node once, so that it can score."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``: as the plan of one machine, with ``scale``."""
        return {
            **self.plans.as_dict(),
            "scale": {
                **dict(zip(("nodes", "gpus_per_node"), self.size, strict=True)),
                "figures": cluster_figures.as_dicts(self.figures),
                "databases": asdict(self.databases),
                "stages": {method: scaling.as_dict() for method, scaling in self.scalings.items()},
            },
        }


def scaled_plans(
    model: str,
    specs: Sequence[TrainSpec],
    overrides: Sequence[str],
    figures: Figures,
    size: tuple[int, int],
) -> ScaledPlans:
    """Plan every stage of a training of this model on ``size`` = (nodes, GPUs of a node).

    Reads the model's configuration and tokenizer only. Unless ``figures`` has the speed of scoring, it is
    measured on golds, which takes a few seconds.

    Raises ModelError: a step that cannot be divided among the GPUs.
    """
    from runners.training.plan import model_shape
    from runners.weights.loading import config_of
    from runners.weights.source import resolve

    nodes, gpus = size
    shape = model_shape(config_of(resolve(model, weights=False)))
    shape = replace(shape, kept=cache(shape.kept))
    stages: dict[str, StagePlan] = {}
    scalings: dict[str, Scaling] = {}
    databases = Files(0, 0)
    for spec in specs:
        task = Task.named(spec.task, overrides, spec.trust)
        samples = rows.questions(spec, task)
        prompt, answer = lengths(model, spec, task, samples)
        gold = 0.0
        if spec.method == "grpo":
            figures = _with_speed(figures, task, samples)
            databases = files_of(task, samples)
            gold = _gold_tokens(model, samples)
        cluster = cluster_figures.cluster(figures, gpus)
        training = Training(shape, spec.config, prompt, answer, task.spec.scoring.seconds, cluster)
        scalings[spec.method] = scaling = scaled(training, nodes, gold)
        planned = replace(learning_plan(training, scaling.step.learners), seconds=scaling.step.one_by_one)
        stages[spec.method] = StagePlan(spec.config, prompt, answer, planned)
    machine = Machine(cluster.gpu_memory, True, cluster.gpu_flops, cluster.gpu_bandwidth)
    return ScaledPlans(Plans(stages, machine, nodes * gpus), scalings, (nodes, gpus), figures, databases)


def scaled(training: Training, nodes: int, gold: float) -> Scaling:
    """A stage on so many nodes, and on 1, 2, 4, ...; ``gold``: tokens of a gold, in the mean.

    Raises ModelError: the step cannot be divided among the GPUs of these nodes.
    """
    asked = step(training, nodes)
    as_golds = replace(training, answer=min(training.answer, math.ceil(gold)))
    cores = tuple(cores_a_gpu(one, asked) for one in (training, as_golds)) if gold else ()
    return Scaling(training, asked, tuple(_by_nodes(training, asked)), cores, gold)


def _by_nodes(training: Training, asked: Step) -> Iterator[Step]:
    """The step on 1, 2, 4, ... nodes, with ``asked`` among them, while more nodes make it faster."""
    fastest = 0.0
    for count in sorted({2**power for power in range(MOST_NODES.bit_length())} | {asked.nodes}):
        found = asked if count == asked.nodes else _possible(training, count)
        if found is None:
            continue
        yield found
        if count > asked.nodes and found.rate < LEAST_GAIN * fastest:
            return
        fastest = max(fastest, found.rate)


def cores_a_gpu(training: Training, at: Step) -> float:
    """Cores that score the answers of a GPU as fast as it draws them, with a step's division of the GPUs."""
    again = divided(training, at.nodes, at.learners, at.samplers)
    return again.items * training.core_seconds / again.phases["sampling"] / (at.samplers or at.learners)


def files_of(task: Task, samples: Sequence[Sample]) -> Files:
    """The files of the databases of these questions, with all instances; none on a server."""
    databases = {sample.database: sample for sample in samples}
    paths = {
        path
        for sample in databases.values()
        for path in task.prompt_database(sample).instances
        if isinstance(path, Path)
    }
    return Files(len(paths), sum(path.stat().st_size for path in paths))


def _possible(training: Training, nodes: int) -> Step | None:
    """A step on so many nodes; None if it cannot be divided among their GPUs."""
    try:
        return step(training, nodes)
    except ModelError:
        return None


def _with_speed(figures: Figures, task: Task, samples: Sequence[Sample]) -> Figures:
    """The figures with the speed of scoring, which is measured unless it is given."""
    if QUERIES in figures:
        return figures
    prepare_databases(task, samples)
    speed = answers_per_core(task, samples)
    source = f"golds of {task.name}, one core of this machine"
    return {**figures, QUERIES: Figure(speed, QUERIES_UNIT, "measured", source)}


def _gold_tokens(model: str, samples: Sequence[Sample]) -> float:
    """The mean tokens of the golds of the first questions, with the end of an answer."""
    from runners.weights.loading import load_tokenizer
    from runners.weights.source import resolve

    golds = [sample.gold[0] for sample in samples[:MEASURED_QUESTIONS]]
    encoded = load_tokenizer(resolve(model, weights=False))(golds)["input_ids"]
    return 1 + fmean(map(len, encoded))
