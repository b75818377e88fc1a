"""Asynchronous GRPO for tests, what they record of it, and FOLDER URL OUT: one against a vLLM server."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from test_training import GRPO, letters, requests
from test_training_vllm import odd_ones
from transformers import AutoModelForCausalLM

from runners.training.callbacks import Hooks
from runners.training.config import AsyncSpec, SamplingVllm
from runners.training.groups import Group
from runners.training.grpo import train_grpo
from runners.training.grpo_step import GrpoTrainer

ASYNC = GRPO.model_copy(
    update={"asynchronous": AsyncSpec(), "max_steps": 6, "scheduler": "constant", "warmup": 0.0}
)


class Recording(GrpoTrainer):
    """Our trainer, which keeps the weights of each step and what each step learned from."""

    weights: ClassVar[dict[int, Mapping[str, torch.Tensor]]] = {}
    learned: ClassVar[list[tuple[int, tuple[Group, ...]]]] = []
    """(step, groups) of every batch, those that were repeated after a resume too."""
    file: ClassVar[Path | None] = None
    """Where the step and the prompts of every batch are written, for another process."""

    def make_batch(self) -> Any:
        state = self.model.state_dict()
        Recording.weights[self.state.global_step] = {name: one.clone() for name, one in state.items()}
        return super().make_batch()

    def _tensors(self, groups: Sequence[Group], tokens: int) -> Any:
        Recording.learned.append((self.state.global_step, tuple(groups)))
        if self.file:
            with self.file.open("a") as file:
                file.write(json.dumps([self.state.global_step, [group.prompt for group in groups]]) + "\n")
        return super()._tensors(groups, tokens)


def largest_gap(folder: str, weights: int, groups: Sequence[Group], temperature: float = 1.0) -> float:
    """The largest difference of vLLM's log-probabilities of answers to those with the weights of a step."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.load_state_dict(Recording.weights[weights])
    gaps = []
    for one in [conversation for group in groups for conversation in group.conversations]:
        first, tokens = len(one.prompt) - 1, torch.tensor(one.tokens)
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([one.prompt + one.tokens])).logits[0, first:-1]
        found = (logits / temperature).log_softmax(-1).gather(-1, tokens[:, None])[:, 0].tolist()
        gaps += [
            abs(mine - (theirs or 0.0))
            for mine, theirs, drawn in zip(found, one.logprobs or (), one.sampled, strict=True)
            if drawn
        ]
    return max(gaps)


def train(folder: str, url: str, out: Path, vllm: Mapping[str, Any] | None = None, **changes: Any) -> None:
    server = {"mode": "server", "cpu": True, "base_url": url, "correction": "token_truncate", **(vllm or {})}
    update = {"vllm": SamplingVllm.model_validate(server), "max_new_tokens": 12, **changes}
    hooks = Hooks(feedback=odd_ones, trainer=Recording)
    train_grpo(folder, requests(), letters, ASYNC.model_copy(update=update), out, hooks)


if __name__ == "__main__":
    torch.set_num_threads(1)
    Recording.file = Path(sys.argv[3]).with_name("learned.jsonl")
    train(sys.argv[1], sys.argv[2], Path(sys.argv[3]), max_steps=8, save_every=2)
