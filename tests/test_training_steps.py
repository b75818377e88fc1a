"""What a training step reads and what it rewards: rows, prompts, rewards."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from test_training import GRPO, letters, requests

from runners.compat.trl import weighted_mean
from runners.training.callbacks import Hooks
from runners.training.config import CurriculumSpec, SftConfig
from runners.training.groups import (
    Group,
    PromptChooser,
    StepBatch,
    StepLog,
    advantages,
    compare,
    mixed_probability,
)
from runners.training.grpo import train_grpo
from runners.training.grpo_step import GrpoTrainer
from runners.training.rollout import Conversation, TrainingReward, answer_figures, is_cut, reward_figures
from runners.training.sft import order
from runners.types import Reward
from tasks.types import Message


def test_a_group_is_unscored_as_a_whole_and_the_others_are_rewarded() -> None:
    values = [1.0, None, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5]
    config = GRPO.model_copy(update={"group_size": 4})
    reward = TrainingReward(lambda samples, texts: [Reward(v) for v in values], config)
    answer: Message = {"role": "assistant", "content": "x"}
    conversations = [
        Conversation(request, [], messages=[answer]) for request in requests(2) for _ in range(4)
    ]
    groups = compare([0, 1], conversations, reward(conversations), config)
    assert [one.value for one in groups[1].rewards] == [0.5] * 4
    assert [group.in_loss for group in groups] == [False, True]
    assert [group.advantages.tolist() for group in groups] == [[0.0] * 4] * 2
    row = reward_figures([group.rewards for group in groups])
    assert row["unscored"] == 1 / 8 and row["no_spread"] == 1.0
    assert row["reward"] == pytest.approx(3.0 / 7)


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_advantages_are_those_of_trl(tmp_path: Path, scale: str) -> None:
    """``StepTrainer.tensors`` hands TRL the rewards, from which it computes advantages of its own."""
    values = [[1.0, 0.1, 0.0, 0.3], [0.1, 0.1, 0.1, 0.1], [None, None, None, None], [0.7, 0.2, 0.2, 0.5]]
    folder = tiny_models.save(tmp_path / "tiny")
    given: list[torch.Tensor] = []

    class Comparing(GrpoTrainer):
        def make_batch(self) -> Any:
            rows = {"prompt_ids": [[5]] * 16, "completion_ids": [[6, 7]] * 16, "logprobs": None}
            given.append(self.tensors(rows, [value for group in values for value in group], 48)["advantages"])
            return super().make_batch()

    config = GRPO.model_copy(update={"max_steps": 1, "scale_rewards": scale})
    train_grpo(folder, requests(), letters, config, tmp_path / "out", Hooks(trainer=Comparing))
    assert torch.equal(given[0].view(4, 4), advantages(values, scale))


def test_rows_of_a_step_are_of_like_length_and_each_epoch_has_every_row() -> None:
    texts = [(1,) * (i * 7919 % 100) for i in range(64)]
    config = SftConfig(batch_size=8, micro_batch=8)
    rows = order(texts, 16, config)
    assert sorted(rows) == sorted([*range(64)] * 2) and order(texts, 16, config) == rows
    for start in range(0, len(rows), 8):
        together = [len(texts[row]) for row in rows[start : start + 8]]
        assert max(together) - min(together) < 20
    assert order(texts, 3, SftConfig(seed=1)) != order(texts, 3, SftConfig(seed=2))
    assert len(order([(5,)], 2, config)) == 16


def test_rows_of_one_prefix_stand_together_in_runs() -> None:
    texts = [(i % 5,) * 9 + (i,) for i in range(60)]  # five databases with twelve questions each
    config = SftConfig(batch_size=8, micro_batch=8, same_prefix=4)
    rows = order(texts, 15, config)
    assert sorted(rows) == sorted([*range(60)] * 2) and order(texts, 15, config) == rows
    for start in range(0, len(rows), 4):
        assert len({row % 5 for row in rows[start : start + 4]}) == 1
    assert rows[:60] != rows[60:]
    assert order(texts, 15, config.model_copy(update={"packing": True})) == order(
        texts, 15, SftConfig(batch_size=8, micro_batch=8)
    )


def chooser(seen: list[tuple[float, float]], count: int, curriculum: bool, seed: int = 0) -> PromptChooser:
    prompts = [replace(prompt, passes=one) for prompt, one in zip(requests(len(seen)), seen, strict=True)]
    update = {"prompts_per_step": count, "seed": seed, "curriculum": CurriculumSpec() if curriculum else None}
    return PromptChooser(prompts, GRPO.model_copy(update=update))


def test_prompts_on_one_database_are_asked_in_one_step() -> None:
    prompts = [
        replace(one, sample=replace(one.sample, database=f"db{i % 3}")) for i, one in enumerate(requests(12))
    ]
    choose = PromptChooser(prompts, GRPO.model_copy(update={"prompts_per_step": 4, "same_prefix": 2})).choose
    steps = [choose(step) for step in range(3)]
    assert sorted(index for step in steps for index in step) == [*range(12)]
    assert all(step[0] % 3 == step[1] % 3 and step[2] % 3 == step[3] % 3 for step in steps)


def test_prompts_come_once_an_epoch() -> None:
    even = chooser([(0, 0)] * 10, 4, curriculum=False)
    first = [index for step in range(2) for index in even.choose(step)]
    assert len(set(first)) == 8 and even.choose(0) == first[:4]
    assert even.choose(2) != first[:4]
    more = even.choose_further(0, 5, set(even.choose(0)))
    assert len(set(more)) == 5 and not set(more) & set(even.choose(0))
    assert len(even.choose_further(0, 5, set(range(8)))) == 2


def test_the_probability_of_a_mixed_group_is_the_beta_binomials() -> None:
    assert mixed_probability(0, 0, 1) == pytest.approx(0)
    assert mixed_probability(0, 0, 2) == pytest.approx(1 / 4)  # 1 - 2 * (1/2 * 3/4)
    assert mixed_probability(3, 8, 4) == pytest.approx(mixed_probability(5, 8, 4))
    assert mixed_probability(4, 8, 8) > 0.9 > mixed_probability(0, 8, 8) > mixed_probability(0, 80, 8)


def test_a_curriculum_prefers_prompts_that_are_sometimes_right_and_follows_the_model() -> None:
    seen = [(0, 16), (16, 16), (8, 16), (0, 16)]
    drawn = Counter(i for step in range(200) for i in chooser(seen, 1, curriculum=True).choose(step))
    assert drawn[2] > 2 * max(drawn[0], drawn[1], drawn[3])
    learning = chooser(seen, 1, curriculum=True)
    before = learning.weight(0)
    learning.update(0, 2, 4)
    assert learning.counts[0] == (2, 12) and learning.weight(0) > before
    other = chooser(seen, 1, curriculum=True)
    assert learning.state() == other.state(), "not learned from yet"
    learning.learned = tuple(learning.counts)
    other.restore(json.loads(json.dumps(learning.state())))
    assert [other.choose(step) for step in range(20)] == [learning.choose(step) for step in range(20)]


def test_zero_advantage_groups_are_replaced_as_far_as_others_have_advantages() -> None:
    def batch(first: int, compared: list[list[float]]) -> StepBatch:
        groups = [
            Group(first + i, (), (), True, torch.tensor(advantages)) for i, advantages in enumerate(compared)
        ]
        return StepBatch(tuple(groups), StepLog({"reward": float(first)}, 7, {"sampling": 1.0}))

    first = batch(10, [[1, -1], [0, 0], [0, 0], [0, 0]])
    more = batch(20, [[0, 0], [2, -2], [3, -3]])
    refilled = first.refilled(more)
    assert [group.prompt for group in refilled.groups] == [10, 21, 22, 13]
    assert [group.zero_advantage for group in refilled.groups] == [False, False, False, True]
    assert refilled.log == StepLog({"reward": 10.0}, 14, {"sampling": 2.0})


END, PAD = 1, 0


@pytest.mark.parametrize(
    ("own", "tokens", "clipped"),
    [
        ([1, 1], [7, END], False),
        ([1, 1], [7, 7], True),
        ([1, 1, 0, 0, 1], [7, END, 5, 5, END], False),
        ([1, 1, 0, 0, 1], [7, 7, END, 5, END], True),  # the first answer was cut, the second was not
        ([1, 1, 0, 0, 1], [7, END, 5, 5, 7], True),
        ([1, 1], [END, PAD], False),
    ],
)
def test_an_answer_of_any_turn_can_be_cut(own: list[int], tokens: list[int], clipped: bool) -> None:
    assert is_cut(own, tokens, {END, PAD}) is clipped


def test_the_length_of_a_conversation_is_that_of_its_own_tokens_in_all_turns() -> None:
    answer: Message = {"role": "assistant", "content": "x"}
    conversations = [
        Conversation(requests()[0], [], tokens, own, [answer])
        for own, tokens in (([1, 1, 0, 0, 1], [7, END, 5, 5, END]), ([1, 1, 1], [7, 7, 7]))
    ]
    found = answer_figures(conversations, {END}, several_turns=False)
    assert found == {"length": 3.0, "clipped": 0.5}


def test_a_pass_counts_by_its_tokens() -> None:
    assert weighted_mean([2.0, 0.0, 5.0], [30, 0, 10]) == pytest.approx(2.75)
    assert weighted_mean([2.0, float("nan")], [4, 0]) == 2.0  # a pass without tokens has no mean
