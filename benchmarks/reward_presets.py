"""Compare training rewards: GRPO with each reward from the same SFT models, with the same budget, on pocket.

    OMP_NUM_THREADS=1 python -m benchmarks.reward_presets --models SFT0 SFT1 [--steps 60]

Run it as a module: ``benchmarks.reward_presets:Runs`` must be importable. The models are folders, one for
each seed, such as ``benchmarks/demo_seeds.py`` writes to ``HARNESS_HOME/demo_seeds/SEED/sft/model``. Settings
are the demo's; the last weights are evaluated, not the best on dev, so that the harm of a reward shows.
``runs`` is 1 for a query that executes, otherwise 0. Prints, for each reward and seed, EX on the test
questions, wins and losses against SFT, the reward in the first and last fifth of the steps, answers that do
not execute, and the alarms of the training and of the evaluation. Started again, it continues where it
stopped.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from harness.evaluation import evaluate_model
from harness.provenance import lineage
from harness.recipes import NANO
from harness.spec import EvalSpec, TrainSpec
from harness.training.train import train_model
from leaderboards import store
from leaderboards.alarms import warnings
from leaderboards.compare import compare
from leaderboards.types import Run
from rewards.composite import is_scored
from rewards.types import Attempt, Score
from tasks.common.home import home

REWARDS = {
    "gated": "gated",
    "classic": "classic",
    "binary": "binary",
    "runs": "benchmarks.reward_presets:Runs",
}
"""Name in the table -> ``scoring.reward``."""


@dataclass(frozen=True, slots=True)
class Runs:
    """1 for a query that runs, whatever it returns; None for an unscored attempt."""

    def __call__(self, attempt: Attempt) -> Score:
        value = float(attempt.executes) if is_scored(attempt) else None
        return Score(value, attempt.reason, attempt.sql, attempt.detail)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", required=True, help="SFT model folders, one for each seed")
    parser.add_argument("--rewards", nargs="+", choices=REWARDS, default=list(REWARDS))
    parser.add_argument("--steps", type=int, default=NANO.grpo.max_steps)
    parser.add_argument("--limit", type=int, default=0, help="number of test questions; default: all")
    parser.add_argument("--out", type=Path, default=home() / "rewards")
    options = parser.parse_args()
    print("| reward | seed | EX | won, lost, p | reward at first, at last | not executable | alarms |")
    print("|---|---|---|---|---|---|---|")
    for seed, model in enumerate(options.models):
        before = _evaluated(model, options.limit)
        print(f"| SFT | {seed} | {_ex(before)} | | | {_errors(before)} | {_alarms(before)} |", flush=True)
        for name in options.rewards:
            out = options.out / f"{name}-{seed}-{options.steps}"
            trained = _train(name, seed, options.steps, model, out)
            print(
                _line(name, seed, before, _evaluated(str(out / "model"), options.limit), trained), flush=True
            )
    return 0


def _train(name: str, seed: int, steps: int, model: str, out: Path) -> str:
    """Train under a reward into ``out``; the id of the training run."""
    changes = {
        "seed": seed,
        "max_steps": steps,
        "collapse": 0,
        "save_every": min(steps, NANO.grpo.save_every),
    }
    config = NANO.grpo.model_copy(update=changes)
    spec = TrainSpec(task=NANO.task, method="grpo", model=model, sample_seed=seed, dev_limit=0, grpo=config)
    train_model(spec, [f"scoring.reward={REWARDS[name]}"], out, evaluated=False)
    return lineage.read(out / "model").run


def _evaluated(model: str, limit: int) -> Run:
    return evaluate_model(EvalSpec(model=model, task=NANO.task, limit=limit), (), 0)


def _line(name: str, seed: int, before: Run, after: Run, trained: str) -> str:
    paired = compare(before.id, after.id).all
    curve = [row["reward"] for row in store.curve(trained)]
    fifth = max(1, len(curve) // 5)
    ends = ", ".join(f"{sum(part) / len(part):.2f}" for part in (curve[:fifth], curve[-fifth:]))
    while_training = store.scores(trained).get("warnings", [])
    alarms = "; ".join(filter(None, [*while_training, _alarms(after)])) or "none"
    won = f"{paired.wins}, {paired.losses}, {paired.p:.1e}"
    return f"| {name} | {seed} | {_ex(after)} | {won} | {ends} | {_errors(after)} | {alarms} |"


def _ex(run: Run) -> str:
    return f"{store.scores(run.id)['ex']:.1%}"


def _errors(run: Run) -> int:
    """Answers that did not execute."""
    return sum(not record.executes for record in store.records(run.id))


def _alarms(run: Run) -> str:
    return "; ".join(warnings(store.scores(run.id)["alarms"]))


if __name__ == "__main__":
    sys.exit(main())
