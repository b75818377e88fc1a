"""TRL's ``GRPOTrainer`` with prompts chosen per step, unscored groups left out, and phases timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import identity

from runners.decoding.context import context_of
from runners.decoding.texts import answer_text
from runners.training import processes
from runners.training.curriculum import Chooser
from runners.training.figures import TokenMeans, of_answers
from runners.training.refill import idle, replaced
from runners.training.training_reward import Rewards
from runners.training.turns import Talk, Turns
from tasks.types import Sample


class GroupTrainer(TokenMeans, GRPOTrainer):
    """The data loader only counts passes: what a step asks is chosen when its answers are drawn.

    Every process chooses all prompts of a step and asks its part of them, so a group stays in one process.
    """

    args: GRPOConfig
    model: Any
    _buffered_inputs: Any

    def __init__(
        self, policy: Any, args: GRPOConfig, tokenizer: Any, rewards: Rewards, chooser: Chooser, adapters: Any
    ) -> None:
        from datasets import Dataset

        self.rewards, self.chooser = rewards, chooser
        self.drawn = 0
        """Groups drawn so far in this step, before those that this process draws next."""
        self.turn = 0
        """Of the conversations whose next answers are drawn."""
        self.asked: list[Sample] = []
        """For each row of the batch in the making, its question."""
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
        passes = self.args.max_steps * self.args.gradient_accumulation_steps * processes.world()
        return self.accelerator.prepare(DataLoader(TensorDataset(torch.arange(passes)), collate_fn=identity))

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Checkpoints need no card."""

    def _generate_and_score_completions(self, inputs: Any) -> Any:
        config, watch = self.rewards.config, self.rewards.watch
        step = self.state.global_step // self.num_iterations
        asked = self.chooser.choose(step)
        expected = fmean(self.chooser.chance(index) for index in asked)
        output = self._answered(asked, 0)
        while free := self._free(output, config.refill + config.prompts_per_step - len(asked)):
            more = self.chooser.further(step, free, set(asked))
            more = more[: len(more) // processes.world() * processes.world()]
            if not more:
                break
            output = replaced(output, self._answered(more, len(asked)), config.group_size)
            asked += more
        watch.row["idle"] = fmean(processes.gathered(idle(output, config.group_size).float().tolist()))
        if config.refill or config.curriculum:
            watch.row |= {"expected": expected, "asked": len(asked)}
        taught = output["completion_mask"] * output.get("tool_mask", 1)
        output["num_items_in_batch"] = self.accelerator.gather(taught.sum()).sum()
        return output

    def _free(self, output: Any, budget: int) -> int:
        """How many further prompts to ask: as many in each process as have idle groups in the idlest."""
        most = max(processes.gathered([int(idle(output, self.rewards.config.group_size).sum())]))
        return min(most, budget // processes.world()) * processes.world()

    def _answered(self, chosen: list[int], before: int) -> Any:
        """TRL's batch of answers to this process's part of the prompts, ``before`` having been drawn.

        Unscored groups are masked out of the loss.
        """
        own = len(chosen) // processes.world()
        self.drawn = before + processes.rank() * own
        mine = chosen[processes.rank() * own :][:own]
        numbers = [index for index in mine for _ in range(self.rewards.config.group_size)]
        rows = [{"row": index, "prompt": list(self.rewards.prompts[index].messages)} for index in numbers]
        self.asked = [self.rewards.prompts[index].sample for index in numbers]
        output = super()._generate_and_score_completions(rows)
        for i, unscored in enumerate(self.rewards.unscored):
            if unscored:
                output["completion_mask"][i] = 0
        for one in self.rewards.tried:
            self.chooser.learn(*one)
        return output

    def _generate(self, prompts: list[Any]) -> Any:
        began = time.perf_counter()
        spent = self.rewards.watch.row.get("scoring_seconds", 0.0)
        result = self._read(*super()._generate(prompts))
        if self.rewards.config.max_turns > 1:
            result = self._converse(prompts, *result)
        tokens, own = result[1], result[2] or [[1] * len(ids) for ids in result[1]]
        ends = {*self.eos_token_ids, self._tokenizer.pad_token_id}
        self.rewards.watch.first(of_answers(own, tokens, ends))
        spent = self.rewards.watch.row.get("scoring_seconds", 0.0) - spent
        self.rewards.watch.spend("sampling", time.perf_counter() - began - spent)
        return result

    def _read(self, prompt_ids: Any, completion_ids: Any, mask: Any, completions: Any, *rest: Any) -> Any:
        """TRL's generation with the texts of answers as evaluation reads them."""
        for prompt, tokens, said in zip(prompt_ids, completion_ids, completions, strict=True):
            said[-1]["content"] = answer_text(self._tokenizer, prompt, tokens)
        return prompt_ids, completion_ids, mask, completions, *rest

    def _converse(
        self, asked: Any, prompt_ids: Any, completion_ids: Any, _: Any, completions: Any, *rest: Any
    ) -> Any:
        """TRL's generation with further turns, and the mask of what in them is the model's.

        ``logprobs`` are None, or vLLM's of each token; feedback gets zeros, which the mask hides.
        """
        logprobs, *rest_ = rest
        talks = [
            Talk(index, asked[index], list(prompt), list(tokens), [1] * len(tokens), messages)
            for index, (prompt, tokens, messages) in enumerate(
                zip(prompt_ids, completion_ids, completions, strict=True)
            )
        ]
        for talk in talks if logprobs else ():
            talk.logprobs = list(logprobs[talk.index])
        first = sum(len(talk.prompt) + len(talk.tokens) for talk in talks)
        config = self.rewards.config
        room = config.room(context_of(self.model.config)) - config.max_new_tokens
        Turns(
            config.max_turns,
            room,
            self._tokenizer,
            tuple(self.eos_token_ids),
            self._feedback,
            self._draw_again,
        ).go_on(talks)
        more = sum(processes.gathered([sum(len(talk.prompt) + len(talk.tokens) for talk in talks) - first]))
        self.state.num_input_tokens_seen += more
        self._metrics["train"]["num_tokens"] = [self.state.num_input_tokens_seen]
        lengths = processes.gathered([(len(talk.messages) + 1) / 2 for talk in talks])
        self.rewards.watch.first({"turns": fmean(lengths)})
        own, said = [talk.own for talk in talks], [talk.messages for talk in talks]
        logprobs = logprobs and [talk.spread() for talk in talks]
        prompts, tokens = [talk.prompt for talk in talks], [talk.tokens for talk in talks]
        return prompts, tokens, own, said, logprobs, *rest_

    def _feedback(self, talks: Sequence[Talk]) -> list[str]:
        began = time.perf_counter()
        feedback = self.rewards.watch.hooks.feedback
        assert feedback is not None, "checked by train_grpo"
        samples = [self.asked[talk.index] for talk in talks]
        said = feedback(samples, [talk.text for talk in talks], [talk.before for talk in talks])
        self.rewards.watch.spend("scoring", time.perf_counter() - began)
        return said

    def _draw_again(self, turn: int, talks: list[Talk]) -> list[list[int]]:
        self.turn = turn
        prompts = [talk.prompt + talk.tokens for talk in talks]
        drawn, logprobs = self._generate_single_turn(prompts, None, {}, 1)  # type: ignore[no-untyped-call]
        self.turn = 0
        for talk, more in zip(talks, logprobs or [[]] * len(talks), strict=True):
            talk.logprobs += more
        return [list(tokens) for tokens in drawn]
