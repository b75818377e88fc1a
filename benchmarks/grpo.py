"""A GRPO step, ours and stock TRL's, with the same model, prompts, optimizer and length of answers.

    OMP_NUM_THREADS=1 python benchmarks/grpo.py [--prompts 100 400 800 1600] [--groups 4 8 16]
    OMP_NUM_THREADS=1 python benchmarks/grpo.py --model smollm2 --prompts 680 --groups 8 --step 2 2 --steps 1

Every case runs in a process of its own, with a model that cannot write the end token, so that every answer
has ``ANSWER`` tokens. By default the model is random and of nano's shape, and prompts have no common prefix
(``--schema`` makes a share of each prompt common, as for questions on one database). ``--model`` names a real
one: its prompts are questions of ``--task`` whose rendered lengths are nearest to the wanted ones, each on
another database, or all on one with ``--schema``. So the shared prefixes bring the least that they can.
Seconds are those of the fastest of ``--steps`` steps, after one that is not counted (``--cpu``: CPU seconds,
for a machine with other work); memory is the peak of the process above what it held before training.
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
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from datasets import Dataset
from grpo_models import random_model, random_prompts, real_model, real_prompts, request
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from runners.decoding.tokens import encode
from runners.nano import FOLDER as NANO
from runners.training.callbacks import Hooks
from runners.training.config import GrpoConfig, LoraSpec
from runners.training.grpo import train_grpo
from runners.training.lora import adapter_settings
from runners.types import Reward
from tasks.common.errors import HarnessError
from tasks.task import Task
from tasks.types import Message, Sample

ANSWER, STEPS, PROMPTS, TOGETHER = 64, 3, 4, 2
"""Tokens of an answer; by default: measured steps, prompts of a step, groups in one pass."""
MEGABYTE = 1024.0
"""KiB in a MiB: ``getrusage`` counts in KiB."""


@dataclass(frozen=True, slots=True)
class Case:
    """What a step consists of: lengths in tokens, the number of prompts, and which model and settings."""

    prompt: int
    group: int
    prompts: int = PROMPTS
    """Prompts of a step."""
    together: int = TOGETHER
    """Groups in one forward and backward pass."""
    steps: int = STEPS
    """Measured steps."""
    schema: float = 0.0
    model: str = ""
    """The name of a real model; "": a random one of nano's shape."""
    task: str = "spider"
    rank: int = 0
    """Rank of LoRA adapters; 0: full training."""
    rows: int = 0
    """Rows in one pass of stock's, where its memory is too small for ``together`` groups; 0: these."""
    cpu: bool = False
    """Count CPU seconds."""


def main() -> None:
    """Run every case both ways; print a table, or JSON."""
    options = _options()
    if options.case:
        way, case = options.case
        print(json.dumps(_measure(way, Case(**json.loads(case)))))
        return
    if not options.json:
        print("| prompt | group | sampling | learning | step | peak memory |")
        print("|---|---|---|---|---|---|", flush=True)
    names = ("steps", "schema", "model", "task", "rank", "rows", "cpu")
    shared = {name: getattr(options, name) for name in names}
    for prompt, group in itertools.product(options.prompts, options.groups):
        case = Case(prompt, group, *options.step, **shared)
        stock, ours = (_run_process(way, case) for way in ("stock", "ours"))
        if options.json:
            print(json.dumps({**asdict(case), "stock": stock, "ours": ours}), flush=True)
        else:
            print(_line(case, stock, ours), flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, nargs="+", default=[100, 400, 800, 1600], help="tokens")
    parser.add_argument("--groups", type=int, nargs="+", default=[4, 8, 16], help="answers to a prompt")
    parser.add_argument(
        "--step", type=int, nargs=2, default=[PROMPTS, TOGETHER], metavar=("PROMPTS", "TOGETHER")
    )
    parser.add_argument("--steps", type=int, default=STEPS, help="measured steps")
    parser.add_argument("--schema", type=float, default=0.0, help="share of a prompt that all prompts share")
    parser.add_argument("--model", default="", help="a real model; default: a random one of nano's shape")
    parser.add_argument("--task", default="spider", help="the real model's prompts are of this task")
    parser.add_argument("--rank", type=int, default=0, help="train LoRA adapters of this rank")
    parser.add_argument("--rows", type=int, default=0, help="rows in one pass of stock's; 0: those of ours")
    parser.add_argument("--cpu", action="store_true", help="count CPU seconds, not wall-clock seconds")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", nargs=2, metavar=("WAY", "JSON"), help=argparse.SUPPRESS)
    return parser.parse_args()


def _line(case: Case, stock: dict[str, float], ours: dict[str, float]) -> str:
    names = ("sampling", "learning", "step", "memory")
    cells = [f"{stock[n]:.2f} → {ours[n]:.2f} ({stock[n] / ours[n]:.1f} times)" for n in names[:3]]
    memory = f"{stock['memory']:.0f} → {ours['memory']:.0f} MB ({ours['memory'] / stock['memory']:.0%})"
    return f"| {ours['prompt']:.0f} | {case.group} | {' | '.join(cells)} | {memory} |"


