"""The demo: train the model that ships on the task that ships, with an evaluation at each stage.

The recipe was found by the experiments in ``benchmarks/recipe.md``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from harness.evaluation import evaluate_model
from harness.provenance import outputs
from harness.render.board import render_board
from harness.render.compare import render_comparison
from harness.render.output import command, emit
from harness.render.terminal import SafeConsole
from harness.spec import EvalSpec, TrainSpec
from harness.training.train import train_model
from leaderboards import board, store
from leaderboards.compare import compare
from leaderboards.types import Run
from runners.training.config import GrpoConfig, SftConfig
from tasks.common import files
from tasks.common.home import home

TASK = "pocket"
SFT_ROWS = 2400
SFT = SftConfig(learning_rate=1e-3, epochs=2, batch_size=32, eval_every=1000, save_every=50)
GRPO = GrpoConfig(
    learning_rate=1.5e-3,
    scheduler="linear",
    warmup=0.05,
    max_steps=60,
    prompts_per_step=64,
    group_size=8,
    micro_groups=4,
    max_new_tokens=80,
    eval_every=30,
    save_every=20,
)

CLOSING = """
What happened
  nano  {base:>6}  pretrained on other schemas and other phrasings
  SFT   {sft:>6}  saw {sft_rows:,} questions with their gold SQL
  GRPO  {grpo:>6}  answered {asked:,} of {grpo_rows:,} questions {group} times and saw no SQL:
                 its training reward was the score in the table
  {minutes:.1f} minutes. Questions, answers, verdicts and curves are in {home}/runs.

What to type next
{commands}

A real model is named like Qwen/Qwen3-0.6B, and your own database is one YAML file: README.md says how.
"""


@dataclass(frozen=True, slots=True)
class DemoRuns:
    """The evaluations of the base, SFT and GRPO models on the same questions."""

    base: Run
    sft: Run
    grpo: Run


def stages(seed: int, out: Path, workers: int = 0) -> DemoRuns:
    """base -> SFT -> GRPO under one seed, each evaluated on pocket's test questions. Resumable."""
    for method in ("sft", "grpo"):
        with files.writing(out):
            (out / method).mkdir(parents=True, exist_ok=True)
        outputs.refuse_foreign(out / method)
    base = evaluate_model(EvalSpec(model="nano", task=TASK), (), workers)
    sft = TrainSpec(
        task=TASK,
        method="sft",
        model="nano",
        limit=SFT_ROWS,
        sample_seed=seed,
        dev_limit=0,
        sft=SFT.model_copy(update={"seed": seed}),
    )
    grpo = TrainSpec(
        task=TASK,
        method="grpo",
        model=str(out / "sft" / "model"),
        sample_seed=seed,
        dev_limit=300,
        grpo=GRPO.model_copy(update={"seed": seed}),
    )
    evaluations = []
    for spec in (sft, grpo):
        with outputs.training_into(out / spec.method):
            evaluations.append(train_model(spec, (), out / spec.method, workers)[-1])
    return DemoRuns(base, *evaluations)


def run_demo(seed: int, out: Path) -> None:
    """Run the stages; print the comparison, the board and the next commands."""
    began = time.monotonic()
    runs = stages(seed, out)
    evaluations = (runs.base, runs.sft, runs.grpo)
    emit(compare(runs.sft.id, runs.grpo.id), render_comparison, False)
    emit(board.board([run.id for run in evaluations]), render_board, False)
    base, sft, grpo = (f"{store.scores(run.id)['ex']:.1%}" for run in evaluations)
    training = runs.grpo.training
    closing = Text(
        CLOSING.format(
            base=base,
            sft=sft,
            grpo=grpo,
            sft_rows=training["sft"]["seen"],
            grpo_rows=training["grpo"]["rows"],
            asked=training["grpo"]["seen"],
            group=GRPO.group_size,
            minutes=(time.monotonic() - began) / 60,
            home=home(),
            commands="\n".join(f"  {line}" for line in next_commands(runs)),
        )
    )
    closing.highlight_words(("What happened", "What to type next"), "bold")
    SafeConsole().print(closing, soft_wrap=True)


def next_commands(runs: DemoRuns) -> list[str]:
    """Commands to go on with, as they can be copied."""
    sample = store.records(runs.grpo.id)[0].sample_id
    return [
        command("compare", runs.sft.id, runs.grpo.id),
        command("show", runs.grpo.id, sample),
        command("board", "--reasons"),
        command("eval", "--model", str(runs.grpo.model), "--task", TASK, "--limit", "100", "--turns", "3"),
        command("check", TASK),
    ]
