"""Settings of a training run. They are typed and frozen, and an unknown key is an error."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from runners.chat_templates import TemplateSettings
from runners.training.distributed import per_pass
from tasks.common.parse import Spec


class LoraSpec(Spec):
    """Low-rank adapters (Hu et al. 2021) instead of full training."""

    r: int = Field(default=16, gt=0, le=1024)
    """Rank of the adapters."""
    alpha: int = Field(default=32, gt=0)
    """Scale of the adapters: their output is multiplied by ``alpha / r``."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout on the input of the adapters."""
    targets: tuple[str, ...] = ()
    """Names of the layers that get an adapter; empty: every linear layer except the head. Experts in
    one tensor get one only if named, such as ``gate_up_proj``."""
    four_bit: bool = False
    """Hold the frozen base in 4 bits (QLoRA: NF4, double quantization)."""


class CurriculumSpec(Spec):
    """Draw prompts with the probability that their answers are partly right (``groups.PromptChooser``)."""

    run: str = ""
    """An evaluation of the training questions with several answers each, as a run's id or a model's name;
    "": no pass rate is known at the start."""
    memory: float = Field(default=0.5, ge=0, le=1)
    """Weight of earlier answers in a prompt's pass rate when new answers are added."""


class TrainingConfig(TemplateSettings):
    """Settings of SFT and GRPO. A step is an optimizer step."""

    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak learning rate of AdamW."""
    epochs: float = Field(default=1.0, gt=0)
    """Passes over the rows, if ``max_steps`` is 0."""
    max_steps: int = Field(default=0, ge=0)
    """Number of steps; 0: as many as ``epochs`` needs."""
    scheduler: Literal["constant", "constant_with_warmup", "linear", "cosine"] = "cosine"
    """Course of the learning rate over the steps."""
    warmup: float = Field(default=0.03, ge=0, lt=1)
    """Share of the steps in which the learning rate rises."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's weight decay."""
    max_grad_norm: float = Field(default=1.0, gt=0)
    """Norm to which gradients are clipped."""
    seed: int = Field(default=0, ge=0)
    """Seed of the order of rows, of sampling and of new adapters."""
    lora: LoraSpec | None = None
    """Train low-rank adapters; null: train all weights."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    sharding: Literal["none", "fsdp2"] = "none"
    """Shard weights, gradients and optimizer over the processes; "none": each process holds all (DDP)."""
    deepspeed: str = ""
    """Path of a DeepSpeed configuration (JSON) of ZeRO stage 1 or 2."""
    same_prefix: int = Field(default=0, ge=0)
    """So many questions on one database stand together in a step, so that its schema is computed once (with
    ``shared_prefix``; without ``curriculum``); 0: questions stand together by length (SFT) or by chance."""
    save_every: int = Field(default=100, gt=0)
    """Steps between two checkpoints; a run that was killed continues from the last one."""
    eval_every: int = Field(default=100, gt=0)
    """Steps between two evaluations on dev; the weights that are best on dev are kept."""
    stop_if: tuple[str, ...] = ()
    """Conditions on the curve that end the run with a report, such as ``reward < 0.1 for 20``."""
    collapse: float = Field(default=1.0, ge=0)
    """End the run if the mean reward of ten steps falls below that of the first ten by this many standard
    deviations of the reward in the first ten; 0: never."""
    unscored: float = Field(default=0.05, ge=0, le=1)
    """End the run if more than this share of the last answers is unscored (``alarms/unscored``); 1: never."""
    tracker: Literal["", "wandb", "trackio"] = ""
    """Log to ``wandb`` (Weights & Biases; offline if WANDB_API_KEY is not set) or ``trackio`` too (local
    unless TRACKIO_SPACE_ID or TRACKIO_SERVER_URL is set)."""

    @model_validator(mode="before")
    @classmethod
    def _name_replaced_keys(cls, values: Any) -> Any:
        if isinstance(values, dict) and "wandb" in values:
            raise ValueError("wandb is now tracker: write tracker=wandb")
        return values

    @property
    def digest(self) -> str:
        """SHA-256 of the settings, 16 hex digits."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class SftConfig(TrainingConfig):
    """Supervised fine-tuning: the loss is on the answer's tokens only."""

    learning_rate: float = Field(default=5e-4, gt=0)
    """Peak learning rate of AdamW."""
    batch_size: int = Field(default=32, gt=0)
    """Rows of a step, over all processes."""
    micro_batch: int = Field(default=32, gt=0)
    """Rows of one forward and backward pass; must divide ``batch_size``."""
    max_length: int = Field(default=0, ge=0)
    """Rows are cut after this many tokens of prompt and answer; 0: the model's context."""
    packing: bool = False
    """Pack several texts into a row, as TRL does; prefixes are then not shared."""
    shared_prefix: bool = True
    """Compute shared prefixes of a batch once; false: TRL's own loss, where it is right for the model."""

    @property
    def items_per_step(self) -> int:
        """Rows of a step, in all processes together."""
        return self.batch_size

    def items_per_pass(self, processes: int) -> int:
        """Rows in one forward and backward of each process. Raises ModelError."""
        return per_pass(self.batch_size, self.micro_batch, processes, ("batch_size", "micro_batch"))


