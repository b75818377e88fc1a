"""Settings of a training run: typed, frozen, a misspelt key is an error."""

from __future__ import annotations

import hashlib
import json
from typing import Literal

from pydantic import Field

from runners.processes import share
from tasks.spec import Spec


class LoraSpec(Spec):
    """Low-rank adapters (Hu et al. 2021) instead of full training."""

    r: int = Field(default=16, gt=0, le=1024)
    alpha: int = Field(default=32, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: tuple[str, ...] = ()
    """Names of the layers that get an adapter; none given: every linear layer but the head."""
    four_bit: bool = False
    """Hold the frozen base in 4 bits (QLoRA: NF4, double quantization); merged into the whole at the end."""


class CurriculumSpec(Spec):
    """Prompts by the chance that some answers are right and some wrong (``runners/curriculum.py``)."""

    run: str = ""
    """An evaluation of the training questions with several answers each: a run's id or a model's name.
    "": every prompt begins unknown."""
    memory: float = Field(default=0.5, ge=0, le=1)
    """What the answers before count for when a prompt is asked again."""


class TrainingConfig(Spec):
    """What every method shares. Steps are optimizer steps."""

    learning_rate: float = Field(default=1e-4, gt=0)
    epochs: float = Field(default=1.0, gt=0)
    """Passes over the rows, where ``max_steps`` does not say."""
    max_steps: int = Field(default=0, ge=0)
    """Steps to take; 0: as many as ``epochs`` needs."""
    scheduler: Literal["constant", "constant_with_warmup", "linear", "cosine"] = "cosine"
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = Field(default=0.0, ge=0)
    max_grad_norm: float = Field(default=1.0, gt=0)
    seed: int = Field(default=0, ge=0)
    lora: LoraSpec | None = None
    gradient_checkpointing: bool = False
    save_every: int = Field(default=100, gt=0)
    """Steps between two checkpoints; a run that is killed goes on from the last."""
    eval_every: int = Field(default=100, gt=0)
    """Steps between two evaluations on dev; the best weights are the ones kept."""
    stop_if: tuple[str, ...] = ()
    """Conditions on the curve that end the run with a report, such as ``reward < 0.1 for 20``."""
    collapse: float = Field(default=1.0, ge=0)
    """End the run where the mean reward of ten steps lies this many (first) standard deviations of the
    reward below that of the first ten; 0: never."""
    wandb: bool = False
    """Also log to Weights & Biases; offline where WANDB_API_KEY is not set."""

    @property
    def digest(self) -> str:
        """SHA-256 of the settings, 16 hex digits."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class SftConfig(TrainingConfig):
    """Supervised fine-tuning: the loss is on the answer's tokens only."""

    learning_rate: float = Field(default=5e-4, gt=0)
    batch_size: int = Field(default=32, gt=0)
    """Rows a step."""
    micro_batch: int = Field(default=32, gt=0)
    """Rows in one forward and backward; divides ``batch_size``."""
    max_length: int = Field(default=0, ge=0)
    """Tokens of prompt and answer after which a row is cut; 0: the model's context."""
    packing: bool = False
    """Fill rows with whole texts, as TRL does; prompts are then not shared."""
    shared_prefix: bool = True
    """Compute what the texts of a batch share once; false: TRL's own loss."""

    def at_once(self, processes: int) -> int:
        """Rows in one forward and backward of each process. Raises ModelError."""
        return share(self.batch_size, self.micro_batch, processes, ("batch_size", "micro_batch"))


class GrpoConfig(TrainingConfig):
    """Group-relative policy optimisation (Shao et al. 2024, arXiv:2402.03300); losses by TRL's names."""

    prompts_per_step: int = Field(default=32, gt=0)
    group_size: int = Field(default=8, gt=1)
    """Answers drawn for each prompt."""
    micro_groups: int = Field(default=2, gt=0)
    """Groups in one forward and backward; divides ``prompts_per_step``."""
    beta: float = Field(default=0.0, ge=0)
    """Weight of the KL divergence from the model that training started with; 0: no reference model."""
    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_new_tokens: int = Field(default=256, gt=0)
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"] = "dapo"
    scale_rewards: Literal["group", "batch", "none"] = "group"
    importance_sampling_level: Literal["token", "sequence"] = "token"
    num_iterations: int = Field(default=1, gt=0)
    """Optimizer steps on each batch of answers."""
    epsilon: float = Field(default=0.2, gt=0)
    epsilon_high: float | None = Field(default=None, gt=0)
    mask_truncated: bool = False
    """Leave answers that hit ``max_new_tokens`` out of the loss."""
    max_turns: int = Field(default=1, ge=1)
    """Over 1 the model hears what the database says to a query that fails or returns nothing, and tries
    again; feedback is masked out of the loss and the last answer is paid."""
    turn_cost: float = Field(default=0.0, ge=0, le=0.4)
    """What the last of ``max_turns`` answers is paid less, those between in proportion."""
    learn_from: Literal["spread", "mixed"] = "spread"
    """Groups whose rewards differ, or only those that hold right and wrong answers."""
    refill: int = Field(default=0, ge=0)
    """Further prompts that a step may ask in place of groups that teach nothing (dynamic
    sampling, DAPO, arXiv:2503.14476)."""
    curriculum: CurriculumSpec | None = None
    shared_prefix: bool = True
    """Compute a group's prompt once; false: TRL's own sampling and loss."""

    @property
    def passes(self) -> int:
        """Forwards and backwards in a step."""
        return self.prompts_per_step // self.micro_groups

    def at_once(self, processes: int) -> int:
        """Groups in one forward and backward of each process. Raises ModelError."""
        names = ("prompts_per_step", "micro_groups")
        return share(self.prompts_per_step, self.micro_groups, processes, names)
