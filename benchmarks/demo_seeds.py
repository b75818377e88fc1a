"""The demo's recipe under several seeds: base -> SFT -> GRPO on pocket's test questions.

    python benchmarks/demo_seeds.py [--seeds 0 1 2] [--out DIR]

Prints a line for each seed, and whether it met the project's requirements: base between 5 % and 45 % EX, SFT
at least 15 points above it, GRPO at least 3 points above SFT with McNemar's exact p < 0.01, and fewer answers
that do not execute after every stage. The exit code is 1 if a requirement is missed. Started again with the
same folder, it continues where it stopped.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from harness.demo import stages
from harness.recipes import NANO
from leaderboards import store
from leaderboards.compare import compare
from leaderboards.types import Run
from tasks.common.home import home


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--out", type=Path, default=home() / "demo_seeds")
    options = parser.parse_args()
    print("| seed | base | SFT | GRPO | won | lost | McNemar p | not executable | minutes | requirements |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    met = [_seed(seed, options.out) for seed in options.seeds]
    return int(not all(met))


def _seed(seed: int, out: Path) -> bool:
    """Run the demo under a seed and print its line. Whether it met the requirements."""
    began = time.monotonic()
    story = stages(NANO, seed, out / str(seed))
    minutes = (time.monotonic() - began) / 60
    base, sft, grpo = (store.scores(run.id)["ex"] for run in story)
    errors = [_errors(run) for run in story]
    paired = compare(story.sft.id, story.grpo.id).all
    met = (
        0.05 <= base <= 0.45
        and sft >= base + 0.15
        and grpo >= sft + 0.03
        and paired.p < 0.01
        and errors[0] > errors[1] > errors[2]
    )
    verdict = "met" if met else "MISSED"
    print(
        f"| {seed} | {base:.1%} | {sft:.1%} | {grpo:.1%} | {paired.wins} | {paired.losses} "
        f"| {paired.p:.1e} | {', '.join(map(str, errors))} | {minutes:.1f} | {verdict} |",
        flush=True,
    )
    return met


def _errors(run: Run) -> int:
    """Answers that did not execute."""
    return sum(not record.executes for record in store.records(run.id))


if __name__ == "__main__":
    sys.exit(main())