class SamplingVllm(Spec):
    """Draw answers with vLLM through TRL, which sends it the weights after every step."""

    mode: Literal["colocate", "server"] = "colocate"
    """``colocate``: in the training processes, on their GPUs; ``server``: a ``vllm serve`` on other GPUs."""
    cpu: bool = False
    """Without a GPU, use vLLM's CPU build, for small models and tests; false: refuse. The weights reach a
    server, which is then on this machine, by a folder."""
    base_url: str = ""
    """URL of the server; "": ``host`` and ``port``."""
    host: str = "0.0.0.0"
    """Host of the server."""
    port: int = Field(default=8000, gt=0)
    """Port of the server."""
    group_port: int = Field(default=51216, gt=0)
    """Port through which the server is sent the weights."""
    timeout: float = Field(default=240.0, gt=0)
    """Seconds to wait for the server to start."""
    gpu_memory: float = Field(default=0.3, gt=0, le=1)
    """Share of each GPU's memory for a colocated vLLM, its copy of the weights included; without a GPU, of
    the machine's."""
    tensor_parallel: int = Field(default=1, ge=1)
    """Processes (one for each GPU) that hold one colocated vLLM together."""
    max_model_len: int = Field(default=0, ge=0)
    """Most tokens of prompt and answer in a colocated vLLM; 0: the model's context."""
    sleep: bool = False
    """A colocated vLLM releases its memory during the training pass."""
    regex: str = ""
    """A regular expression that answers must match (constrained decoding); needs ``correction: none``."""
    correction: Literal["none", "sequence_mask", "sequence_truncate", "token_mask", "token_truncate"] = (
        "sequence_mask"
    )
    """Importance-sampling correction for answers whose probability in vLLM differs from the model's."""
    clip_max: float | None = Field(default=3.0, gt=0)
    """Upper bound of the ratio of the two probabilities: a mask drops, a truncation clips what exceeds it."""
    clip_min: float | None = Field(default=None, gt=0)
    """Ratio of the two probabilities below which a mask leaves out, or a truncation cuts; null: no bound."""
    extra: Mapping[str, Any] = Field(default_factory=dict)
    """Further SamplingParams of vLLM, by name. Those that change probabilities need ``correction: none``."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        others = {"colocate": ("base_url", "host", "port", "group_port", "timeout"), "server": COLOCATED}
        for name in others[self.mode]:
            if getattr(self, name) != type(self).model_fields[name].default:
                where = "of mode server" if self.mode == "colocate" else "given to vllm serve, not here"
                raise ValueError(f"{name} is {where}")
        if self.clip_min and self.clip_max and self.clip_min >= self.clip_max:
            raise ValueError(f"clip_min {self.clip_min} is not below clip_max {self.clip_max}")
        if self.correction.endswith("truncate") and not (self.clip_min or self.clip_max):
            raise ValueError(f"correction {self.correction} needs clip_max or clip_min")
        return self

    def arguments(self) -> dict[str, Any]:
        """The settings by their names in TRL's GRPOConfig."""
        correct = self.correction != "none"
        return {
            "use_vllm": True,
            "vllm_mode": self.mode,
            "vllm_server_base_url": self.base_url or None,
            "vllm_server_host": self.host,
            "vllm_server_port": self.port,
            "vllm_group_port": self.group_port,
            "vllm_server_timeout": self.timeout,
            "vllm_gpu_memory_utilization": self.gpu_memory,
            "vllm_tensor_parallel_size": self.tensor_parallel,
            "vllm_max_model_length": self.max_model_len or None,
            "vllm_enable_sleep_mode": self.sleep,
            "vllm_structured_outputs_regex": self.regex or None,
            "vllm_importance_sampling_correction": correct,
            "vllm_importance_sampling_mode": self.correction if correct else "sequence_mask",
            "vllm_importance_sampling_clip_max": self.clip_max,
            "vllm_importance_sampling_clip_min": self.clip_min,
            "generation_kwargs": dict(self.extra) or None,
        }


COLOCATED = ("gpu_memory", "tensor_parallel", "max_model_len", "sleep")
"""Settings of a colocated vLLM that a server is started with."""


