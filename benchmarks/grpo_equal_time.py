"""Our GRPO and stock TRL's for the same wall-clock time from the same SFT models: which learns more.

    OMP_NUM_THREADS=1 python benchmarks/grpo_equal_time.py --models SFT0 SFT1 SFT2 [--seconds 240]

The models are folders, one for each seed, such as ``benchmarks/demo_seeds.py`` writes to
``HARNESS_HOME/demo_seeds/SEED/sft/model``. Both trainers run at the same time on a core each, with the demo's
settings, the same questions and the same reward; stock is ``shared_prefix: false``, TRL's own sampling and
loss. A first run of a few steps predicts how many steps fit into the time, so that the schedule of each
trainer has the right length. Prints EX on pocket's test questions of the SFT model, of stock and of ours.
Exit 1 where ours is not higher in every seed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

from harness.evaluation import evaluate_model
from harness.recipes import NANO
from harness.spec import EvalSpec, TrainSpec
from harness.training.train import train_model
from leaderboards import store
from leaderboards.compare import compare

WAYS = {"stock": False, "ours": True}
TRIAL = 2
"""Steps of the first run; its first one also warms up and does not count."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One training: seconds of all steps and of a step, and the evaluation's run id (the trial has none)."""

    seconds: float
    step: float
    run: str = ""


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", required=True, help="SFT model folders, one for each seed")
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--run", nargs=4, metavar=("WAY", "MODEL", "SEED", "STEPS"), help=argparse.SUPPRESS)
    parser.add_argument("--trial", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        way, model, seed, steps = options.run
        print(json.dumps(asdict(_run(way, model, int(seed), int(steps), options.trial))))
        return 0
    print("| seed | SFT | stock TRL | ours | steps | seconds | ours against stock: won, lost, p |")
    print("|---|---|---|---|---|---|---|")
    ours_better = [_seed(seed, model, options.seconds) for seed, model in enumerate(options.models)]
    return int(not all(ours_better))


def _seed(seed: int, model: str, seconds: float) -> bool:
    trials = _both(model, seed, dict.fromkeys(WAYS, TRIAL), trial=True)
    steps = {way: max(1, round(seconds / trial.step)) for way, trial in trials.items()}
    runs = _both(model, seed, steps)
    start = evaluate_model(EvalSpec(model=model, task=NANO.task), (), 0).id
    base, stock, ours = (store.scores(run)["ex"] for run in (start, runs["stock"].run, runs["ours"].run))
    paired = compare(runs["stock"].run, runs["ours"].run).all
    print(
        f"| {seed} | {base:.1%} | {stock:.1%} | {ours:.1%} | {steps['stock']}, {steps['ours']} "
        f"| {runs['stock'].seconds:.0f}, {runs['ours'].seconds:.0f} "
        f"| {paired.wins}, {paired.losses}, {paired.p:.1e} |",
        flush=True,
    )
    return bool(ours > stock)


def _both(model: str, seed: int, steps: dict[str, int], trial: bool = False) -> dict[str, Ran]:
    """Both ways at the same time, each in a process of its own."""

    def run_process(way: str) -> Ran:
        case = [way, model, str(seed), str(steps[way])]
        done = subprocess.run(
            [sys.executable, __file__, "--models", model, *["--trial"] * trial, "--run", *case],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise SystemExit(done.stderr)
        return Ran(**json.loads(done.stdout.splitlines()[-1]))

    with ThreadPoolExecutor(len(WAYS)) as pool:
        return dict(zip(WAYS, pool.map(run_process, WAYS), strict=True))


def _run(way: str, model: str, seed: int, steps: int, trial: bool) -> Ran:
    """Train, and evaluate unless it is the trial."""
    settings = {"seed": seed, "max_steps": steps, "eval_every": steps, "save_every": steps}
    spec = TrainSpec(
        task=NANO.task,
        method="grpo",
        model=model,
        sample_seed=seed,
        dev_limit=0,
        grpo=NANO.grpo.model_copy(update=settings | {"shared_prefix": WAYS[way]}),
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / way
        runs = train_model(spec, (), out, 1, evaluated=not trial)
        seconds = [json.loads(row)["seconds"] for row in (out / "curve.jsonl").read_text().splitlines()]
    return Ran(sum(seconds), fmean(seconds[1:] or seconds), runs[-1].id if runs else "")


if __name__ == "__main__":
    sys.exit(main())
