"""One step of GRPO, read from top to bottom: ``GrpoTrainer.make_batch`` and what it calls.

    choose prompts              ``groups``
    draw answers                ``rollout``: one answer each, or several turns with the database's feedback
    score answers               ``rollout``, while others are still drawn
    compute advantages          ``groups``: each answer is compared with its group
    refill                      zero-advantage groups are replaced by groups of other prompts
    compute the loss            TRL's, on the rows that ``_tensors`` returns

With ``train.async`` all but the last are done by another thread for later steps (``rollout_queue``).

With several processes each chooses all prompts of a step and asks its part of them, so a group stays in one
process. Answers are not drawn in a ``rollout_func`` of TRL's: this must answer exactly the prompts that it
gets, before any is scored, but a refill asks further prompts depending on the rewards.
"""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from runners.compat.trl import Batch, StepTrainer
from runners.decoding.generation import default_batch_tokens, generate
from runners.decoding.probe import longest_shared
from runners.decoding.tokens import Stops, Tokens, answer_text, context_length, encode
from runners.decoding.types import DecodingSettings
from runners.training import distributed
from runners.training.config import GrpoConfig
from runners.training.groups import Clock, Group, PromptChooser, StepBatch, StepLog, compare
from runners.training.loss import Method
from runners.training.rollout import Conversation, TrainingReward, Turns, answer_figures, reward_figures
from runners.training.rollout_queue import RolloutQueue
from runners.types import FeedbackFunction, Request


@dataclass(frozen=True, slots=True)
class StepInputs:
    """The inputs of all steps of a training, and the function that receives their figures."""

    prompts: Sequence[Request]
    config: GrpoConfig
    reward: TrainingReward
    chooser: PromptChooser
    feedback: FeedbackFunction | None
    report: Callable[[Mapping[str, float]], None]
    """Called with the figures of each step's answers."""
    batch_scored: Callable[[], None] | None = None
    """Called when all answers of a step are drawn and scored."""


