"""A function for each verb, from options to an exit code. Results go to stdout, progress to stderr."""

from __future__ import annotations

import argparse
import shlex
import traceback
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

from harness.listings import models, tasks
from runners.training import distributed
from tasks.common.errors import DataError, HarnessError
from tasks.common.home import home
from tasks.common.parse import parse
from tasks.common.terminal import say

if TYPE_CHECKING:
    from harness.spec import EvalSpec
    from harness.training.stages import TrainRequest
    from leaderboards.types import Run


def evaluate(options: argparse.Namespace) -> int:
    """``harness eval``: evaluate each model; exit 1 if one left questions unanswered."""
    from harness.provenance import outputs

    jobs = list(product(options.model, options.temperature))
    if options.samples > 1 and 0 in options.temperature:
        say(f"temperature 0 draws one answer {options.samples} times: set --temperature")
    out = Path(options.out) if options.out else None
    if out and len(jobs) > 1 and out.exists() and not out.is_dir():
        raise DataError(f"--out {out}: it is a file: name a folder")
    with outputs.evaluation_into(out) if out and len(jobs) == 1 else nullcontext():
        runs = _evaluate_each(options, jobs)
        for run in runs if out else []:
            outputs.copy_run(run.id, Path(options.out) / (run.id if len(jobs) > 1 else ""))
    if runs:
        _emit_board(runs, options.json)
    return int(len(runs) < len(jobs))


def _evaluate_each(options: argparse.Namespace, jobs: Sequence[tuple[str, float]]) -> list[Run]:
    """Evaluate these models; an error of one does not stop the others. Returns the finished runs."""
    from harness.evaluation import evaluate_model

    runner_keys, overrides = _divided(options.overrides, "runner.")
    runs: list[Run] = []
    for model, temperature in jobs:
        spec = _eval_spec(options, model, temperature, runner_keys)
        try:
            run = evaluate_model(spec, overrides, options.workers, options.fresh)
        except Exception as error:
            if len(jobs) == 1:
                raise
            if not isinstance(error, HarnessError):
                traceback.print_exc()
            say(f"harness eval: {model}: {error}")
            continue
        if run.finished:
            runs.append(run)
        else:
            say(f"{model}: questions are left unanswered; run the same command again")
    return runs


def _eval_spec(
    options: argparse.Namespace, model: str, temperature: float, settings: Sequence[str]
) -> EvalSpec:
    from harness.spec import EvalSpec
    from runners.settings import RunnerConfig

    chosen = {"endpoint": {"base_url": options.base_url}}
    return EvalSpec(
        runner=parse(RunnerConfig, chosen, settings, where="--set runner"),
        model=model,
        task=options.task or _trained_on(model),
        split=options.split,
        limit=options.limit,
        sample_seed=options.sample_seed,
        samples=options.samples,
        temperature=temperature,
        top_p=options.top_p,
        turns=options.turns,
        seed=options.seed,
        max_new_tokens=options.max_new_tokens,
        trust=options.trust_task,
    )


def _divided(overrides: Sequence[str], prefix: str) -> tuple[list[str], list[str]]:
    """Split overrides: those that start with ``prefix``, without it, and the others."""
    selected = [item.removeprefix(prefix) for item in overrides if item.startswith(prefix)]
    return selected, [item for item in overrides if not item.startswith(prefix)]


def _trained_on(model: str) -> str:
    """The task that a model was trained on, else ``pocket``; prints its name on stderr."""
    from harness.provenance import lineage

    task = lineage.read(lineage.model_path(model)).task or "pocket"
    say(f"no --task: {model} is evaluated on {task}")
    return task


def sample(options: argparse.Namespace) -> int:
    """``harness sample``: write the model's own right answers to a file to train on."""
    from harness.provenance import outputs
    from harness.sample import sample as draw_samples
    from tasks.task import Task

    settings, overrides = _divided(options.overrides, "runner.")
    spec = _eval_spec(options, options.model, options.temperature, settings)
    split = options.split or Task.named(spec.task, overrides, spec.trust).spec.dataset.train_split
    spec = spec.model_copy(update={"split": split})
    with outputs.rows_into(Path(options.out)):
        run, rows = draw_samples(spec, overrides, options.keep, Path(options.out), options.workers)
    say(f"{options.out}: {rows:,} right answers")
    _emit_board([run], options.json)
    return 0


