"""GRPO with a vLLM server: answers drawn in turn with learning, and while the model learns (``train.async``).

    OMP_NUM_THREADS=1 .venv-vllm/bin/python benchmarks/grpo_async.py [--model nano] [--task pocket]

One server on this machine's CPU draws for all runs, which take turns: each way trains ``--rounds`` times from
the same model. Seconds are medians over the steps of all rounds, without the first two of each. With one
thread, server and trainer have a core each where there are two; on a machine with other work they do not.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from harness.training.train import training_reward
from rewards.grader import Grader
from runners.endpoints.vllm_server import VllmServer
from runners.open import open_runner
from runners.settings import RunnerConfig
from runners.training.callbacks import Hooks
from runners.training.config import GrpoConfig
from runners.training.grpo import train_grpo
from runners.types import Request
from tasks.task import Task

SERVER = {"enforce_eager": True, "logprobs_mode": "processed_logprobs", "max_logprobs": -1}
"""Engine arguments of a server that training can use."""
NOT_COUNTED = 2
"""First steps of a run, which start slowly."""

Rows = list[Mapping[str, float]]


def main() -> None:
    """Train both ways and print a table."""
    options = _options()
    task = Task.named(options.task)
    samples = task.samples(task.spec.dataset.train_split, limit=options.steps * options.prompts, seed=0)
    requests = [Request(sample, task.messages(sample)) for sample in samples]
    os.environ["VLLM_SERVER_DEV_MODE"] = "1"
    server = open_runner(
        f"vllm:{options.model}", RunnerConfig.model_validate({"vllm": {"server": True, "extra": SERVER}})
    )
    assert isinstance(server, VllmServer)
    rows: dict[str, Rows] = {"in turn": [], "async": []}
    try:
        with Grader(task.spec.scoring, options.workers) as grader, tempfile.TemporaryDirectory() as folder:
            for number in range(options.rounds):
                for way, found in rows.items():
                    config = _config(options, server.url.removesuffix("/v1"), way)
                    out = Path(folder) / f"{way} {number}"
                    run: Rows = []
                    reward = training_reward(task, grader)
                    train_grpo(options.model, requests, reward, config, out, Hooks(on_step=run.append))
                    found += run[NOT_COUNTED:]
    finally:
        server.close()
    _print(rows)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="nano")
    parser.add_argument("--task", default="pocket")
    parser.add_argument("--steps", type=int, default=12, help="steps of a run")
    parser.add_argument("--rounds", type=int, default=2, help="runs of each way")
    parser.add_argument("--prompts", type=int, default=16, help="prompts of a step")
    parser.add_argument("--group", type=int, default=8, help="answers to a prompt")
    parser.add_argument("--together", type=int, default=4, help="groups in one pass")
    parser.add_argument("--tokens", type=int, default=80, help="most tokens of an answer")
    parser.add_argument("--max-lag", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1, help="processes that score")
    return parser.parse_args()


def _config(options: argparse.Namespace, url: str, way: str) -> GrpoConfig:
    settings: dict[str, Any] = {
        "max_steps": options.steps,
        "prompts_per_step": options.prompts,
        "group_size": options.group,
        "micro_groups": options.together,
        "max_new_tokens": options.tokens,
        "vllm": {"mode": "server", "cpu": True, "base_url": url, "correction": "token_truncate"},
        "async": {"max_lag": options.max_lag} if way == "async" else None,
    }
    return GrpoConfig.model_validate(settings)


def _print(rows: Mapping[str, Rows]) -> None:
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
    print(f"in turn / async: {steps['in turn'] / steps['async']:.2f}")


if __name__ == "__main__":
    main()
