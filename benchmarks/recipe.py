"""One experiment of ``recipe.md``: GRPO from a model, with EX on many held-out questions during training.

    OMP_NUM_THREADS=1 python benchmarks/recipe.py MODEL [--every 20] [--set max_steps=80] [--set refill=32]

The demo's 300 dev questions are too few to compare recipes (their standard error is three points). This
script draws 1,800 more like those of dev: with its phrasings, combinations of family and database, and unseen
databases, but no question of any split. ``--set`` changes keys of ``GrpoConfig`` from the demo's values.
Prints a row for each evaluation.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml

from harness.recipes import NANO
from harness.training.train import training_reward
from rewards.grader import Grader
from runners.hf import HfRunner
from runners.training.callbacks import Hooks
from runners.training.config import GrpoConfig
from runners.training.grpo import train_grpo
from runners.types import Request, Sampling
from runners.weights.loading import load_tokenizer
from runners.weights.source import resolve
from tasks.pocket import SPLITS, ensure, rows, sampling
from tasks.pocket.domains import DOMAINS
from tasks.pocket.fill import INSTANCES, fill
from tasks.task import Task
from tasks.types import Sample

SIZES = {"seen": 1350, "unseen": 450}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--every", type=int, default=20, help="steps between two evaluations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    options = parser.parse_args()
    changes = {key: yaml.safe_load(value) for key, value in (item.split("=", 1) for item in options.set)}
    settings = {"seed": options.seed, "eval_every": options.every, "save_every": options.every} | changes
    config = GrpoConfig.model_validate(NANO.grpo.model_dump() | settings)
    task = Task.named(NANO.task)
    print("| step | EX | seen databases | not executable | seconds |\n|---|---|---|---|---|")
    with Grader(task.spec.scoring, 1) as grader, tempfile.TemporaryDirectory() as out:
        evaluation = HeldOutEvaluation(task, grader, options.model, config.eval_every)
        prompts = [
            Request(sample, task.messages(sample)) for sample in task.samples("train", seed=options.seed)
        ]
        hooks = Hooks(evaluate=evaluation, on_step=evaluation.on_step)
        train_grpo(options.model, prompts, training_reward(task, grader), config, Path(out), hooks)


class HeldOutEvaluation:
    """Evaluates a live model, greedily, on the additional questions."""

    def __init__(self, task: Task, grader: Grader, model: str, every: int) -> None:
        self.every = every
        self.task, self.grader, self.tokenizer = task, grader, load_tokenizer(resolve(model))
        self.samples = further_samples(task.samples("dev", 1)[0])
        self.requests = [Request(sample, task.messages(sample)) for sample in self.samples]
        self.seconds = 0.0
        self.evaluations = 0

    def on_step(self, row: Mapping[str, float]) -> None:
        """Count the time that training took."""
        self.seconds += row["seconds"]

    def __call__(self, model: Any) -> float:
        answer = self.task.spec.answer
        sampling_settings = Sampling(max_new_tokens=answer.max_new_tokens, stop=answer.stop)
        drawn = dict(HfRunner(model, self.tokenizer).generate(self.requests, sampling_settings))
        texts = [drawn[index][0].text for index in range(len(self.samples))]
        grades = self.grader.grade(self.task, self.samples, texts)
        right = [float(grade.attempt.verdicts[self.task.spec.scoring.metric] or 0) for grade in grades]
        seen = fmean(
            value for value, sample in zip(right, self.samples, strict=True) if sample.part == "seen"
        )
        failed = sum(not grade.attempt.executes for grade in grades)
        step, ex = self.evaluations * self.every, fmean(right)
        print(f"| {step} | {ex:.1%} | {seen:.1%} | {failed} | {self.seconds:.0f} |", flush=True)
        self.evaluations += 1
        return ex


def further_samples(like: Sample) -> list[Sample]:
    """Questions that are in no split, with the other fields of ``like``, a sample of dev."""
    files = {
        domain.name: sorted((ensure() / domain.name).glob("*.sqlite"), key=lambda file: len(file.name))
        for domain in DOMAINS
    }
    base = {domain.name: fill(domain, INSTANCES[0]) for domain in DOMAINS}
    asked = [row["question"] for split in SPLITS for row in rows(split)]
    with closing(sampling.Sampler(base, files, seed=1, asked=asked)) as sampler:
        drawn = [row for part, size in SIZES.items() for row in sampler.collect("dev", part, size)]
    return [
        replace(
            like,
            id=str(number),
            question=row["question"],
            gold=(row["query"],),
            database=row["db_id"],
            difficulty=row["difficulty"],
            family=row["family"],
            part=row["part"],
        )
        for number, row in enumerate(drawn)
    ]


if __name__ == "__main__":
    main()
