"""Reinforcement learning with TRL's ``GRPOTrainer``; the only reward is the score of the evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runners.compat.transformers import rotary_limits
from runners.decoding.tokens import encode
from runners.training import distributed, requirements
from runners.training import policy as policies
from runners.training.callbacks import CheckpointState, Hooks, TrainingCallback
from runners.training.config import GrpoConfig, total_steps
from runners.training.folder import RunFolder, TrainingResult, rows_digest
from runners.training.groups import PromptChooser
from runners.training.lora import adapter_settings
from runners.training.rollout import TrainingReward, check_numbers
from runners.training.run import run_training, trainer_arguments
from runners.types import Request, RewardFunction
from runners.weights import loading
from runners.weights.source import resolve
from tasks.common.errors import ModelError

TRIAL_PROMPTS = 8
"""Questions whose gold answers are scored before training, to check the reward function."""


def train_grpo(
    model: str,
    prompts: Sequence[Request],
    score: RewardFunction,
    config: GrpoConfig,
    out: Path,
    hooks: Hooks | None = None,
) -> TrainingResult:
    """Train ``model`` (a name) on ``prompts`` with the rewards of ``score``; the result is ``out/model``.

    The same call resumes from the last checkpoint in ``out``, or returns the result of a finished training.
    Raises ModelError: too few prompts, sizes that do not divide, a prompt longer than the model's context, or
    an ``out`` of another run.
    """
    check(model, prompts, config)
    if config.max_turns > 1 and not (hooks and hooks.feedback):
        raise ModelError("max_turns is over 1 and Hooks.feedback is missing: set it, or max_turns to 1")
    settings = {"method": "grpo", "model": model, "rows": rows_digest(prompts), "config": config.model_dump()}
    folder = RunFolder(out, settings)
    if result := folder.result():
        return result
    distributed.barrier()
    callback = TrainingCallback(folder, config, hooks or Hooks())
    tokenizer = loading.load_tokenizer(resolve(model).with_template(config))
    source, policy = policies.load_policy(model, config, folder)
    trainer = make_trainer(policy, tokenizer, prompts, score, callback)
    states: dict[str, CheckpointState] = {"curriculum": trainer.inputs.chooser} if config.curriculum else {}
    return run_training(trainer, source, callback, states)


def check(model: str, prompts: Sequence[Request], config: GrpoConfig) -> None:
    """Raise ModelError for errors that can be found before the model is loaded."""
    check_sizes(config, len(prompts))
    source = resolve(model).with_template(config)
    context = config.context_limit(loading.context(source))
    tokenizer = loading.load_tokenizer(source)
    check_lengths(prompts, tokenizer, context, config.max_new_tokens)
    switch = rotary_limits(loading.config_of(source)).get("longrope", 0)
    check_switch(prompts, tokenizer, switch, config.max_new_tokens)
    policies.check(source, config)


def check_sizes(config: GrpoConfig, prompts: int) -> None:
    """Raise ModelError where sizes in the settings contradict each other."""
    if prompts < config.prompts_per_step:
        raise ModelError(
            f"{prompts} prompts are too few for prompts_per_step {config.prompts_per_step}: lower it"
        )
    requirements.check(config, distributed.world_size())
    if config.save_every % config.num_iterations:
        raise ModelError(
            f"save_every {config.save_every} is no multiple of num_iterations {config.num_iterations}:"
            " set train.save_every to a multiple"
        )
    if config.mask_truncated and config.stop:
        raise ModelError(
            "mask_truncated takes answers that end with a stop string for cut ones: set train.mask_truncated"
            " to false, or answer.stop to []"
        )
    if config.refill and config.scale_rewards == "batch":
        raise ModelError("refill replaces groups one by one: set scale_rewards to group or none")


def check_rewards(prompts: Sequence[Request], score: RewardFunction) -> None:
    """Raise ModelError where the reward of a gold answer or an empty answer is no number."""
    samples = [prompt.sample for prompt in prompts[:TRIAL_PROMPTS] for _ in range(2)]
    texts = [text for prompt in prompts[:TRIAL_PROMPTS] for text in (prompt.sample.gold[0], "")]
    rewards = score(samples, texts)
    if len(rewards) != len(samples):
        raise ModelError(f"the reward function gave {len(rewards)} rewards for {len(samples)} answers")
    check_numbers(samples, rewards)
    if all(reward.value is None for reward in rewards):
        raise ModelError(
            f"none of the first {TRIAL_PROMPTS} gold answers can be scored: run harness check for the reasons"
        )


def check_lengths(prompts: Sequence[Request], tokenizer: Any, context: int, new_tokens: int) -> None:
    """Raise ModelError where a prompt and its answer exceed the model's ``context`` in tokens."""
    for prompt, ids in zip(prompts, encode(tokenizer, prompts), strict=True):
        if len(ids) + new_tokens > context:
            raise ModelError(
                f"sample {prompt.sample.id}: {len(ids)} prompt tokens and max_new_tokens {new_tokens} are"
                f" more than the model's context of {context}: lower train.max_new_tokens, or show less of"
                " the schema (prompt.schema)"
            )


