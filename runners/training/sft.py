"""Supervised fine-tuning with TRL's ``SFTTrainer`` on chat messages; the loss is on the answer only."""

from __future__ import annotations

import random
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runners.decoding.prefix_cache import group_by_prefix
from runners.decoding.tokens import Tokens, context_length
from runners.training import distributed, requirements
from runners.training import policy as policies
from runners.training.callbacks import Hooks, TrainingCallback
from runners.training.config import SftConfig, total_steps
from runners.training.folder import RunFolder, TrainingResult, rows_digest
from runners.training.lora import adapter_settings
from runners.training.order import in_runs
from runners.training.run import run_training, trainer_arguments
from runners.training.sft_rows import sft_rows
from runners.types import TrainingExample
from runners.weights import loading
from runners.weights.source import Source, resolve
from tasks.common.errors import ModelError

POOL = 32
"""Number of batches whose rows are sorted by length together."""


def train_sft(
    model: str, examples: Sequence[TrainingExample], config: SftConfig, out: Path, hooks: Hooks | None = None
) -> TrainingResult:
    """Train ``model`` (a name) on ``examples``; the result is the folder ``out/model``.

    The same call resumes from the last checkpoint in ``out``, or returns the result of a finished training.
    Raises ModelError: no rows, a batch that does not divide, or an ``out`` of another run.
    """
    check(model, examples, config)
    settings = {"method": "sft", "model": model, "rows": rows_digest(examples), "config": config.model_dump()}
    folder = RunFolder(out, settings)
    if result := folder.result():
        return result
    distributed.barrier()
    callback = TrainingCallback(folder, config, hooks or Hooks())
    source, policy = policies.load_policy(model, config, folder)
    return run_training(_trainer(source, policy, examples, callback), source, callback)


def check(model: str, examples: Sequence[TrainingExample], config: SftConfig) -> None:
    """Raise ModelError for errors that can be found before the model is loaded."""
    if not examples:
        raise ModelError("there is nothing to train on: no rows")
    requirements.check(config, distributed.world_size())
    source = resolve(model).with_template(config)
    check_lengths(examples, source, config)
    policies.check(source, config)


def check_lengths(examples: Sequence[TrainingExample], source: Source, config: SftConfig) -> None:
    """Raise ModelError where a row does not fit the model's context, unless ``max_length`` says to cut."""
    if config.max_length:
        return
    context, tokenizer = loading.context(source), loading.load_tokenizer(source)
    for example, row in zip(examples, sft_rows(tokenizer, examples), strict=True):
        if (length := len(row["input_ids"])) > context:
            raise ModelError(
                f"the row with the answer '{example.answer:.60}' has {length} tokens, more than the model's"
                f" context of {context}: show less of the schema (prompt.schema), or set train.max_length to"
                " cut rows"
            )


def _trainer(
    source: Source, policy: Any, examples: Sequence[TrainingExample], callback: TrainingCallback
) -> Any:
    from trl.trainer.sft_config import SFTConfig

    from runners.compat.trainer import sharded
    from runners.compat.trl import SftTrainer
    from runners.training.stock import check_stock

    config = callback.config
    assert isinstance(config, SftConfig)
    if config.packing:
        check_stock(policy, "packed")
    count = total_steps(config, len(examples))
    micro = config.items_per_pass(distributed.world_size())
    arguments = SFTConfig(
        **trainer_arguments(callback.folder, config, count),
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=config.batch_size // (micro * distributed.world_size()),
        max_length=config.max_length or context_length(policy.config),
        packing=config.packing,
        completion_only_loss=True,
        train_sampling_strategy="sequential",
    )
    trainer_class: Any = sharded(SftTrainer) if config.sharding == "fsdp2" else SftTrainer
    tokenizer = loading.load_tokenizer(source)
    trainer = trainer_class(
        model=policy,
        args=arguments,
        train_dataset=_dataset(tokenizer, examples),
        processing_class=tokenizer,
        peft_config=adapter_settings(config.lora, policy),
    )
    _set_loss(policy, config)
    texts = [tuple(ids) for ids in trainer.train_dataset["input_ids"]]
    trainer.train_dataset = trainer.train_dataset.select(order(texts, count, config))
    return trainer


def _set_loss(policy: Any, config: SftConfig) -> None:
    """Choose between our loss and TRL's, which the trainer has set. Raises ModelError: it would be wrong."""
    from runners.decoding.probe import refusal
    from runners.training.head import find_method
    from runners.training.loss import use_method
    from runners.training.stock import check_stock

    if not config.shared_prefix and not config.packing:
        check_stock(policy, "right")
    if not config.shared_prefix or config.packing:
        return
    method = find_method(policy, refusal(policy))
    if method.unshared:
        warnings.warn(f"every copy of a prompt is computed: {method.unshared}", stacklevel=2)
    use_method(policy, method, 1.0, ("log_probs", "entropy", "is_top1"))


def _dataset(tokenizer: Any, examples: Sequence[TrainingExample]) -> Any:
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    return Dataset.from_list(sft_rows(tokenizer, examples))


def order(texts: Sequence[Tokens], steps: int, config: SftConfig) -> list[int]:
    """The indices of the rows of all steps: each epoch has every row once, in an order of its own.

    With ``same_prefix`` rows that share half of their tokens, as questions on one database do, stand
    together in runs of so many; otherwise rows of similar length are in one step. The order is fixed before
    training starts, so that a resumed run reads the same rows.
    """
    generator = random.Random(config.seed)
    needed = steps * config.batch_size
    shares = config.same_prefix and config.shared_prefix and not config.packing
    groups = group_by_prefix(texts, len(texts)) if shares else []
    rows: list[int] = []
    while len(rows) < needed:
        epoch = generator.sample(range(len(texts)), len(texts))
        rows += in_runs(epoch, groups, config.same_prefix, generator) if shares else epoch
    if shares:
        return rows[:needed]
    batches = []
    for start in range(0, needed, POOL * config.batch_size):
        pool = rows[start : min(start + POOL * config.batch_size, needed)]
        pool.sort(key=lambda row: len(texts[row]))
        pool_batches = [pool[i : i + config.batch_size] for i in range(0, len(pool), config.batch_size)]
        batches += generator.sample(pool_batches, len(pool_batches))
    return [row for batch in batches for row in batch]
