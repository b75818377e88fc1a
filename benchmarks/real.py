"""The demo's recipe for a real model under several seeds: base -> SFT -> GRPO, on pocket and on Spider.

    OMP_NUM_THREADS=1 python benchmarks/real.py [--task pocket] [--seeds 0 1 2] [--out DIR]

Needs ``harness models get smollm2``; the task ``spider_small`` needs HARNESS_DATA. Prints a line for each
seed: execution accuracy with its 95 % interval, and McNemar's exact p of SFT against the base and of GRPO
against SFT on the same questions; then the means over the seeds. The exit code is 1 if a difference is not a
gain with p < 0.05. Started again with the same folder, it continues where it stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from statistics import fmean

from harness.demo import DemoRuns, stages
from harness.recipes import Recipe, recipe_of
from leaderboards import store
from leaderboards.compare import compare
from leaderboards.statistics import wilson
from leaderboards.types import Run
from tasks.common.home import home

MODEL = "smollm2"
LEVEL = 0.05
"""A difference with a smaller p is significant."""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="pocket", help="pocket or spider_small")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=home() / "real")
    options = parser.parse_args()
    recipe = recipe_of(MODEL, options.task)
    print("| seed | base | SFT | p over base | GRPO | won | lost | p over SFT | executes | minutes |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    found = [_seed(recipe, seed, options.out / options.task / str(seed)) for seed in options.seeds]
    means = [fmean(store.scores(run.id)["ex"] for run in runs) for runs in zip(*found, strict=True)]
    print("| mean | {:.1%} | {:.1%} | | {:.1%} | | | | | |".format(*means))
    return int(not all(_gained(a, b) for one in found for a, b in ((one.base, one.sft), (one.sft, one.grpo))))


def _seed(recipe: Recipe, seed: int, out: Path) -> DemoRuns:
    """Run the recipe under a seed and print its line."""
    began = time.monotonic()
    runs = stages(recipe, seed, out)
    minutes = (time.monotonic() - began) / 60
    trained, reinforced = compare(runs.base.id, runs.sft.id).all, compare(runs.sft.id, runs.grpo.id).all
    base, sft, grpo = (_accuracy(run) for run in runs)
    executes = ", ".join(f"{_executing(run):.0%}" for run in runs)
    print(
        f"| {seed} | {base} | {sft} | {trained.p:.1e} | {grpo} | {reinforced.wins} | {reinforced.losses} "
        f"| {reinforced.p:.1e} | {executes} | {minutes:.1f} |",
        flush=True,
    )
    return runs


def _accuracy(run: Run) -> str:
    """Execution accuracy with its 95 % interval."""
    scores = [record.metric for record in store.records(run.id) if record.metric is not None]
    interval = wilson(sum(scores), len(scores))
    assert interval is not None, "a finished run has scored answers"
    return f"{fmean(scores):.1%} ({interval[0]:.1%}-{interval[1]:.1%})"


def _executing(run: Run) -> float:
    """The share of answers that execute."""
    return fmean(record.executes for record in store.records(run.id))


def _gained(before: Run, after: Run) -> bool:
    """Whether ``after`` is better on the same questions, and significantly."""
    paired = compare(before.id, after.id).all
    return paired.wins > paired.losses and paired.p < LEVEL


if __name__ == "__main__":
    sys.exit(main())
