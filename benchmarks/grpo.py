"""A GRPO step, ours and stock TRL's, with the same model, prompts, optimizer and length of answers.

    OMP_NUM_THREADS=1 python benchmarks/grpo.py [--prompts 100 400 800 1600] [--groups 4 8 16]

Every case runs in a process of its own, with a random model of nano's shape that cannot write the end token,
so that every answer has ``ANSWER`` tokens. Prompts have no common prefix, and answers almost none, so the
shared prefixes bring the least that they can (``--schema`` makes a share of each prompt common, as for
questions on one database). Seconds are those of the fastest of ``STEPS`` steps, after one that is not
counted; memory is the peak of the process above what it held before training.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from runners.nano import FOLDER
from runners.training.callbacks import Hooks
from runners.training.config import GrpoConfig
from runners.training.grpo import train_grpo
from runners.types import Request, Reward
from tasks.types import Sample

ANSWER, STEPS, PROMPTS, TOGETHER = 64, 3, 4, 2
"""Tokens of an answer; measured steps; prompts of a step; groups in one forward and backward pass."""
MEGABYTE = 1024.0
"""KiB in a MiB: ``getrusage`` counts in KiB."""


def main() -> None:
    """Run every case both ways; print a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--prompts", type=int, nargs="+", default=[100, 400, 800, 1600])
    parser.add_argument("--groups", type=int, nargs="+", default=[4, 8, 16])
    parser.add_argument("--schema", type=float, default=0.0, help="share of a prompt that all prompts share")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", nargs=3, metavar=("WAY", "PROMPT", "GROUP"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        way, prompt, group = options.case
        print(json.dumps(_case(way, int(prompt), int(group), options.schema)))
        return
    if not options.json:
        print("| prompt | group | sampling | learning | step | peak memory |")
        print("|---|---|---|---|---|---|")
    for prompt in options.prompts:
        for group in options.groups:
            stock, ours = (_run_process(way, prompt, group, options.schema) for way in ("stock", "ours"))
            if options.json:
                print(
                    json.dumps({"prompt": prompt, "group": group, "stock": stock, "ours": ours}), flush=True
                )
            else:
                print(_line(prompt, group, stock, ours), flush=True)


def _line(prompt: int, group: int, stock: dict[str, float], ours: dict[str, float]) -> str:
    names = ("sampling", "learning", "step", "memory")
    cells = [f"{stock[n]:.2f} → {ours[n]:.2f} ({stock[n] / ours[n]:.1f} times)" for n in names[:3]]
    memory = f"{stock['memory']:.0f} → {ours['memory']:.0f} MB ({ours['memory'] / stock['memory']:.0%})"
    return f"| {prompt} | {group} | {' | '.join(cells)} | {memory} |"


def _run_process(way: str, prompt: int, group: int, schema: float) -> dict[str, float]:
    """One case in a process of its own."""
    command = [sys.executable, __file__, "--schema", str(schema), "--case", way, str(prompt), str(group)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _case(way: str, prompt: int, group: int, schema: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        model = random_model(
            Path(folder) / "model", 2 * (prompt + ANSWER), AutoConfig.from_pretrained(FOLDER)
        )
        texts = texts_of(model, prompt, schema)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        steps = {"ours": ours, "stock": _stock}[way](model, texts, group, Path(folder) / "out")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert all(step["length"] == ANSWER for step in steps)
    best = min(steps[1:], key=lambda step: step["step"])
    return {**best, "memory": (peak - before) / MEGABYTE}


def random_model(folder: Path, context: int, config: Any, dtype: torch.dtype = torch.float32) -> str:
    """A random model of this shape, with nano's tokenizer and an end token that it cannot write."""
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    padding = tokenizer.pad_token or tokenizer.eos_token
    tokenizer.add_special_tokens({"eos_token": "<|never|>", "pad_token": padding})
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config.max_position_embeddings, config.eos_token_id = context, tokenizer.eos_token_id
    model: Any = AutoModelForCausalLM.from_config(config, dtype=dtype)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    return str(folder)


def texts_of(model: str, prompt: int, schema: float) -> list[str]:
    """PROMPTS user messages of ``prompt`` tokens when rendered; the share ``schema`` of each is the same."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    words: list[str] = [str(tokenizer.decode([index])) for index in range(len(tokenizer))]
    words = [w for w in words if w[:1] == " " and w[1:].isalpha() and len(tokenizer.tokenize(2 * w)) == 2]
    empty = tokenizer.apply_chat_template(
        [{"role": "user", "content": ""}], add_generation_prompt=True, tokenize=False
    )
    count = prompt - len(tokenizer.tokenize(str(empty)))
    generator = random.Random(0)
    shared = generator.choices(words, k=int(schema * count))
    return ["".join(shared + generator.choices(words, k=count - len(shared))) for _ in range(PROMPTS)]


def _rewards(texts: Sequence[str]) -> list[float]:
    """Rewards with spread in every group."""
    return [len(set(text)) + i % 2 for i, text in enumerate(texts)]


def ours(model: str, texts: Sequence[str], group: int, out: Path, **changes: Any) -> list[dict[str, float]]:
    """Seconds of each step's phases in our trainer, with ``changes`` to its settings."""
    rows: list[dict[str, float]] = []
    config = GrpoConfig(
        max_steps=STEPS + 1,
        prompts_per_step=PROMPTS,
        group_size=group,
        micro_groups=TOGETHER,
        max_new_tokens=ANSWER,
        **changes,
    )
    prompts = [
        Request(
            Sample(id=str(i), question=text, database="", gold=("",)), ({"role": "user", "content": text},)
        )
        for i, text in enumerate(texts)
    ]

    def score(samples: Sequence[Sample], answers: Sequence[str]) -> list[Reward]:
        return [Reward(value) for value in _rewards(answers)]

    train_grpo(model, prompts, score, config, out, Hooks(on_step=lambda row: rows.append(dict(row))))
    return [
        {
            "sampling": row["sampling_seconds"],
            "learning": row["learning_seconds"],
            "step": row["seconds"],
            "length": row["length"],
        }
        for row in rows
    ]


def _stock(model: str, texts: Sequence[str], group: int, out: Path) -> list[dict[str, float]]:
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

    arguments = GRPOConfig(
        output_dir=str(out),
        max_steps=STEPS + 1,
        per_device_train_batch_size=TOGETHER * group,
        gradient_accumulation_steps=PROMPTS // TOGETHER,
        num_generations=group,
        max_completion_length=ANSWER,
        beta=0.0,
        use_cpu=not torch.cuda.is_available(),
        bf16=torch.cuda.is_available(),
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    trainer = Timed(
        model=AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32),
        args=arguments,
        reward_funcs=reward,
        train_dataset=Dataset.from_dict({"prompt": [[{"role": "user", "content": text}] for text in texts]}),
        processing_class=AutoTokenizer.from_pretrained(model),
        callbacks=[StepTimes()],
    )
    trainer.train()
    return steps


if __name__ == "__main__":
    main()
