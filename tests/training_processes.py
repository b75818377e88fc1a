"""What each of two processes does in ``test_processes.py``: method, model folder, out."""

import sys
from pathlib import Path

import torch
from test_training import GRPO, SFT, lessons, letters, requests

from runners import processes
from runners.config import CurriculumSpec
from runners.grpo import train_grpo
from runners.sft import train_sft
from runners.training import Hooks

STEPS = {"max_steps": 3, "save_every": 2, "eval_every": 2, "scheduler": "constant", "warmup": 0.0}
EXTRA = {
    "grpo": {},
    "grpo-stock": {"shared_prefix": False, "beta": 0.1},
    "grpo-loss": {"loss_type": "grpo", "scale_rewards": "batch"},
    "grpo-refill": {"curriculum": CurriculumSpec(), "refill": 4},
}


def train(method: str, folder: str, out: Path, hooks: Hooks | None = None) -> None:
    """Three steps; the first moves the weights by plain gradient descent."""
    if method == "sft":
        train_sft(folder, lessons(), SFT.model_copy(update=STEPS), out, hooks)
    else:
        config = GRPO.model_copy(update=STEPS | EXTRA[method] | {"micro_groups": 1})
        train_grpo(folder, requests(), letters, config, out, hooks)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for method in sys.argv[3:]:
        train(method, sys.argv[1], Path(sys.argv[2]) / method, Hooks(evaluate=lambda model: 0.0))
    processes.leave()
