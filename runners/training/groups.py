"""What a GRPO step hands on: the prompts that it asks, the groups of their answers, and its log.

Prompts are chosen by seed and step, and with a curriculum by pass rates. The rewards of a group's answers are
compared with each other, which gives the advantages.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import exp, lgamma, nan
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from trl.trainer.utils import nanstd

from runners.training import distributed
from runners.training.config import GrpoConfig
from runners.training.order import in_runs
from runners.training.rollout import Conversation, is_mixed, is_scored
from runners.types import Request, Reward

P = ParamSpec("P")
T = TypeVar("T")
PassCounts = Sequence[tuple[float, float]]
"""(right answers, all answers) of each prompt; earlier answers have less weight."""

PRIOR = 0.5
"""Pseudo-counts of right and of wrong answers that each prompt starts with (Jeffreys prior)."""
SMALL = 1e-4
"""Added to the standard deviation that advantages are divided by, as TRL does."""


def mixed_probability(right: float, answers: float, group: int) -> float:
    """The probability that ``group`` further answers are neither all right nor all wrong.

    By the beta-binomial distribution, after ``right`` of ``answers`` answers were right.
    """

    def all_of(same: float, other: float) -> float:
        before, after = same + PRIOR, same + PRIOR + group
        rest = other + PRIOR
        return exp(lgamma(after) - lgamma(before) + lgamma(before + rest) - lgamma(after + rest))

    return 1 - all_of(right, answers - right) - all_of(answers - right, right)


class PromptChooser:
    """Chooses the distinct prompts of each step.

    Without ``train.curriculum`` every prompt comes once per epoch. With it, prompts are drawn by the
    probability that their group will have right and wrong answers, because other groups have no gradient.
    """

    def __init__(self, prompts: Sequence[Request], config: GrpoConfig) -> None:
        self.count, self.seed, self.group = config.prompts_per_step, config.seed, config.group_size
        self.curriculum, self.same_prefix = config.curriculum, config.same_prefix
        self.databases: dict[str, list[int]] = {}
        for index, prompt in enumerate(prompts):
            self.databases.setdefault(prompt.sample.database, []).append(index)
        self.counts: list[tuple[float, float]] = [prompt.passes for prompt in prompts]
        """As in ``PassCounts``, after the last step that was drawn."""
        self.learned: PassCounts = tuple(self.counts)
        """The same after the last step that was learned from; later ones may be drawn already."""

    def choose(self, step: int) -> list[int]:
        """The indices of the prompts of a step; steps count from 0."""
        if self.curriculum:
            return self.choose_further(step, self.count, ())
        steps = len(self.counts) // self.count
        epoch, part = divmod(step, steps)
        order = list(range(len(self.counts)))
        generator = random.Random(f"{self.seed} {epoch}")
        generator.shuffle(order)
        if self.same_prefix:
            order = in_runs(order, self.databases.values(), self.same_prefix, generator)
        return order[part * self.count : (part + 1) * self.count]

    def choose_further(self, step: int, count: int, asked: Container[int]) -> list[int]:
        """Up to ``count`` further prompts of a step, none of those ``asked`` already.

        Weighted sampling without replacement: the largest keys u^(1/w) (Efraimidis and Spirakis 2006).
        """
        generator = random.Random(f"{self.seed} {step}")
        keys = {i: generator.random() ** (1 / self.weight(i)) for i in range(len(self.counts))}
        others = [index for index in keys if index not in asked]
        return sorted(others, key=keys.__getitem__, reverse=True)[:count]

    def weight(self, index: int) -> float:
        """The probability that a prompt's group is mixed; 1 for all prompts without a curriculum."""
        return mixed_probability(*self.counts[index], self.group) if self.curriculum else 1.0

    def update(self, index: int, right: float, answers: int) -> None:
        """Count a prompt's right answers and all its answers of this step."""
        if self.curriculum:
            before_right, before = (self.curriculum.memory * count for count in self.counts[index])
            self.counts[index] = (before_right + right, before + answers)

    def state(self) -> Mapping[str, Any]:
        """The counts after the last step that was learned from, for a checkpoint.

        The prompts of later steps depend on them and on the step only, so that a resumed run asks the prompts
        again that were drawn but not learned from.
        """
        right, asked = ([pair[i] for pair in self.learned] for i in (0, 1))
        return {"right": right, "asked": asked}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from an earlier ``state``."""
        self.counts = list(zip(state["right"], state["asked"], strict=True))
        self.learned = tuple(self.counts)


class Clock:
    """Wall-clock seconds by phase; time in an inner phase does not count in the outer one."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the block's time to a phase."""
        began, inner = time.perf_counter(), self.seconds.total()
        yield
        self.seconds[name] += time.perf_counter() - began - (self.seconds.total() - inner)  # type: ignore[assignment]

    def timed(self, name: str, function: Callable[P, T]) -> Callable[P, T]:
        """Wrap a function so that the time of its calls counts in this phase."""

        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            with self.phase(name):
                return function(*args, **kwargs)

        return call


@dataclass(frozen=True, slots=True)
class StepLog:
    """The figures that a step adds to the curve."""

    figures: Mapping[str, float]
    """Figures of the answers drawn before any refill, because a refill selects groups by their rewards."""
    tokens: int
    """Tokens of all prompts and conversations, in all processes."""
    seconds: Mapping[str, float]
    """Wall-clock time by phase."""

    def with_refill(self, refill: StepLog) -> StepLog:
        """This log with the tokens and seconds of a refill in the same step."""
        seconds = {phase: self.seconds[phase] + refill.seconds[phase] for phase in self.seconds}
        return StepLog(self.figures, self.tokens + refill.tokens, seconds)

    def extended(self, figures: Mapping[str, float]) -> StepLog:
        """This log with further figures."""
        return replace(self, figures={**self.figures, **figures})

    def row(self) -> dict[str, float]:
        """The figures by their names in the curve."""
        return {**self.figures, **{f"{phase}_seconds": value for phase, value in self.seconds.items()}}


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
