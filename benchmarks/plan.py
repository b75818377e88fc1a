"""``harness train --plan`` against measurements: peak memory, and seconds of a step.

    OMP_NUM_THREADS=1 python benchmarks/plan.py [--model smollm2] [--prompts 256 680 1600]
    OMP_NUM_THREADS=1 python benchmarks/plan.py --fake [Qwen3-0.6B ...]    # a GPU's memory, by plan_fake.py

Every case trains two steps in a process of its own, with prompts of the wanted length that share nothing and
answers of ``ANSWER`` tokens. Memory is the peak resident size of the process. Seconds are the CPU seconds of
the second step, because other work on the machine would lengthen wall-clock seconds. It lengthens CPU seconds
too where cores share caches, so the plan gets the mean speed of the machine before and after the training.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from grpo_models import random_prompts, real_model, request
from plan_fake import MODELS, fake_lines

from runners.training import plan as planning
from runners.training.callbacks import Hooks
from runners.training.config import GrpoConfig, LoraSpec, SftConfig
from runners.training.speed import Speed, machine_speed
from runners.types import Reward, TrainingExample
from runners.weights import loading
from runners.weights.source import resolve

ANSWER, ITEMS, GROUP, STEPS = 32, 2, 4, 2
"""Tokens of an answer; rows or prompts of a step, all in one pass; answers to a prompt; steps."""
RANK = 16
KINDS = {"full": None, "LoRA": LoraSpec(r=RANK), "QLoRA": LoraSpec(r=RANK, four_bit=True)}
KIBIBYTE = 1024


def main() -> None:
    """Print the table of the cases."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--prompts", type=int, nargs="+", default=[256, 680, 1600], help="tokens")
    parser.add_argument("--kinds", nargs="+", default=[*KINDS], choices=KINDS)
    parser.add_argument("--methods", nargs="+", default=["sft", "grpo"], choices=["sft", "grpo"])
    parser.add_argument("--checkpointing", action="store_true", help="with gradient checkpointing")
    parser.add_argument(
        "--fake", nargs="*", choices=MODELS, help="published shapes on a GPU, by fake tensors"
    )
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(_measure(**json.loads(options.case))))
        return
    for line in _lines(options) if options.fake is None else fake_lines(options.fake or [*MODELS]):
        print(line, flush=True)


def _lines(options: argparse.Namespace) -> Iterator[str]:
    names = ("predicted MB", "measured MB", "error", "predicted s", "measured s", "error")
    yield f"| method | weights | prompt | {' | '.join(names)} |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for method, kind, prompt in itertools.product(options.methods, options.kinds, options.prompts):
        case = {"model": options.model, "method": method, "kind": kind, "prompt": prompt}
        case["checkpointing"] = options.checkpointing
        command = [sys.executable, __file__, "--case", json.dumps(case)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr)
        found = json.loads(done.stdout.splitlines()[-1])
        predicted, measured = found["predicted"], found["measured"]
        cells = [
            f"{predicted[name] / unit:,.{digits}f} | {measured[name] / unit:,.{digits}f}"
            f" | {predicted[name] / measured[name] - 1:+.0%}"
            for name, unit, digits in (("memory", 1e6, 0), ("seconds", 1, 1))
        ]
        yield f"| {method} | {kind} | {found['prompt']} | {' | '.join(cells)} |"


def _measure(model: str, method: str, kind: str, prompt: int, checkpointing: bool) -> dict[str, Any]:
    """The predicted and the measured bytes and seconds of one case, and more of both."""
    time.perf_counter = time.process_time  # the trainers' clock
    shared = {"max_steps": STEPS, "lora": KINDS[kind], "gradient_checkpointing": checkpointing}
    config: Any = (
        SftConfig(batch_size=ITEMS, micro_batch=ITEMS, **shared)
        if method == "sft"
        else GrpoConfig(
            prompts_per_step=ITEMS, micro_groups=ITEMS, group_size=GROUP, max_new_tokens=ANSWER, **shared
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        path = real_model(Path(folder) / "model", model)
        messages = random_prompts(path, prompt, ITEMS, schema=0.0)
        tokenizer = loading.load_tokenizer(resolve(path))
        encoded = tokenizer.apply_chat_template(
            [list(each) for each in messages], add_generation_prompt=True, return_dict=True
        )
        length = max(map(len, encoded["input_ids"]))
        shape = planning.model_shape(loading.config_of(resolve(path)))
        before = machine_speed(shape, kind == "QLoRA")
        rows = _train(method, path, messages, config, Path(folder) / "out")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBIBYTE
    speed = _mean(before, machine_speed(shape, kind == "QLoRA"))
    workload = planning.Workload(length, ANSWER, gpu=False, **asdict(speed))
    found = planning.plan(shape, config, workload)
    return {
        "prompt": length,
        "predicted": {"memory": found.peak, "seconds": sum(found.seconds.values())},
        "measured": {"memory": memory, "seconds": rows[-1]["seconds"]},
        "parts": {"memory": found.memory, "seconds": found.seconds},
        "phases": rows[-1],
        "machine": asdict(speed),
    }


def _mean(first: Speed, second: Speed) -> Speed:
    pairs = zip(asdict(first).items(), asdict(second).values(), strict=True)
    return Speed(**{name: (one + other) / 2 for (name, one), other in pairs})


def _train(method: str, path: str, messages: Sequence[Any], config: Any, out: Path) -> list[dict[str, float]]:
    from runners.training.grpo import train_grpo
    from runners.training.sft import train_sft

    rows: list[dict[str, float]] = []
    hooks = Hooks(on_step=lambda row: rows.append(dict(row)))
    if method == "sft":
        words = " SELECT" * (ANSWER - 1)
        train_sft(path, [TrainingExample(each, words) for each in messages], config, out, hooks)
        return rows

    def score(samples: Sequence[Any], answers: Sequence[str]) -> list[Reward]:
        return [Reward(float(i % 2)) for i, _ in enumerate(answers)]

    train_grpo(path, [request(each, i) for i, each in enumerate(messages)], score, config, out, hooks)
    return rows


if __name__ == "__main__":
    main()
