"""The demo: base -> SFT -> GRPO of a recipe (``harness/recipes.py``), with an evaluation at each stage."""

from __future__ import annotations

import time
from pathlib import Path
from typing import NamedTuple

from rich.text import Text

from harness.evaluation import evaluate_model
from harness.page.collect import Collector
from harness.page.write import write_page
from harness.provenance import outputs
from harness.recipes import Recipe
from harness.render.board import render_board
from harness.render.compare import render_comparison
from harness.render.output import command, emit
from harness.render.terminal import SafeConsole
from harness.spec import EvalSpec, TrainSpec
from harness.training.train import train_model
from leaderboards import board, store
from leaderboards.compare import compare
from leaderboards.types import Run
from tasks.common import files
from tasks.common.home import home

CLOSING = """
What happened
  {model}  {base:>6}  {about}
  {sft_name}  {sft:>6}  saw {sft_rows:,} questions with their gold SQL
  {grpo_name}  {grpo:>6}  answered {asked:,} of {grpo_rows:,} questions {group} times and saw no SQL:
  {nothing}          its training reward was the score in the table
  Open {page} in a browser: why each answer is right or wrong.
  {minutes:.1f} minutes. Questions, answers, verdicts and curves are in {home}/runs.

What to type next
{commands}

A real model is named like Qwen/Qwen3-0.6B, and your own database is one YAML file: README.md says how.
"""


class DemoRuns(NamedTuple):
    """The evaluations of the base, SFT and GRPO models on the same questions."""

    base: Run
    sft: Run
    grpo: Run


def stages(recipe: Recipe, seed: int, out: Path, workers: int = 0) -> DemoRuns:
    """base -> SFT -> GRPO under one seed, each evaluated on the same questions. Resumable."""
    for method in ("sft", "grpo"):
        with files.writing(out):
            (out / method).mkdir(parents=True, exist_ok=True)
        outputs.refuse_foreign(out / method)
    evaluations = [_evaluate(recipe, recipe.model, workers)]
    for spec in (_sft(recipe, seed), _grpo(recipe, seed, out)):
        folder = out / spec.method
        with outputs.training_into(folder):
            train_model(spec, recipe.overrides, folder, workers, evaluated=False)
            evaluations.append(_evaluate(recipe, str(folder / "model"), workers))
    return DemoRuns(*evaluations)


def _evaluate(recipe: Recipe, model: str, workers: int) -> Run:
    drawn = {"limit": recipe.questions, "sample_seed": 0} if recipe.questions else {}
    return evaluate_model(EvalSpec(model=model, task=recipe.task, **drawn), recipe.overrides, workers)


def _sft(recipe: Recipe, seed: int) -> TrainSpec:
    return TrainSpec(
        task=recipe.task,
        method="sft",
        model=recipe.model,
        limit=recipe.sft_rows,
        sample_seed=seed,
        dev_limit=0,
        sft=recipe.sft.model_copy(update={"seed": seed}),
    )


def _grpo(recipe: Recipe, seed: int, out: Path) -> TrainSpec:
    return TrainSpec(
        task=recipe.task,
        method="grpo",
        model=str(out / "sft" / "model"),
        sample_seed=seed,
        dev_limit=recipe.dev_limit,
        grpo=recipe.grpo.model_copy(update={"seed": seed}),
    )


def run_demo(recipe: Recipe, seed: int, out: Path) -> None:
    """Run the stages; print the comparisons, the board and the next commands."""
    began = time.monotonic()
    runs = stages(recipe, seed, out)
    emit(compare(runs.sft.id, runs.grpo.id), render_comparison, False)
    emit(board.board([run.id for run in runs]), render_board, False)
    base, sft, grpo = (f"{store.scores(run.id)['ex']:.1%}" for run in runs)
    width = len(recipe.model)
    training = runs.grpo.training
    closing = Text(
        CLOSING.format(
            model=recipe.model,
            sft_name=f"{'SFT':<{width}}",
            grpo_name=f"{'GRPO':<{width}}",
            nothing=" " * width,
            base=base,
            about=recipe.about,
            sft=sft,
            grpo=grpo,
            sft_rows=training["sft"]["seen"],
            grpo_rows=training["grpo"]["rows"],
            asked=training["grpo"]["seen"],
            group=recipe.grpo.group_size,
            minutes=(time.monotonic() - began) / 60,
            home=home(),
            page=_page(),
            commands="\n".join(f"  {line}" for line in next_commands(recipe, runs)),
        )
    )
    closing.highlight_words(("What happened", "What to type next"), "bold")
    SafeConsole().print(closing, soft_wrap=True)


def _page() -> Path:
    """Write the leaderboard's page; returns its file."""
    file = home() / "board.html"
    write_page(Collector().page(), file)
    return file


def next_commands(recipe: Recipe, runs: DemoRuns) -> list[str]:
    """Commands to go on with, as they can be copied."""
    sample = store.records(runs.grpo.id)[0].sample_id
    keys = [word for assignment in recipe.overrides for word in ("--set", assignment)]
    model = str(runs.grpo.model)
    return [
        command("compare", runs.sft.id, runs.grpo.id),
        command("show", runs.grpo.id, sample),
        command("board", "--reasons"),
        command("eval", "--model", model, "--task", recipe.task, "--limit", "100", "--turns", "3", *keys),
        command("check", recipe.task, *keys),
    ]