def train(options: argparse.Namespace) -> int:
    """``harness train``: train one stage or two; evaluate before and after each unless ``--no-eval``."""
    from harness.render.output import emit
    from harness.render.plan import render_plans
    from harness.render.stages import render_finished
    from harness.training import launch, plan
    from harness.training.stages import finished, stages, train_stages
    from runners.training import requirements

    planned_stages = stages(_train_request(options))
    count = launch.process_count(options.processes, options.recipe)
    if options.plan:
        machine = plan.machine(plan.recipe(options.recipe)["machine"] if options.recipe else None, count)
        train_specs = [stage.spec for stage in planned_stages]
        planned = plan.plans(options.model, train_specs, planned_stages[0].overrides, machine, count)
        emit(planned, render_plans, options.json)
        planned.refuse()
        return 0
    for stage in planned_stages:
        requirements.check(stage.spec.config, max(count, distributed.world_size()))
    if count > 1 and not distributed.is_launched():
        return launch.launch(count, options.given)
    with launch.launched_process():
        runs = train_stages(planned_stages, options.workers, evaluated=not options.no_eval)
    if runs:
        _emit_board(runs, options.json)
    elif distributed.is_main():
        emit(finished(planned_stages, options.trust_task), render_finished, options.json)
    return 0


def _train_request(options: argparse.Namespace) -> TrainRequest:
    from harness.training.stages import TrainRequest

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
        options.method, out, fields, options.overrides, options.recipe, options.seed, sft_fields
    )


def score(options: argparse.Namespace) -> int:
    """``harness score``: judge stored answers in every mode."""
    from harness.stored import score_stored

    fields = {name: getattr(options, name) for name in ("task", "split", "limit", "sample_seed")}
    fields["trust"] = options.trust_task
    run = score_stored(options.file, fields, options.overrides, options.workers, options.column)
    _emit_board([run], options.json, reasons=True)
    return 0


def check(options: argparse.Namespace) -> int:
    """``harness check``: check the golds of a task; exit 1 if one fails."""
    from harness.check import check_task
    from harness.provenance import outputs
    from harness.render.check import render_check
    from harness.render.output import emit

    clean = Path(options.write_clean) if options.write_clean else None
    with outputs.rows_into(clean, "check") if clean else nullcontext():
        source = (options.task, options.overrides, options.split or ())
        report = check_task(*source, options.tokenizer, options.workers, options.trust_task)
        emit(report, render_check, options.json)
        if clean:
            report.write_clean(clean)
    return int(report.broken > 0 and not options.allow_broken_gold)


def export(options: argparse.Namespace) -> int:
    """``harness export``: print prime-rl's config, or write lm-eval's folder and print its command."""
    from harness.export import LmEvalTask, prime_rl
    from tasks.task import Task

    if options.program == "prime-rl":
        trust = options.trust_task
        print(prime_rl(options.task, options.overrides, options.model, options.turns, trust), end="")
        return 0
    exported = LmEvalTask(Task.named(options.task, options.overrides, options.trust_task), options.split)
    exported.write(Path(options.out))
    folder = shlex.quote(options.out)
    template = "" if exported.task.spec.prompt.is_completion else " --apply_chat_template"
    print(f"lm_eval run --tasks {exported.name} --include_path {folder}{template}")
    return 0


def board(options: argparse.Namespace) -> int:
    """``harness board``: print the leaderboard."""
    from harness.render.board import render_board
    from harness.render.output import emit
    from leaderboards import board as boards
    from leaderboards.find import expect_task

    if options.task:
        expect_task(options.task)
    emit(boards.board(task=options.task), partial(render_board, reasons=options.reasons), options.json)
    return 0


def compare(options: argparse.Namespace) -> int:
    """``harness compare``: compare two runs question by question."""
    from harness.render.compare import render_comparison
    from harness.render.output import emit
    from leaderboards.compare import compare as compare_runs

    emit(compare_runs(options.a, options.b), render_comparison, options.json)
    return 0


def show(options: argparse.Namespace) -> int:
    """``harness show``: print the evidence for one answer."""
    from harness.render.evidence import render_evidence
    from harness.render.output import emit
    from leaderboards import evidence

    emit(evidence.show(options.run, options.sample), render_evidence, options.json)
    return 0


def demo(options: argparse.Namespace) -> int:
    """``harness demo``: base, SFT and GRPO by a recipe."""
    from harness.demo import run_demo
    from harness.recipes import recipe_of

    recipe = recipe_of(options.model, options.task)
    run_demo(recipe, options.seed, Path(options.out) if options.out else home() / recipe.name)
    return 0


def _emit_board(runs: Sequence[Run], as_json: bool, reasons: bool = False) -> None:
    """Print the board of these runs alone."""
    from harness.render.board import render_board
    from harness.render.output import emit
    from leaderboards.board import board

    emit(board([run.id for run in runs]), partial(render_board, reasons=reasons), as_json)


VERBS: dict[str, Callable[[argparse.Namespace], int]] = {
    "eval": evaluate,
    "sample": sample,
    "train": train,
    "score": score,
    "check": check,
    "export": export,
    "board": board,
    "compare": compare,
    "show": show,
    "tasks": tasks,
    "models": models,
    "demo": demo,
}