def check_switch(prompts: Sequence[Request], tokenizer: Any, switch: int, new_tokens: int) -> None:
    """Raise ModelError where an answer can cross the length at which a LongRoPE embedding changes.

    Its first tokens would be drawn with one embedding and learned with the other. ``switch`` 0: none.
    """
    for prompt, ids in zip(prompts, encode(tokenizer, prompts) if switch else (), strict=False):
        if len(ids) <= switch < len(ids) + new_tokens:
            raise ModelError(
                f"sample {prompt.sample.id}: {len(ids)} prompt tokens and max_new_tokens {new_tokens} cross"
                f" {switch} tokens, where the model's LongRoPE embedding changes: lower train.max_new_tokens,"
                " or show less of the schema (prompt.schema)"
            )


def make_trainer(
    policy: Any, tokenizer: Any, prompts: Sequence[Request], score: RewardFunction, callback: TrainingCallback
) -> Any:
    """The trainer for the settings of ``callback``. Warns where the model cannot share prefixes."""
    from trl.trainer.grpo_config import GRPOConfig

    from runners.compat.trainer import sharded
    from runners.decoding.probe import refusal
    from runners.training.grpo_step import GrpoTrainer, StepInputs
    from runners.training.head import find_method
    from runners.training.noise import remove_noise
    from runners.training.stock import check_stock

    config = callback.config
    assert isinstance(config, GrpoConfig)
    arguments = GRPOConfig(**_arguments(config, callback.folder, len(prompts)))
    remove_noise(policy)
    method = find_method(policy, refusal(policy)) if config.shared_prefix else None
    if method and method.unshared:
        warnings.warn(f"every copy of a prompt is computed: {method.unshared}", stacklevel=2)
    reward, chooser = TrainingReward(score, config), PromptChooser(prompts, config)
    hooks = callback.hooks
    inputs = StepInputs(
        prompts, config, reward, chooser, hooks.feedback, callback.row.update, hooks.batch_scored
    )
    trainer_class = hooks.trainer or GrpoTrainer
    trainer_class = sharded(trainer_class) if config.sharding == "fsdp2" else trainer_class
    adapters = adapter_settings(config.lora, policy)
    trainer = trainer_class(policy, arguments, tokenizer, adapters, inputs, method)
    if not method:
        check_stock(trainer.model, "left", config.temperature)
    return trainer


def _arguments(config: GrpoConfig, folder: RunFolder, prompts: int) -> dict[str, Any]:
    """Name -> value of the arguments of TRL's GRPOConfig."""
    micro = config.items_per_pass(distributed.world_size())
    return {
        **trainer_arguments(folder, config, total_steps(config, prompts)),
        "per_device_train_batch_size": micro * config.group_size,
        "gradient_accumulation_steps": config.prompts_per_step // (micro * distributed.world_size()),
        "num_generations": config.group_size,
        "max_completion_length": config.max_new_tokens,
        "temperature": config.temperature,
        "top_p": config.top_p,
        "beta": config.beta,
        "loss_type": config.loss_type,
        "scale_rewards": config.scale_rewards,
        "importance_sampling_level": config.importance_sampling_level,
        "num_iterations": config.num_iterations,
        "epsilon": config.epsilon,
        "epsilon_high": config.epsilon_high,
        "mask_truncated_completions": config.mask_truncated,
        **(config.vllm.arguments() if config.vllm else {}),
    }