class GrpoTrainer(StepTrainer):
    """TRL's GRPO trainer on the batches of ``make_batch``."""

    def __init__(
        self, policy: Any, args: Any, tokenizer: Any, adapters: Any, inputs: StepInputs, method: Method | None
    ) -> None:
        self.inputs, self.config = inputs, inputs.config
        # a copy, because threads cannot share a tokenizer, and TRL uses this one
        self.tokenizer = copy.deepcopy(tokenizer) if self.config.asynchronous else tokenizer
        super().__init__(policy, args, tokenizer, adapters, method)
        # bnpo divides by the unmasked tokens; DeepSpeed needs the same order of gradients in all processes
        self.skips_zero_advantage = (
            method is not None
            and not (self.beta or self.aux_loss_enabled or self.is_deepspeed_enabled)
            and self.loss_type != "bnpo"
        )
        shares = method is not None and not method.unshared and not self.use_vllm
        self.longest_shared = longest_shared(self.model) if shares else 0
        self.batch_tokens = default_batch_tokens(self.model)
        room = self.config.context_limit(context_length(self.model.config)) - self.config.max_new_tokens
        stop = self.config.stop
        self.stops = Stops(self.tokenizer, stop)
        self.turns = Turns(self.config.max_turns, room, self.tokenizer, tuple(self.eos_token_ids), stop)
        self.rollouts: RolloutQueue[StepBatch] | None = None
        if ahead := self.config.asynchronous:
            self.rollouts = RolloutQueue(
                self.answer_prompts, self.send_weights, ahead.max_lag, args.max_steps
            )

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """As TRL's; meanwhile another thread draws answers, with ``train.async``."""
        with self.rollouts or nullcontext():
            return super().train(*args, **kwargs)

    def make_batch(self) -> Batch:
        """The rows of the loss: the groups of the next step, drawn now or while earlier steps learned."""
        step = self.state.global_step // self.num_iterations
        figures: Mapping[str, float] = {}
        if self.rollouts:
            batch, figures = self.rollouts.take(step)
        else:
            self.send_weights()
            batch = self.answer_prompts(step)
        self.inputs.chooser.learned = batch.passes
        log = batch.log.extended(figures)
        self.inputs.report(log.row())
        return self._tensors(batch.groups, log.tokens)

    def answer_prompts(self, step: int) -> StepBatch:
        """Choose the prompts of a step; draw, score and compare answers; refill."""
        config, chooser = self.config, self.inputs.chooser
        asked = chooser.choose(step)
        expected = fmean(chooser.weight(index) for index in asked)
        batch = self._answer(asked, 0)
        while count := self._refill_count(batch.groups, config.refill + config.prompts_per_step - len(asked)):
            further = chooser.choose_further(step, count, set(asked))
            further = further[: len(further) // distributed.world_size() * distributed.world_size()]
            if not further:
                break
            batch = batch.refilled(self._answer(further, len(asked)))
            asked += further
        zero = fmean(distributed.all_gather([float(group.zero_advantage) for group in batch.groups]))
        chosen = {"expected": expected, "asked": len(asked)} if config.refill or config.curriculum else {}
        if self.inputs.batch_scored:
            self.inputs.batch_scored()
        log = batch.log.extended({"idle": zero, **chosen})
        return replace(batch, log=log, passes=tuple(chooser.counts))

    def _refill_count(self, groups: Sequence[Group], budget: int) -> int:
        """The number of further prompts to ask in all processes, at most ``budget``.

        Each process asks as many as the largest number of zero-advantage groups in any process.
        """
        largest = max(distributed.all_gather([sum(group.zero_advantage for group in groups)]))
        return min(largest, budget // distributed.world_size()) * distributed.world_size()

    def _answer(self, prompts: Sequence[int], before: int) -> StepBatch:
        """Draw, score and compare the answers to this process's part of the prompts.

        ``before`` is the number of prompts that the step has asked before these.
        """
        clock = Clock()
        own = len(prompts) // distributed.world_size()
        first = distributed.rank() * own
        own_prompts = prompts[first : first + own]
        with clock.phase("sampling"):
            conversations = self._draw_conversations(own_prompts, before + first, clock)
            end_tokens = {*self.eos_token_ids, self.tokenizer.pad_token_id}
            drawn = answer_figures(conversations, end_tokens, several_turns=self.config.max_turns > 1)
        with clock.phase("scoring"):
            rewards = self.inputs.reward(conversations)
            groups = compare(own_prompts, conversations, rewards, self.config)
            all_groups = distributed.all_gather([(group.prompt, group.rewards) for group in groups])
            for prompt, scored in all_groups:
                verdicts = [reward.correct for reward in scored if reward.correct is not None]
                self.inputs.chooser.update(prompt, sum(verdict == 1 for verdict in verdicts), len(verdicts))
            figures = reward_figures([scored for _, scored in all_groups]) | drawn
        lengths = [len(conversation.prompt) + len(conversation.tokens) for conversation in conversations]
        tokens = sum(distributed.all_gather(lengths))
        return StepBatch(groups, StepLog(figures, tokens, clock.seconds))

    def _draw_conversations(self, prompts: Sequence[int], first: int, clock: Clock) -> list[Conversation]:
        """Draw a group of conversations for each prompt; ``first``: the first prompt's number."""
        size = self.config.group_size
        requests = [self.inputs.prompts[index] for index in prompts]
        encoded = encode(self.tokenizer, requests)

        def score_early(index: int, answers: Sequence[Sequence[int]]) -> None:
            texts = [answer_text(self.tokenizer, encoded[index], tokens) for tokens in answers]
            texts = [self.stops.before(text) for text in texts]
            self.inputs.reward.queue.submit(requests[index].sample, texts)

        def draw_turn(turn: int, asked: Sequence[Conversation]) -> Any:
            if turn == 0:
                early = score_early if self.config.max_turns == 1 else None
                return self.draw_answers(encoded, size, turn, first, early)
            so_far = [(*conversation.prompt, *conversation.tokens) for conversation in asked]
            return self.draw_answers(so_far, 1, turn, first)

        conversations = [
            Conversation(request, list(ids))
            for request, ids in zip(requests, encoded, strict=True)
            for _ in range(size)
        ]
        feedback = self.inputs.feedback and clock.timed("scoring", self.inputs.feedback)
        self.turns.play(conversations, draw_turn, feedback)
        return conversations

    def draw_answers(
        self,
        prompts: Sequence[Tokens],
        size: int,
        turn: int,
        first: int,
        complete: Callable[[int, Sequence[Sequence[int]]], None] | None = None,
    ) -> tuple[Sequence[list[int]], Sequence[list[float]] | None]:
        """Draw ``size`` answers to each prompt; returns their tokens in order, and vLLM's log-probabilities.

        An answer depends on the seed, the step, the turn and its prompt's number in the step, which counts
        from ``first``. ``complete`` is called with the answers to a prompt as they end, in any order.
        """
        if self.use_vllm or not self.method:
            copies = [list(prompt) for prompt in prompts for _ in range(size)]
            return self.stops.cut(*self.sample(copies, size))
        seed_prefix = f"{self.args.seed} {self.state.global_step} 0" + (f" turn {turn}" if turn else "")
        seeds = [zlib.crc32(f"{seed_prefix} {first + index}".encode()) for index in range(len(prompts))]
        config = self.config
        model = self.accelerator.unwrap_model(self.model)
        settings = DecodingSettings(
            config.temperature,
            config.top_p,
            config.max_new_tokens,
            tuple(self.eos_token_ids),
            self.stops.end if config.stop else None,
            longest_shared=self.longest_shared,
        )
        answers: dict[int, list[list[int]]] = {}
        with self.accelerator.autocast():
            for index, drawn in generate(model, prompts, seeds, size, settings, self.batch_tokens):
                answers[index] = [answer.tokens for answer in drawn]
                if complete:
                    complete(index, answers[index])
        return [tokens for index in range(len(prompts)) for tokens in answers[index]], None

    def _tensors(self, groups: Sequence[Group], tokens: int) -> Batch:
        """The rows of the loss. Groups without a gradient are masked out if that changes no figure."""
        rows = [conversation for group in groups for conversation in group.conversations]
        columns = {
            "prompt_ids": [row.prompt for row in rows],
            "completion_ids": [row.tokens for row in rows],
            "logprobs": [row.logprobs for row in rows] if self.use_vllm else None,
            **({"env_mask": [row.sampled for row in rows]} if self.config.max_turns > 1 else {}),
        }
        rewards = [reward.value for group in groups for reward in group.rewards]
        batch = self.tensors(columns, rewards, tokens)

        def rows_of(selected: Sequence[bool]) -> Tensor:
            return torch.tensor(selected).repeat_interleave(self.config.group_size)

        batch["advantages"] = torch.cat([group.advantages for group in groups]).to(self.accelerator.device)
        batch["completion_mask"][rows_of([not group.in_loss for group in groups])] = 0
        trained = batch["completion_mask"] * batch.get("tool_mask", 1)
        batch["num_items_in_batch"] = self.accelerator.gather(trained.sum()).sum()
        if self.skips_zero_advantage:
            batch["completion_mask"][rows_of([group.zero_advantage for group in groups])] = 0
        return batch