class AsyncSpec(Spec):
    """Draw answers with a vLLM server while the model learns from earlier ones.

    Needs ``vllm.mode: server`` with a ``correction``, one process and ``num_iterations: 1``.
    """

    max_lag: int = Field(default=1, ge=1)
    """Most optimizer steps between the weights that drew a step's answers and those that learn from them."""


class GrpoConfig(TrainingConfig):
    """Group-relative policy optimisation (Shao et al. 2024, arXiv:2402.03300); losses by TRL's names."""

    model_config = ConfigDict(serialize_by_alias=True)

    prompts_per_step: int = Field(default=32, gt=0)
    """Prompts of an optimizer step, over all processes."""
    group_size: int = Field(default=8, gt=1)
    """Answers drawn for each prompt."""
    micro_groups: int = Field(default=2, gt=0)
    """Groups of one forward and backward pass; must divide ``prompts_per_step``."""
    beta: float = Field(default=0.0, ge=0)
    """Weight of the KL divergence from the initial model; 0: no reference model is loaded."""
    temperature: float = Field(default=1.0, gt=0)
    """Temperature of sampling."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling: draw from the most likely tokens with this total probability."""
    max_new_tokens: int = Field(default=256, gt=0)
    """Most tokens of an answer."""
    stop: tuple[str, ...] = ()
    """Strings at which an answer ends; default: the task's ``answer.stop``."""
    loss_type: Literal["grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo", "luspo", "vespo"] = "dapo"
    """How token losses are averaged (TRL's ``loss_type``)."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by: the standard deviation of the group or of the batch, or nothing."""
    importance_sampling_level: Literal["token", "sequence"] = "token"
    """Clip the ratio of new to old probabilities for each token, or for the whole answer (GSPO)."""
    num_iterations: int = Field(default=1, gt=0)
    """Optimizer steps on each batch of answers."""
    epsilon: float = Field(default=0.2, gt=0)
    """Lower clipping bound of the ratio (and upper, unless ``epsilon_high`` is set)."""
    epsilon_high: float | None = Field(default=None, gt=0)
    """Upper clipping bound of the ratio; null: ``epsilon``."""
    mask_truncated: bool = False
    """Mask answers that reach ``max_new_tokens`` out of the loss."""
    max_turns: int = Field(default=1, ge=1)
    """Most answers to a prompt. After a query that fails or returns nothing the model sees the database's
    message and tries again. Feedback is masked out of the loss; the last answer gets the reward."""
    turn_cost: float = Field(default=0.0, ge=0, le=0.4)
    """Subtracted from the reward if all ``max_turns`` answers were used; in proportion if fewer were."""
    learn_from: Literal["spread", "mixed"] = "spread"
    """``spread``: groups whose rewards differ; ``mixed``: only groups with right and wrong answers."""
    refill: int = Field(default=0, ge=0)
    """Most further prompts of a step that replace zero-advantage groups (dynamic sampling, DAPO,
    arXiv:2503.14476)."""
    curriculum: CurriculumSpec | None = None
    """Draw prompts by stored pass rates; null: in the shuffled order of the split."""
    shared_prefix: bool = True
    """Compute shared prefixes once, in sampling and in the loss; false: TRL's own sampling and loss, where
    they are right for the model."""
    vllm: SamplingVllm | None = None
    """Draw the answers with vLLM; ``shared_prefix`` then concerns the loss only."""
    asynchronous: AsyncSpec | None = Field(default=None, alias="async")
    """Draw answers while the model learns from earlier ones; null: in turn."""

    def context_limit(self, context: int) -> int:
        """Most tokens of a prompt and its answers, of a model with this context."""
        return min(context, self.vllm.max_model_len or context) if self.vllm else context

    @property
    def items_per_step(self) -> int:
        """Prompts of a step, in all processes together."""
        return self.prompts_per_step

    def items_per_pass(self, processes: int) -> int:
        """Groups in one forward and backward of each process. Raises ModelError."""
        names = ("prompts_per_step", "micro_groups")
        return per_pass(self.prompts_per_step, self.micro_groups, processes, names)


def total_steps(config: SftConfig | GrpoConfig, rows: int) -> int:
    """Optimizer steps of a run on this many rows or prompts."""
    return config.max_steps or max(1, round(config.epochs * rows / config.items_per_step))


def rows_used(config: SftConfig | GrpoConfig, rows: int) -> int:
    """The number of rows or prompts that a run uses, without refills."""
    drawings = config.num_iterations if isinstance(config, GrpoConfig) else 1
    return min(rows, -(-total_steps(config, rows) // drawings) * config.items_per_step)
