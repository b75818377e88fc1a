"""The verb ``train``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.arguments import Parser, only, path, positive, seed
from harness.verbs.options import Verbs, add_common, add_engine, add_on, add_questions, on_engine
from harness.verbs.results import emit_board
from tasks.common.errors import SpecError

if TYPE_CHECKING:
    from harness.training.stages import Stage, TrainRequest

GPUS_PER_NODE = 8
"""GPUs of a node of ``--nodes``, unless ``--gpus-per-node`` is given."""


def add(verbs: Verbs) -> None:
    """Add these verbs to the parser."""
    _train_options(verbs)


def _train_options(verbs: Verbs) -> None:
    verb = verbs.add_parser("train", help="train a model on a task: the reward is the score")
    verb.set_defaults(call=train)
    verb.add_argument("--task", required=True, help="a shipped task or a YAML file")
    verb.add_argument(
        "--method", required=True, choices=("sft", "grpo", "sft+grpo"), help="stages of the training"
    )
    verb.add_argument("--model", required=True, metavar="M", help="nano, smollm2, a folder or org/name")
    verb.add_argument(
        "--out",
        type=path,
        required=True,
        metavar="DIR",
        help="folder of the training; the model is written to DIR/model",
    )
    _row_options(verb)
    verb.add_argument(
        "--recipe",
        default="",
        metavar="R",
        help="settings to start from: 24gb, 48gb, 80gb, 8x80gb or a YAML file",
    )
    verb.add_argument(
        "--plan", action="store_true", help="only predict memory and time, and refuse what does not fit"
    )
    _cluster_options(verb)
    verb.add_argument("--no-eval", action="store_true", help="do not evaluate the model before and after")
    verb.add_argument(
        "--processes",
        type=positive,
        default=0,
        metavar="N",
        help="train in N processes, one for each GPU, or on CPUs; default: the recipe's number, otherwise 1",
    )
    verb.add_argument("--seed", type=seed, default=0, help="seed of the training")
    add_engine(verb)
    add_questions(verb)
    add_common(verb, ", train.KEY=VALUE, or sft.KEY=VALUE and grpo.KEY=VALUE for one stage")
    add_on(verb)


def _cluster_options(verb: Parser) -> None:
    verb.add_argument(
        "--nodes",
        type=positive,
        default=0,
        metavar="N",
        help="with --plan: predict N nodes with GPUs, and what binds: sampling, scoring, learning or network",
    )
    verb.add_argument(
        "--gpus-per-node", type=positive, default=0, metavar="G", help="with --nodes; default: 8"
    )
    verb.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="with --nodes: a figure in place of the assumed or measured one (network=1.25e10, queries=900)",
    )


def _row_options(verb: Parser) -> None:
    verb.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="FIELD=A[,B]",
        type=only,
        help="only questions whose database (or difficulty, family, part) is A or B",
    )
    verb.add_argument(
        "--data",
        action="append",
        metavar="FILE",
        help="rows of SFT: gold (the task's own, default) or a file of harness sample; may be repeated",
    )
    verb.add_argument(
        "--sft-limit", type=positive, default=0, metavar="N", help="as --limit, for the SFT stage only"
    )


def train(options: argparse.Namespace) -> int:
    """``harness train``: train one stage or two; evaluate before and after each unless ``--no-eval``."""
    from harness.cluster.workers import scoring_workers
    from harness.render.output import emit
    from harness.render.plan import render_plans
    from harness.render.stages import render_finished
    from harness.training import launch, plan, ray_launch
    from harness.training.stages import finished, stages, train_stages
    from runners.training import distributed, requirements

    _expect_plan(options)
    planned_stages = stages(_train_request(options))
    count = launch.process_count(options.processes, options.recipe)
    if options.nodes:
        return _plan_nodes(options, planned_stages)
    if options.plan:
        machine = plan.machine(plan.described_machine(options.recipe), count)
        train_specs = [stage.spec for stage in planned_stages]
        planned = plan.plans(options.model, train_specs, planned_stages[0].overrides, machine, count)
        emit(planned, render_plans, options.json)
        planned.refuse()
        return 0
    for stage in planned_stages:
        requirements.check(stage.spec.config, max(count, distributed.world_size()))
    if count > 1 and not distributed.is_launched():
        if options.on:
            return ray_launch.launch(options.on, count, options.given)
        return launch.launch(count, options.given)
    shared = scoring_workers(options.on, options.workers, distributed.world_size())
    with launch.launched_process(), shared as workers:
        runs = train_stages(planned_stages, workers, evaluated=not options.no_eval)
    if runs:
        emit_board(runs, options.json)
    elif distributed.is_main():
        emit(finished(planned_stages, options.trust_task), render_finished, options.json)
    return 0


def _expect_plan(options: argparse.Namespace) -> None:
    """Raise SpecError where options that describe nodes are given without what they describe."""
    if options.nodes and not options.plan:
        raise SpecError("--nodes predicts a training on several nodes: add --plan (docs/how-to/scale.md)")
    if options.nodes and options.processes:
        raise SpecError("--nodes trains one process on each GPU: leave out --processes")
    for flag, value in (("--gpus-per-node", options.gpus_per_node), ("--assume", options.assume)):
        if value and not options.nodes:
            raise SpecError(f"{flag} describes the nodes of a plan: add --plan --nodes N")


def _plan_nodes(options: argparse.Namespace, planned_stages: Sequence[Stage]) -> int:
    from harness.render.output import emit
    from harness.render.scale import render_scale
    from harness.training import plan
    from harness.training.nodes.figures import figures
    from harness.training.nodes.scaling import scaled_plans

    found = figures(options.assume, plan.described_machine(options.recipe))
    specs = [stage.spec for stage in planned_stages]
    size = (options.nodes, options.gpus_per_node or GPUS_PER_NODE)
    scaled = scaled_plans(options.model, specs, planned_stages[0].overrides, found, size)
    emit(scaled, render_scale, options.json)
    scaled.plans.refuse()
    return 0


def _train_request(options: argparse.Namespace) -> TrainRequest:
    from harness.training.stages import TrainRequest, of_task

    of_stages = [item for item in options.overrides if item not in of_task(options.overrides)]
    overrides = on_engine(options.task, options.engine, of_task(options.overrides), options.trust_task)
    fields = {
        "model": options.model,
        "task": options.task,
        "split": options.split,
        "limit": options.limit,
        "sample_seed": options.sample_seed,
        "only": dict(options.only),
        "data": options.data or ["gold"],
        "trust": options.trust_task,
    }
    sft_fields = {"limit": options.sft_limit} if options.sft_limit else {}
    out = Path(options.out)
    return TrainRequest(
        options.method, out, fields, [*overrides, *of_stages], options.recipe, options.seed, sft_fields
    )
