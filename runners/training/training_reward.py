"""The training reward: the composite score of each answer, computed while others are still drawn."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from math import isfinite
from queue import Empty, SimpleQueue
from statistics import fmean, pstdev
from threading import Thread

from runners.training.config import GrpoConfig
from runners.training.rollout import Conversation
from runners.types import Reward, RewardFunction
from tasks.common.errors import ModelError
from tasks.types import Sample

GroupKey = tuple[str, tuple[str, ...]]
"""A sample's id and the answers to it."""


class ScoringQueue:
    """A thread that scores groups of answers as they are handed in; what waits is scored in one call."""

    def __init__(self, score: RewardFunction) -> None:
        self._score = score
        self._waiting: SimpleQueue[tuple[Sample, GroupKey]] = SimpleQueue()
        self._rewards: dict[GroupKey, Future[list[Reward]]] = {}
        Thread(target=self._work, daemon=True).start()

    def submit(self, sample: Sample, texts: Sequence[str]) -> None:
        """Have the answers to one sample scored."""
        group = (sample.id, tuple(texts))
        if group not in self._rewards:
            self._rewards[group] = Future()
            self._waiting.put((sample, group))

    def rewards(self, samples: Sequence[Sample], texts: Sequence[str], size: int) -> list[Reward]:
        """The rewards of groups of ``size``, in order; groups that were not handed in are scored now.

        Raises what the scorer raised. All groups are forgotten.
        """
        rewards: list[Reward] = []
        for start in range(0, len(texts), size):
            self.submit(samples[start], texts[start : start + size])
        for start in range(0, len(texts), size):
            rewards += self._rewards[samples[start].id, tuple(texts[start : start + size])].result()
        self._rewards.clear()
        return rewards

    def _work(self) -> None:
        while True:
            batch = [self._waiting.get()]
            try:
                while True:
                    batch.append(self._waiting.get_nowait())
            except Empty:
                pass
            samples = [sample for sample, (_, texts) in batch for _ in texts]
            futures = [self._rewards[group] for _, group in batch]
            try:
                rewards = self._score(samples, [text for _, (_, texts) in batch for text in texts])
            except BaseException as error:  # handed to the trainer, whatever it is
                for future in futures:
                    future.set_exception(error)
                continue
            for future, (_, (_, texts)) in zip(futures, batch, strict=True):
                future.set_result(rewards[: len(texts)])
                rewards = rewards[len(texts) :]


class TrainingReward:
    """The reward of conversations: the score of the last answer, less ``turn_cost`` for earlier ones."""

    def __init__(self, score: RewardFunction, config: GrpoConfig) -> None:
        self.config = config
        self.queue = ScoringQueue(score)

    def __call__(self, conversations: Sequence[Conversation]) -> list[Reward]:
        """The rewards of conversations, with groups side by side. Raises ModelError: one is no number."""
        samples = [conversation.request.sample for conversation in conversations]
        texts = [conversation.text for conversation in conversations]
        scored = self.queue.rewards(samples, texts, self.config.group_size)
        rewards = [
            replace(reward, value=None if reward.value is None else reward.value - self._cost(conversation))
            for reward, conversation in zip(scored, conversations, strict=True)
        ]
        check_numbers(samples, rewards)
        return rewards

    def _cost(self, conversation: Conversation) -> float:
        """The cost of a conversation's answers before the last one."""
        return self.config.turn_cost * (conversation.turns - 1) / max(1, self.config.max_turns - 1)


def check_numbers(samples: Sequence[Sample], rewards: Sequence[Reward]) -> None:
    """Raise ModelError where a reward is neither a number nor None."""
    for sample, reward in zip(samples, rewards, strict=True):
        if reward.value is not None and not isfinite(reward.value):
            raise ModelError(
                f"the reward of an answer to question {sample.id} is {reward.value}:"
                " fix scoring.reward; None is for what cannot be scored"
            )


def is_mixed(group: Sequence[Reward]) -> bool:
    """Are some answers of a group right and some wrong?"""
    return len({reward.correct == 1 for reward in group}) == 2


def is_scored(group: Sequence[Reward]) -> bool:
    """Has every answer of a group a reward?"""
    return all(reward.value is not None for reward in group)


def figures(groups: Sequence[Sequence[Reward]]) -> dict[str, float]:
    """What the curve shows of the rewards of a step's groups, those of all processes."""
    rewards = [reward for group in groups for reward in group]
    values = [reward.value for reward in rewards if reward.value is not None]
    means = {"unscored": 1 - len(values) / len(rewards)}
    if values:
        means |= {"reward": fmean(values), "reward_std": pstdev(values)}
    if scored := [group for group in groups if is_scored(group)]:
        means["no_spread"] = fmean(len({reward.value for reward in group}) == 1 for group in scored)
        means["mixed"] = fmean(map(is_mixed, scored))
    for part in sorted({part for reward in rewards for part in reward.parts}):
        means[f"parts/{part}"] = fmean(reward.parts[part] for reward in rewards if part in reward.parts)
    return means
