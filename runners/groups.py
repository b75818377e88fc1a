"""TRL's ``GRPOTrainer`` with prompts chosen per step, unscored groups left out, and phases timed."""

from __future__ import annotations

import logging
import time
from statistics import fmean
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import identity

from runners.curriculum import Chooser
from runners.payment import Rewards
from runners.refill import idle, replaced

logging.getLogger(GRPOTrainer.__module__).addFilter(
    lambda record: "returned None" not in record.getMessage()  # unscored answers: the curve counts them
)


class GroupTrainer(GRPOTrainer):
    """The data loader only counts passes: what a step asks is chosen when its answers are drawn."""

    args: GRPOConfig
    model: Any
    _buffered_inputs: Any

    def __init__(
        self, policy: Any, args: GRPOConfig, tokenizer: Any, rewards: Rewards, chooser: Chooser, adapters: Any
    ) -> None:
        from datasets import Dataset

        self.rewards, self.chooser = rewards, chooser
        self.drawn = 0
        """Groups drawn so far in this step."""
        super().__init__(
            model=policy,
            args=args,
            reward_funcs=rewards,
            train_dataset=Dataset.from_dict({"prompt": [""]}),
            processing_class=tokenizer,
            peft_config=adapters,
        )

    def get_train_dataloader(self) -> Any:
        """One empty item for each forward and backward of the whole run."""
        passes = self.args.max_steps * self.args.gradient_accumulation_steps
        return self.accelerator.prepare(DataLoader(TensorDataset(torch.arange(passes)), collate_fn=identity))

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Checkpoints need no card."""

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        config, watch = self.rewards.config, self.rewards.watch
        step = self.state.global_step // self.num_iterations
        self.drawn = 0
        asked = self.chooser.choose(step)
        expected = fmean(self.chooser.chance(index) for index in asked)
        output = self._answered(asked)
        while free := min(
            int(idle(output, config.group_size).sum()), config.refill + config.prompts_per_step - self.drawn
        ):
            more = self.chooser.further(step, free, set(asked))
            if not more:
                break
            asked += more
            output = replaced(output, self._answered(more), config.group_size)
        if config.refill or config.curriculum:
            left = float(idle(output, config.group_size).float().mean())
            watch.row |= {"expected": expected, "asked": len(asked), "idle": left}
        output["num_items_in_batch"] = self.accelerator.gather(output["completion_mask"].sum()).sum()
        return output

    def _answered(self, chosen: list[int]) -> Any:
        """TRL's batch of answers to these prompts; unscored groups are masked out of the loss."""
        rows = [
            {"row": index, "prompt": list(self.rewards.prompts[index].messages)}
            for index in chosen
            for _ in range(self.rewards.config.group_size)
        ]
        output = super()._generate_and_score_completions(rows)
        for i, unscored in enumerate(self.rewards.unscored):
            if unscored:
                output["completion_mask"][i] = 0
        for one in self.rewards.tried:
            self.chooser.learn(*one)
        self.drawn += len(chosen)
        return output

    def _generate(self, prompts: list[Any]) -> Any:
        began = time.perf_counter()
        result = super()._generate(prompts)
        self.rewards.watch.spend("sampling", time.perf_counter() - began)
        return result
