"""The answers to a prompt as a group: rewards compared with each other, the advantages of GRPO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import torch
from torch import Tensor
from trl.trainer.utils import nanstd

from runners.training import distributed
from runners.training.callbacks import StepLog
from runners.training.config import GrpoConfig
from runners.training.curriculum import PassCounts
from runners.training.rollout import Conversation, is_mixed, is_scored
from runners.types import Reward

SMALL = 1e-4
"""Added to the standard deviation that advantages are divided by, as TRL does."""


@dataclass(frozen=True, slots=True)
class Group:
    """The answers to one prompt, their rewards and advantages."""

    prompt: int
    """Index of the prompt."""
    conversations: tuple[Conversation, ...]
    rewards: tuple[Reward, ...]
    in_loss: bool
    """False where an answer is unscored, or with ``learn_from: mixed`` where all are right or all wrong."""
    advantages: Tensor
    """Advantage of each answer, (answers,); see ``advantages`` below."""

    @property
    def zero_advantage(self) -> bool:
        """Whether the advantages of all answers are 0."""
        return not bool(self.advantages.any())


@dataclass(frozen=True, slots=True)
class StepBatch:
    """The groups of a step in this process, and the log so far."""

    groups: tuple[Group, ...]
    log: StepLog
    passes: PassCounts = ()
    """What ``PromptChooser`` counts after the step, for a checkpoint."""

    def refilled(self, refill: StepBatch) -> StepBatch:
        """Replace zero-advantage groups by groups of ``refill`` with advantages, as far as there are any."""
        useful = iter([group for group in refill.groups if not group.zero_advantage])
        groups = [next(useful, group) if group.zero_advantage else group for group in self.groups]
        return StepBatch(tuple(groups), self.log.with_refill(refill.log))


def advantages(groups: Sequence[Sequence[float | None]], scale: str) -> Tensor:
    """The advantage of each answer over its group, (groups, answers), from the rewards of equal groups.

    An advantage is the reward minus the group's mean, divided by the standard deviation of the group (GRPO,
    Shao et al. 2024, arXiv:2402.03300), of the whole batch, or not at all (``none``: Dr. GRPO,
    arXiv:2503.20783). A reward of None (unscored) has advantage 0. With ``batch`` all processes must call
    together.
    """
    rewards = torch.tensor([[nan if value is None else value for value in group] for group in groups])
    result = rewards - rewards.nanmean(1, keepdim=True)
    if scale == "group":
        result = result / (nanstd(rewards, dim=1, keepdim=True) + SMALL)
    elif scale == "batch":
        all_rewards = torch.tensor(distributed.all_gather(rewards.flatten().tolist()))
        result = result / (nanstd(all_rewards) + SMALL)
    return result.nan_to_num(0.0)


def compare(
    prompts: Sequence[int],
    conversations: Sequence[Conversation],
    rewards: Sequence[Reward],
    config: GrpoConfig,
) -> tuple[Group, ...]:
    """Divide the answers into groups, ``group_size`` for each prompt, and compute their advantages."""
    size = config.group_size
    scored = [tuple(rewards[i : i + size]) for i in range(0, len(rewards), size)]
    in_loss = [is_scored(group) and (config.learn_from == "spread" or is_mixed(group)) for group in scored]
    values = [
        [reward.value if counted else None for reward in group]
        for group, counted in zip(scored, in_loss, strict=True)
    ]
    return tuple(
        Group(prompt, tuple(conversations[i * size : (i + 1) * size]), scored[i], in_loss[i], compared)
        for i, (prompt, compared) in enumerate(
            zip(prompts, advantages(values, config.scale_rewards), strict=True)
        )
    )