def _run_process(way: str, case: Case) -> dict[str, float]:
    """One case in a process of its own."""
    command = [sys.executable, __file__, "--case", way, json.dumps(asdict(case))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _measure(way: str, case: Case) -> dict[str, float]:
    if case.cpu:
        time.perf_counter = time.process_time  # the clock of both trainers
    with tempfile.TemporaryDirectory() as folder:
        model, prompts = model_and_prompts(case, Path(folder) / "model")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        steps = {"ours": ours, "stock": _stock}[way](model, prompts, case, Path(folder) / "out")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        encoded = encode(AutoTokenizer.from_pretrained(model), [request(each, 0) for each in prompts])
    assert all(step["length"] == ANSWER for step in steps)
    best = min(steps[1:], key=lambda step: step["step"])
    return {**best, "memory": (peak - before) / MEGABYTE, "prompt": fmean(map(len, encoded))}


def model_and_prompts(case: Case, folder: Path) -> tuple[str, list[tuple[Message, ...]]]:
    """The model of a case, written to ``folder``, and its prompts."""
    if not case.model:
        model = random_model(folder, 2 * (case.prompt + ANSWER), AutoConfig.from_pretrained(NANO))
        return model, random_prompts(model, case.prompt, case.prompts, case.schema)
    model, task = real_model(folder, case.model), Task.named(case.task)
    split = task.spec.dataset.train_split
    return model, real_prompts(model, task, split, case.prompt, case.prompts, case.schema > 0)


def _rewards(texts: Sequence[str]) -> list[float]:
    """Rewards with spread in every group."""
    return [len(set(text)) + i % 2 for i, text in enumerate(texts)]


def ours(
    model: str, prompts: Sequence[tuple[Message, ...]], case: Case, out: Path, **changes: Any
) -> list[dict[str, float]]:
    """Seconds of each step's phases in our trainer, with ``changes`` to its settings."""
    rows: list[dict[str, float]] = []
    settings: dict[str, Any] = {
        "max_steps": case.steps + 1,
        "prompts_per_step": case.prompts,
        "group_size": case.group,
        "micro_groups": case.together,
        "max_new_tokens": ANSWER,
        "lora": LoraSpec(r=case.rank, alpha=2 * case.rank) if case.rank else None,
        **changes,
    }

    def score(samples: Sequence[Sample], answers: Sequence[str]) -> list[Reward]:
        return [Reward(value) for value in _rewards(answers)]

    train_grpo(
        model,
        [request(messages, i) for i, messages in enumerate(prompts)],
        score,
        GrpoConfig.model_validate(settings),
        out,
        Hooks(on_step=lambda row: rows.append(dict(row))),
    )
    return [
        {
            "sampling": row["sampling_seconds"],
            "learning": row["learning_seconds"],
            "step": row["seconds"],
            "length": row["length"],
        }
        for row in rows
    ]


def _stock(
    model: str, prompts: Sequence[tuple[Message, ...]], case: Case, out: Path
) -> list[dict[str, float]]:
    steps: list[dict[str, float]] = []

    class Timed(GRPOTrainer):
        """TRL's own trainer, its phases timed."""

        def _generate(self, prompts: Any) -> Any:
            began = time.perf_counter()
            result = super()._generate(prompts)
            steps[-1]["sampling"] = time.perf_counter() - began
            return result

    class StepTimes(TrainerCallback):
        def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
            steps.append({"began": time.perf_counter()})

        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            seconds = time.perf_counter() - steps[-1].pop("began")
            steps[-1] |= {"step": seconds, "learning": seconds - steps[-1]["sampling"]}

        def on_log(self, *args: Any, logs: Any = None, **kwargs: Any) -> None:
            if "completions/mean_length" in logs:
                steps[-1]["length"] = logs["completions/mean_length"]

    def reward(completions: Any, **columns: Any) -> list[float | None]:
        return [*_rewards([answer[-1]["content"] for answer in completions])]

    rows = case.rows or case.together * case.group
    arguments = GRPOConfig(
        output_dir=str(out),
        max_steps=case.steps + 1,
        per_device_train_batch_size=rows,
        gradient_accumulation_steps=case.prompts * case.group // rows,
        num_generations=case.group,
        max_completion_length=ANSWER,
        beta=0.0,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    policy = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    lora = LoraSpec(r=case.rank, alpha=2 * case.rank) if case.rank else None
    trainer = Timed(
        model=policy,
        args=arguments,
        reward_funcs=reward,
        train_dataset=Dataset.from_dict({"prompt": [list(messages) for messages in prompts]}),
        processing_class=AutoTokenizer.from_pretrained(model),
        callbacks=[StepTimes()],
        peft_config=adapter_settings(lora, policy),
    )
    trainer.train()
    return steps


if __name__ == "__main__":
    try:
        main()
    except HarnessError as error:
        raise SystemExit(str(error)) from None
