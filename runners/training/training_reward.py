"""What a trainer pays: the composite score as TRL's reward function, and the figures of it for the curve."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from math import isfinite
from statistics import fmean, pstdev
from typing import Any

from runners.training import processes
from runners.training.ahead import Ahead
from runners.training.common import Watch
from runners.training.config import GrpoConfig
from runners.types import Request, Reward, RewardFunction
from tasks.common.errors import ModelError
from tasks.types import Message, Sample


class Rewards:
    """The reward function in TRL's form: column ``row`` says which prompt each completion answers."""

    __name__ = "score"

    def __init__(
        self, prompts: Sequence[Request], score: RewardFunction, config: GrpoConfig, watch: Watch
    ) -> None:
        self.prompts, self.config, self.watch = prompts, config, watch
        self.ahead = Ahead(score)
        self.unscored: list[bool] = []
        """For each completion of the last call: is its group left out of the loss?"""
        self.tried: list[tuple[int, float, int]] = []
        """For each prompt of the last call: its index, its right answers, and its scored ones."""

    def __call__(self, completions: Any, row: list[int], **columns: Any) -> list[float | None]:
        began = time.perf_counter()
        samples = [self.prompts[index].sample for index in row]
        texts = [messages[-1]["content"] for messages in completions]
        size = self.config.group_size
        rewards = [
            replace(reward, value=None if reward.value is None else reward.value - self._cost(messages))
            for reward, messages in zip(self.ahead.rewards(samples, texts, size), completions, strict=True)
        ]
        check_numbers(samples, rewards)
        groups = [rewards[i : i + size] for i in range(0, len(rewards), size)]
        whole = [all(reward.value is not None for reward in group) for group in groups]
        learnt = [good and self._teaches(group) for group, good in zip(groups, whole, strict=True)]
        self.unscored = [not good for good in learnt for _ in range(size)]
        self.tried = processes.gathered([_tried(row[i * size], group) for i, group in enumerate(groups)])
        scored = processes.gathered([group for group, good in zip(groups, whole, strict=True) if good])
        self.watch.first(_figures(processes.gathered(rewards), scored))
        self.watch.spend("scoring", time.perf_counter() - began)
        return [None if left else reward.value for reward, left in zip(rewards, self.unscored, strict=True)]

    def _cost(self, messages: Sequence[Message]) -> float:
        """What an answer after so many turns is paid less."""
        return self.config.turn_cost * (len(messages) // 2) / max(1, self.config.max_turns - 1)

    def _teaches(self, group: Sequence[Reward]) -> bool:
        return self.config.learn_from == "spread" or _mixed(group)


def check_numbers(samples: Sequence[Sample], rewards: Sequence[Reward]) -> None:
    """Raise ModelError where a reward is neither a number nor None."""
    for sample, reward in zip(samples, rewards, strict=True):
        if reward.value is not None and not isfinite(reward.value):
            raise ModelError(
                f"the reward of an answer to question {sample.id} is {reward.value}:"
                " mend scoring.reward; None is for what cannot be scored"
            )


def _mixed(group: Sequence[Reward]) -> bool:
    """Are some answers of a group right and some wrong?"""
    return len({reward.correct == 1 for reward in group}) == 2


def _tried(index: int, group: Sequence[Reward]) -> tuple[int, float, int]:
    verdicts = [reward.correct for reward in group if reward.correct is not None]
    return index, sum(verdict == 1 for verdict in verdicts), len(verdicts)


def _figures(rewards: Sequence[Reward], groups: Sequence[Sequence[Reward]]) -> dict[str, float]:
    """What the curve shows of a step's rewards; ``groups`` are those that were scored in full."""
    values = [reward.value for reward in rewards if reward.value is not None]
    figures = {"unscored": 1 - len(values) / len(rewards)}
    if values:
        figures |= {"reward": fmean(values), "reward_std": pstdev(values)}
    if groups:
        figures["no_spread"] = fmean(len({reward.value for reward in group}) == 1 for group in groups)
        figures["mixed"] = fmean(map(_mixed, groups))
    for part in sorted({part for reward in rewards for part in reward.parts}):
        figures[f"parts/{part}"] = fmean(reward.parts[part] for reward in rewards if part in reward.parts)
    return figures
