"""The folder with which SkyRL trains on a task. Needs none of SkyRL's packages."""

from __future__ import annotations

import json
import shlex

from harness.adapters.options import ExportOptions
from harness.adapters.parquet_folder import Row, Trainer, Written, write_folder

ENVIRONMENT = "harness_sql"
CODE = f'''\
"""SkyRL's training on the task in this folder; written by `harness export skyrl`."""

import sys
from pathlib import Path

import ray
from skyrl.train.config import SkyRLTrainConfig
from skyrl.train.entrypoints.main_base import BasePPOExp, validate_cfg
from skyrl.train.utils import initialize_ray
from skyrl_gym.envs import register

ENVIRONMENT = {{"folder": str(Path(__file__).resolve().parent), "opens": OPENS}}


@ray.remote(num_cpus=1)
def train(config):
    register(id="{ENVIRONMENT}", entry_point="harness.adapters.skyrl:SqlEnv", kwargs=ENVIRONMENT)
    BasePPOExp(config).run()


if __name__ == "__main__":
    config = SkyRLTrainConfig.from_cli_overrides(sys.argv[1:])
    validate_cfg(config)
    initialize_ray(config)
    ray.get(train.remote(config))
'''
"""After SkyRL's ``examples/train/multiply/main_multiply.py``, August 2026."""


def export(options: ExportOptions) -> str:
    """Write the folder; the command that trains on it. Raises SpecError, DataError."""
    written = write_folder(Trainer("skyrl", _columns, "main.py", CODE), options)
    return command(written, options) + "\n"


def _columns(gold: str) -> Row:
    return {"env_class": ENVIRONMENT, "reward_spec": {"method": "rule", "ground_truth": gold}}


def command(written: Written, options: ExportOptions) -> str:
    """The command line that trains a model with GRPO on the folder, in an environment that has SkyRL."""
    folder, answer = written.folder, written.task.spec.answer
    settings = {
        "data.train_data": json.dumps([str(folder / "train.parquet")]),
        "data.val_data": json.dumps([str(folder / "test.parquet")]),
        "environment.env_class": ENVIRONMENT,
        "trainer.algorithm.advantage_estimator": "grpo",
        "trainer.policy.model.path": options.model,
        "trainer.max_prompt_length": written.prompt_tokens,
        "generator.max_turns": options.turns,
        "generator.max_input_length": written.prompt_tokens + (options.turns - 1) * 2 * answer.max_new_tokens,
        "generator.sampling_params.max_generate_length": answer.max_new_tokens,
        "generator.n_samples_per_prompt": 8,
    }
    overrides = [shlex.quote(f"{key}={value}") for key, value in settings.items()]
    return " \\\n  ".join([f"python {shlex.quote(str(folder / 'main.py'))}", *overrides])
