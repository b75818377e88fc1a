"""Code that overrides or relies on private parts of TRL's trainers.

``CHECKED`` is the version that was read. ``tests/test_compat.py`` compares the source of each function that
is relied on with the one that was read, and fails where TRL has changed it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset
from trl.trainer import grpo_trainer
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.sft_trainer import SFTTrainer
from trl.trainer.utils import identity, split_tensor_dict

from runners.compat.peft import bare_model
from runners.compat.trl_vllm import TrainingEngine, replaced
from runners.training import distributed
from runners.training.loss import Method, use_method

CHECKED = "1.16.0"
"""The version of TRL whose source was read."""
TOKEN_MEANS = ("entropy", "kl", "mean_token_accuracy")
"""TRL's figures that are means over the predicted tokens of a pass."""

Batch = dict[str, Any]
"""What TRL computes the loss on: tensors (rows, tokens) or (rows,), and the number of trained tokens."""


class TokenMeans:
    """A mixin before a trainer of TRL's, which averages over passes however few tokens a pass has.

    With it, ``TOKEN_MEANS`` are means over the tokens of all passes and processes.
    """

    _metrics: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._counts: list[int] = []
        """Predicted tokens of each pass of the running step, in this process."""
        super().__init__(*args, **kwargs)

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """TRL's loss; the pass's predicted tokens are counted."""
        self._counts.append(int(predicted_tokens(inputs)))
        return super().compute_loss(model, inputs, *args, **kwargs)  # type: ignore[misc]

    def log(self, logs: dict[str, float], *args: Any) -> None:
        """TRL's log, with means over the tokens of all passes and processes."""
        counts = [sum(each) for each in zip(*distributed.all_gather([self._counts]), strict=True)]
        self._counts = []
        metrics = self._metrics["train"]
        for name in TOKEN_MEANS:
            if (values := metrics.pop(name, [])) and any(counts):
                metrics[name] = [weighted_mean(values, counts)]
        super().log(logs, *args)  # type: ignore[misc]


def predicted_tokens(inputs: Any) -> Any:
    """The number of tokens that a pass predicts for the loss, as a tensor."""
    if "labels" in inputs:
        return (inputs["labels"][:, 1:] != -100).sum()
    return (inputs["completion_mask"] * inputs.get("tool_mask", 1)).sum()


def weighted_mean(values: Sequence[float], counts: Sequence[int]) -> float:
    """The mean of ``values``, each weighted by its number of tokens; one without tokens may be NaN."""
    return sum(value * count for value, count in zip(values, counts, strict=True) if count) / sum(counts)


class SftTrainer(TokenMeans, SFTTrainer):
    """TRL's SFTTrainer with figures that are means over tokens."""


def precomputed_rewards(reward: list[float | None], **_: Any) -> list[float | None]:
    """TRL's reward function: the column ``reward``, computed before."""
    return reward


class StepTrainer(TokenMeans, GRPOTrainer):
    """TRL's GRPOTrainer whose subclass makes the batch of each step, in ``make_batch``.

    The data loader only counts passes. With a ``method`` the loss is that of ``loss``, and each pass gets
    whole groups; without one both are TRL's.
    """

    args: GRPOConfig
    model: Any
    vllm_generation: Any
    _buffered_inputs: Any

    def __init__(
        self, policy: Any, args: GRPOConfig, tokenizer: Any, adapters: Any, method: Method | None
    ) -> None:
        from datasets import Dataset

        with replaced(grpo_trainer, "VLLMGeneration", TrainingEngine):
            super().__init__(
                model=policy,
                args=args,
                reward_funcs=precomputed_rewards,
                train_dataset=Dataset.from_dict({"prompt": [""]}),
                processing_class=tokenizer,
                peft_config=adapters,
            )
        self.method = method
        for model in (self.model, self.ref_model):
            if method and model is not None:
                use_method(bare_model(model), method, self.temperature, ("log_probs", "entropy"))

    def make_batch(self) -> Batch:
        """The batch of the next step, in this process."""
        raise NotImplementedError

    def get_train_dataloader(self) -> Any:
        """One empty item for each forward and backward of the whole run."""
        passes = self.args.max_steps * self.args.gradient_accumulation_steps * distributed.world_size()
        return self.accelerator.prepare(DataLoader(TensorDataset(torch.arange(passes)), collate_fn=identity))

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Checkpoints need no card."""

    def _generate_and_score_completions(self, inputs: Any) -> Batch:
        return self.make_batch()

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """Divide a batch into passes; with a ``method`` by whole groups, similar ones together."""
        if not self.method:
            return super()._prepare_inputs(generation_batch)
        passes, group = self.args.gradient_accumulation_steps, self.args.num_generations
        if self._step % (passes * self.num_iterations) == 0 or self._buffered_inputs is None:
            batch = self._generate_and_score_completions(generation_batch)
            order = group_order(batch, group or 1)
            ordered = {name: value[order] if value.dim() else value for name, value in batch.items()}
            self._buffered_inputs = split_tensor_dict(ordered, passes)
        return self._buffered_inputs[self._step % passes]

    def send_weights(self) -> None:
        """Send the model's weights to vLLM, if it draws the answers."""
        if self.use_vllm:
            self.vllm_generation.sync_weights()

    def sample(self, prompts: Sequence[Sequence[int]], group: int) -> tuple[Any, Any]:
        """An answer to each row's prompt by TRL's sampler or vLLM: tokens, and vLLM's log-probabilities.

        The rows of a group are equal and stand side by side.
        """
        if self.use_vllm:  # not by TRL's method, which sends the weights whenever the step has changed
            _, answers, found, _ = self.vllm_generation.generate(prompts, None, group, None)
            return answers, [[sampled for sampled, *_ in answer] for answer in found]
        tokens, logprobs = self._generate_single_turn(prompts, None, {}, group)  # type: ignore[no-untyped-call]
        return tokens, logprobs

    def tensors(self, columns: Mapping[str, Any], rewards: Sequence[float | None], tokens: int) -> Batch:
        """TRL's batch for answers that are already drawn and scored.

        TRL pads and masks them, and adds log-probabilities by the policy and by the reference model and the
        correction for vLLM. ``columns`` are those of a ``rollout_func``; ``tokens``, summed over all
        processes, are added to the run's count.
        """
        self._last_loaded_step = self.state.global_step  # otherwise TRL would send the weights now
        seen = self.state.num_input_tokens_seen + tokens
        self.rollout_func = lambda prompts, trainer: dict(columns)
        rows: list[dict[str, Any]] = [{"prompt": "", "reward": reward} for reward in rewards]
        batch: Batch = super()._generate_and_score_completions(rows)
        self.rollout_func = None
        self.state.num_input_tokens_seen = seen
        self._metrics["train"]["num_tokens"] = [seen]
        return batch


def group_order(batch: Mapping[str, Tensor], group: int) -> Tensor:
    """An order of a batch's rows, (rows,), with groups kept together and similar prompts side by side.

    Groups whose answers are all masked out are first.
    """
    prompts, masks = batch["prompt_ids"][::group], batch["prompt_mask"][::group].bool()
    tokens = [prompt[mask].tolist() for prompt, mask in zip(prompts, masks, strict=True)]
    has_loss = batch["completion_mask"].view(len(tokens), -1).any(1).tolist()
    groups = torch.tensor(
        sorted(range(len(tokens)), key=lambda i: (has_loss[i], tokens[i])), device=prompts.device
    )
    return (groups[:, None] * group + torch.arange(group, device=groups.device)).flatten()
