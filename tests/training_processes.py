"""What each process does in ``test_processes.py``: FOLDER OUT METHOD...; see ``train``."""

import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from test_training import GRPO, SFT, examples, letters, requests
from torch.distributed.tensor import DTensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from runners.training import distributed
from runners.training.callbacks import Hooks
from runners.training.config import CurriculumSpec, LoraSpec
from runners.training.grpo import train_grpo
from runners.training.sft import train_sft
from runners.types import Reward
from tasks.types import Sample

STEPS: Mapping[str, Any] = {"max_steps": 3, "scheduler": "constant", "warmup": 0.0, "max_grad_norm": 1e9}
EXTRA: Mapping[str, Mapping[str, Any]] = {
    "grpo": {"curriculum": CurriculumSpec()},
    "grpo-batch": {"loss_type": "grpo", "scale_rewards": "batch", "beta": 0.1},
    "grpo-refill": {"refill": 4},
    "grpo-fsdp2": {"sharding": "fsdp2", "curriculum": CurriculumSpec(), "eval_every": 1, "beta": 0.1},
    "lora-fsdp2": {"sharding": "fsdp2", "lora": LoraSpec(r=4, alpha=8), "gradient_checkpointing": True},
    "sft-fsdp2": {"sharding": "fsdp2"},
    "sft": {},
    "grpo-turns": {"max_turns": 3, "loss_type": "grpo"},
}


def complaints(samples: Sequence[Sample], texts: Sequence[str], before: Sequence[str]) -> list[str]:
    """Every other question's answers are asked for again."""
    return ["Again." if int(sample.id) % 2 else "" for sample in samples]


def sparse(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
    """Rewards the letter e in one question of four: most groups, and passes, have zero advantage."""
    return [
        Reward(text.count("e") / 100 if int(sample.id) % 4 == 0 else 0.0)
        for sample, text in zip(samples, texts, strict=True)
    ]


def train(method: str, folder: str, out: Path) -> None:
    """Three steps; the gradient of the first is kept in ``out/gradient.safetensors``.

    Sharded processes are asked to stop in the second step, and go on from their checkpoint.
    """
    out.mkdir(parents=True, exist_ok=True)
    found: dict[str, torch.Tensor] = {}
    steps = 0

    def keep(optimizer: torch.optim.Optimizer, *_: object) -> None:
        nonlocal steps
        steps += 1
        if steps == 2 and method == "grpo-fsdp2" and distributed.world_size() > 1:
            signal.raise_signal(signal.SIGINT)
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        for number, weight in enumerate(weights):
            grad = weight.grad.full_tensor() if isinstance(weight.grad, DTensor) else weight.grad
            found.setdefault(str(number), grad.clone())

    hook = register_optimizer_step_pre_hook(keep)
    try:
        learn(method, folder, out)
    except KeyboardInterrupt:
        learn(method, folder, out)
    hook.remove()
    if distributed.is_main():
        save_file(found, out / "gradient.safetensors")


def learn(method: str, folder: str, out: Path) -> None:
    changes = {**STEPS, **EXTRA[method]}
    if distributed.world_size() == 1:
        changes["sharding"] = "none"
    if method.startswith("sft"):
        train_sft(folder, examples(), SFT.model_copy(update=changes), out)
        return
    config = GRPO.model_copy(update={"micro_groups": 1, **changes})
    evaluate = better if config.eval_every == 1 and distributed.is_main() else None
    score = sparse if method == "grpo-turns" else letters
    train_grpo(folder, requests(), score, config, out, Hooks(evaluate, feedback=complaints))


def better(model: Any) -> float:
    """A figure that rises; asking the model of it needs all its weights, in one process alone."""
    with torch.inference_mode():
        assert model(input_ids=torch.arange(9)[None]).logits.isfinite().all()
    return time.monotonic()


if __name__ == "__main__":
    torch.set_num_threads(1)
    for method in sys.argv[3:]:
        train(method, sys.argv[1], Path(sys.argv[2]) / method)
    distributed.shut_down()
