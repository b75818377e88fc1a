"""The whole story in one command: the model that ships learns to write SQL for the task that ships.

The recipe was found by the experiments in ``benchmarks/recipe.py``.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from harness import screens
from harness.evaluate import evaluate_model
from harness.spec import EvalSpec, TrainSpec
from harness.train import train_model
from leaderboards import board, store
from leaderboards.compare import compare
from leaderboards.types import Run
from runners.config import GrpoConfig, SftConfig

TASK = "pocket"
SFT_ROWS = 3000
SFT = SftConfig(learning_rate=1e-3, epochs=2, batch_size=32, eval_every=1000, save_every=50)
GRPO = GrpoConfig(
    learning_rate=2e-4,
    max_steps=40,
    prompts_per_step=64,
    group_size=8,
    max_new_tokens=96,
    eval_every=10,
    save_every=10,
)

CLOSING = """\
What happened
  [b]nano[/b] ({base}) was pretrained on other schemas and other phrasings.
  [b]SFT[/b] ({sft}) saw {sft_rows} questions with their gold SQL.
  [b]GRPO[/b] ({grpo}) saw {grpo_rows} questions and only whether its own answers returned the right rows:
  the reward is the score in the table above. {minutes:.1f} minutes in all.

What to type next
  harness board                                    the table again
  harness compare {sft_run} {grpo_run}
  harness eval --model Qwen/Qwen3-0.6B --task pocket     a real model on the same questions
  harness eval --model YOUR/MODEL --task your_task.yaml  on your own database; see README, "Add a task"
"""


@dataclass(frozen=True, slots=True)
class Story:
    """The three evaluations on the same questions."""

    base: Run
    sft: Run
    grpo: Run


def stages(seed: int, out: Path, workers: int = 0) -> Story:
    """base -> SFT -> GRPO under one seed, each evaluated on pocket's test questions. Resumable."""
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
        dev_limit=200,
        grpo=GRPO.model_copy(update={"seed": seed}),
    )
    after = [train_model(spec, (), out / spec.method, workers)[-1] for spec in (sft, grpo)]
    return Story(base, *after)


def run_demo(seed: int, out: Path) -> None:
    """Tell the story and show the board. Raises what its parts raise."""
    began = time.monotonic()
    story = stages(seed, out)
    runs = (story.base, story.sft, story.grpo)
    screens.emit(board.board([run.id for run in runs]), False)
    screens.emit(compare(story.sft.id, story.grpo.id), False)
    base, sft, grpo = (f"{store.scores(run.id)['ex']:.1%}" for run in runs)
    Console().print(
        CLOSING.format(
            base=base,
            sft=sft,
            grpo=grpo,
            sft_rows=story.grpo.training["sft"]["rows"],
            grpo_rows=story.grpo.training["grpo"]["rows"],
            minutes=(time.monotonic() - began) / 60,
            sft_run=story.sft.id,
            grpo_run=story.grpo.id,
        )
    )
