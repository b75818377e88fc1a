"""What a training step reads and what it pays: rows, prompts, rewards."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from test_training import GRPO, requests

from runners.training.common import Hooks, Watch
from runners.training.config import CurriculumSpec, SftConfig
from runners.training.curriculum import Chooser, chance_of_spread
from runners.training.figures import cut, of_answers, weighted
from runners.training.folder import RunFolder
from runners.training.refill import idle, replaced
from runners.training.sft import order
from runners.training.training_reward import Rewards
from runners.types import Reward


def test_a_group_is_unscored_as_a_whole_and_the_others_are_paid(tmp_path: Path) -> None:
    values = [1.0, None, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5]
    config = GRPO.model_copy(update={"group_size": 4})
    watch = Watch(RunFolder(tmp_path, {}), config, Hooks())
    rewards = Rewards(requests(2), lambda samples, texts: [Reward(v) for v in values], config, watch)
    texts = [[{"role": "assistant", "content": "x"}]] * 8
    assert rewards(completions=texts, row=[0] * 4 + [1] * 4) == [None] * 4 + [0.5] * 4
    assert rewards.unscored == [True] * 4 + [False] * 4
    assert watch.row["unscored"] == 1 / 8 and watch.row["no_spread"] == 1.0
    assert watch.row["reward"] == pytest.approx(3.0 / 7)


def test_rows_of_a_step_are_of_like_length_and_each_epoch_has_every_row() -> None:
    lengths = [i * 7919 % 100 for i in range(64)]
    config = SftConfig(batch_size=8, micro_batch=8)
    rows = order(lengths, 16, config)
    assert sorted(rows) == sorted([*range(64)] * 2) and order(lengths, 16, config) == rows
    for start in range(0, len(rows), 8):
        together = [lengths[row] for row in rows[start : start + 8]]
        assert max(together) - min(together) < 20
    assert order(lengths, 3, SftConfig(seed=1)) != order(lengths, 3, SftConfig(seed=2))
    assert len(order([5], 2, config)) == 16


def chooser(seen: list[tuple[float, float]], count: int, curriculum: bool, seed: int = 0) -> Chooser:
    prompts = [replace(prompt, passes=one) for prompt, one in zip(requests(len(seen)), seen, strict=True)]
    update = {"prompts_per_step": count, "seed": seed, "curriculum": CurriculumSpec() if curriculum else None}
    return Chooser(prompts, GRPO.model_copy(update=update))


def test_prompts_come_once_an_epoch() -> None:
    even = chooser([(0, 0)] * 10, 4, curriculum=False)
    first = [index for step in range(2) for index in even.choose(step)]
    assert len(set(first)) == 8 and even.choose(0) == first[:4]
    assert even.choose(2) != first[:4]
    more = even.further(0, 5, set(even.choose(0)))
    assert len(set(more)) == 5 and not set(more) & set(even.choose(0))
    assert len(even.further(0, 5, set(range(8)))) == 2


def test_the_chance_of_spread_is_the_beta_binomials() -> None:
    assert chance_of_spread(0, 0, 1) == pytest.approx(0)
    assert chance_of_spread(0, 0, 2) == pytest.approx(1 / 4)  # 1 - 2 * (1/2 * 3/4)
    assert chance_of_spread(3, 8, 4) == pytest.approx(chance_of_spread(5, 8, 4))
    assert chance_of_spread(4, 8, 8) > 0.9 > chance_of_spread(0, 8, 8) > chance_of_spread(0, 80, 8)


def test_a_curriculum_prefers_prompts_that_are_sometimes_right_and_follows_the_model() -> None:
    seen = [(0, 16), (16, 16), (8, 16), (0, 16)]
    drawn = Counter(i for step in range(200) for i in chooser(seen, 1, curriculum=True).choose(step))
    assert drawn[2] > 2 * max(drawn[0], drawn[1], drawn[3])
    learning = chooser(seen, 1, curriculum=True)
    before = learning.chance(0)
    learning.learn(0, 2, 4)
    assert learning.seen[0] == (2, 12) and learning.chance(0) > before
    other = chooser(seen, 1, curriculum=True)
    other.restore(json.loads(json.dumps(learning.state())))
    assert [other.choose(step) for step in range(20)] == [learning.choose(step) for step in range(20)]


def test_groups_without_spread_are_replaced_as_far_as_others_teach() -> None:
    def batch(first: int, advantages: list[float], widths: tuple[int, int]) -> dict[str, torch.Tensor]:
        rows = torch.arange(first, first + len(advantages))[:, None]
        return {
            "prompt_ids": rows.expand(-1, widths[0]).clone(),
            "completion_ids": rows.expand(-1, widths[1]).clone(),
            "advantages": torch.tensor(advantages),
            "num_items_in_batch": torch.tensor(7),
        }

    first = batch(10, [1, -1, 0, 0, 0, 0, 0, 0], (2, 3))
    more = batch(20, [0, 0, 2, -2, 3, -3], (3, 1))
    merged = replaced(first, more, 2)
    assert idle(merged, 2).tolist() == [False, False, False, True]
    assert merged["completion_ids"][:, 0].tolist() == [10, 11, 22, 23, 24, 25, 16, 17]
    assert merged["completion_ids"][2].tolist() == [22, 0, 0]
    assert merged["prompt_ids"][0].tolist() == [0, 10, 10] and merged["prompt_ids"][3].tolist() == [23] * 3
    assert merged["advantages"].tolist() == [1, -1, 2, -2, 3, -3, 0, 0]


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
    assert cut(own, tokens, {END, PAD}) is clipped


def test_the_length_of_a_conversation_is_that_of_its_own_tokens_in_all_turns() -> None:
    own, tokens = [[1, 1, 0, 0, 1], [1, 1, 1]], [[7, END, 5, 5, END], [7, 7, 7]]
    assert of_answers(own, tokens, {END}) == {"length": 3.0, "clipped": 0.5}


def test_a_pass_counts_by_its_tokens() -> None:
    assert weighted([2.0, 0.0, 5.0], [30, 0, 10]) == pytest.approx(2.75)
    assert weighted([2.0, float("nan")], [4, 0]) == 2.0  # an idle pass has no mean
