"""What each process does in ``test_processes.py``: FOLDER OUT METHOD...; see ``train``."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from test_training import GRPO, SFT, lessons, letters, requests
from torch.optim.optimizer import register_optimizer_step_pre_hook

from runners import processes
from runners.config import CurriculumSpec
from runners.grpo import train_grpo
from runners.sft import train_sft

STEPS: Mapping[str, Any] = {"max_steps": 3, "scheduler": "constant", "warmup": 0.0, "max_grad_norm": 1e9}
EXTRA: Mapping[str, Mapping[str, Any]] = {
    "grpo": {"curriculum": CurriculumSpec()},
    "grpo-batch": {"loss_type": "grpo", "scale_rewards": "batch", "beta": 0.1},
    "grpo-refill": {"refill": 4},
}


def train(method: str, folder: str, out: Path) -> None:
    """Three steps; the gradient of the first is kept in ``out/gradient.safetensors``."""
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, torch.Tensor] = {}

    def keep(optimizer: torch.optim.Optimizer, *_: object) -> None:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        for number, weight in enumerate(weights):
            found.setdefault(str(number), weight.grad.clone())

    hook = register_optimizer_step_pre_hook(keep)
    if method == "sft":
        train_sft(folder, lessons(), SFT.model_copy(update=STEPS), out)
    else:
        config = GRPO.model_copy(update={**STEPS, "micro_groups": 1, **EXTRA[method]})
        train_grpo(folder, requests(), letters, config, out)
    hook.remove()
    if processes.main():
        save_file(found, out / "gradient.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for method in sys.argv[3:]:
        train(method, sys.argv[1], Path(sys.argv[2]) / method)
    processes.leave()
