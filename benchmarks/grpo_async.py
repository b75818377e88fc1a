"""GRPO with a vLLM server: answers drawn in turn with learning, and while the model learns (``train.async``).

    harness train --task pocket --method sft --model nano --out runs/sft --limit 2400 --sample-seed 0 \\
        --no-eval --set train.learning_rate=1e-3 --set train.epochs=2
    OMP_NUM_THREADS=1 .venv-vllm/bin/python benchmarks/grpo_async.py --model runs/sft/model [--seeds 0 1]

One server on this machine's CPU draws for all runs, which take turns: each way trains once under each seed,
from the same model, on the same questions and as many answers.

The first table has the seconds of a step, medians over the steps of all runs without the first two of each;
``overlap`` is the share of the seconds of drawing and scoring in which the model was learning. The second has
EX on the task's evaluation split before and after, and the paired difference of the two ways, with 95 %
intervals for other questions; that of the mean difference is for other seeds. With one thread, server and
trainer have a core each where there are two; with other work they do not.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from harness.spec import TrainSpec
from harness.training.train import train_model
from leaderboards.compare import Comparison, compare
from leaderboards.pairs import Share
from leaderboards.statistics import Interval, spread
from leaderboards.types import Run
from runners.endpoints.vllm_server import VllmServer
from runners.open import open_runner
from runners.settings import RunnerConfig
from runners.training.config import GrpoConfig

SERVER = {"enforce_eager": True, "logprobs_mode": "processed_logprobs", "max_logprobs": -1}
"""Engine arguments of a server that training can use."""
NOT_COUNTED = 2
"""First steps of a run, which start slowly."""
IN_TURN, ASYNC = "in turn", "async"
"""The two ways."""

Rows = list[Mapping[str, float]]


def main() -> None:
    """Train both ways and print two tables."""
    options = _options()
    os.environ["VLLM_SERVER_DEV_MODE"] = "1"
    server = open_runner(
        f"vllm:{options.model}", RunnerConfig.model_validate({"vllm": {"server": True, "extra": SERVER}})
    )
    assert isinstance(server, VllmServer)
    url = server.url.removesuffix("/v1")
    rows: dict[str, Rows] = {IN_TURN: [], ASYNC: []}
    runs: dict[str, list[Run]] = {IN_TURN: [], ASYNC: []}
    try:
        for seed in options.seeds:
            for way in rows:
                curve, start, end = _train(options, url, way, seed)
                rows[way] += curve[NOT_COUNTED:]
                runs[way].append(end)
    finally:
        server.close()
    _print_seconds(rows)
    _print_ex(start, runs, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="nano")
    parser.add_argument("--task", default="pocket")
    parser.add_argument("--steps", type=int, default=48, help="steps of a run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="a run of each way for each")
    parser.add_argument("--prompts", type=int, default=32, help="prompts of a step")
    parser.add_argument("--group", type=int, default=8, help="answers to a prompt")
    parser.add_argument("--together", type=int, default=4, help="groups in one pass")
    parser.add_argument("--tokens", type=int, default=80, help="most tokens of an answer")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--max-lag", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that score")
    return parser.parse_args()


def _train(options: argparse.Namespace, url: str, way: str, seed: int) -> tuple[Rows, Run, Run]:
    """The curve of one training, and the evaluations before and after it."""
    spec = TrainSpec(
        task=options.task,
        method="grpo",
        model=options.model,
        sample_seed=seed,
        dev_limit=0,
        grpo=_config(options, url, way, seed),
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / way
        start, end = train_model(spec, (), out, options.workers)
        return [json.loads(row) for row in (out / "curve.jsonl").read_text().splitlines()], start, end


def _config(options: argparse.Namespace, url: str, way: str, seed: int) -> GrpoConfig:
    settings: dict[str, Any] = {
        "seed": seed,
        "learning_rate": options.learning_rate,
        "scheduler": "linear",
        "max_steps": options.steps,
        "prompts_per_step": options.prompts,
        "group_size": options.group,
        "micro_groups": options.together,
        "max_new_tokens": options.tokens,
        "eval_every": options.steps,
        "save_every": options.steps,
        "vllm": {"mode": "server", "cpu": True, "base_url": url, "correction": "token_truncate"},
        "async": {"max_lag": options.max_lag} if way == ASYNC else None,
    }
    return GrpoConfig.model_validate(settings)


def _print_seconds(rows: Mapping[str, Rows]) -> None:
    names = ("seconds", "sampling_seconds", "scoring_seconds", "learning_seconds", "waiting_seconds")
    print("| way | step | drawing | scoring | learning | waiting | lag | overlap | vllm_gap |")
    print("|---|---|---|---|---|---|---|---|---|")
    for way, found in rows.items():
        middle = {
            name: median(row.get(name, 0.0) for row in found)
            for name in (*names, "lag", "overlap", "vllm_gap")
        }
        seconds = " | ".join(f"{middle[name]:.2f} s" for name in names)
        others = f"{middle['lag']:.0f} | {middle['overlap']:.0%} | {middle['vllm_gap']:.1e}"
        print(f"| {way} | {seconds} | {others} |")
    steps = {way: median(row["seconds"] for row in found) for way, found in rows.items()}
    print(f"in turn / async: {steps[IN_TURN] / steps[ASYNC]:.2f}\n")


def _print_ex(start: Run, runs: Mapping[str, list[Run]], options: argparse.Namespace) -> None:
    answers = options.steps * options.prompts * options.group
    print(f"EX after {answers:,} answers:\n")
    print("| seed | before | in turn | async | async - in turn | won | lost | McNemar p |")
    print("|---|---|---|---|---|---|---|---|")
    differences = []
    for seed, in_turn, at_once in zip(options.seeds, runs[IN_TURN], runs[ASYNC], strict=True):
        paired = compare(in_turn.id, at_once.id)
        differences.append(paired.all.difference or 0.0)
        before = compare(start.id, in_turn.id).share_a
        shares = " | ".join(map(_share, (before, paired.share_a, paired.share_b)))
        print(f"| {seed} | {shares} | {_difference(paired)} |")
    over_seeds = spread(differences)
    if over_seeds and over_seeds.low is not None and over_seeds.high is not None:
        print(f"\nMean over the seeds: {_points(over_seeds.mean, (over_seeds.low, over_seeds.high))}")


def _share(share: Share) -> str:
    assert share.ex is not None and share.interval
    return f"{share.ex:.1%} [{share.interval[0]:.1%}, {share.interval[1]:.1%}]"


def _difference(paired: Comparison) -> str:
    figures, interval = paired.all, paired.test.interval
    assert figures.difference is not None and interval
    points = _points(figures.difference, interval)
    return f"{points} | {figures.wins} | {figures.losses} | {figures.p:.2f}"


def _points(difference: float, interval: Interval) -> str:
    low, high = interval
    return f"{100 * difference:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


if __name__ == "__main__":
    main()
