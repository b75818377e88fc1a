"""What a training step reads and what it pays: rows, prompts, rewards."""

from collections import Counter

import pytest
from test_training import GRPO, requests

from runners.config import SftConfig
from runners.curriculum import Chooser
from runners.payment import Rewards
from runners.sft import order
from runners.types import Reward


def test_a_group_is_unscored_as_a_whole_and_the_others_are_paid() -> None:
    class Watching:
        def __init__(self) -> None:
            self.row: dict[str, float] = {}

        def spend(self, phase: str, seconds: float) -> None:
            self.row[phase] = seconds

    values = [1.0, None, 0.0, 0.0, 0.5, 0.5, 0.5, 0.5]
    config = GRPO.model_copy(update={"group_size": 4})
    watch = Watching()
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


def test_prompts_come_once_an_epoch_or_by_weight() -> None:
    even = Chooser([1.0] * 10, count=4, seed=0)
    first = [index for step in range(2) for index in even.choose(step)]
    assert len(set(first)) == 8 and even.choose(0) == first[:4]
    assert even.choose(2) != first[:4]
    drawn = Counter(i for step in range(200) for i in Chooser([0, 1, 1, 8], 1, seed=0).choose(step))
    assert drawn[0] == 0 and drawn[3] > 4 * drawn[1] and drawn[1] > 5
    assert all(len(set(Chooser([1, 2, 3, 4], 3, seed=0).choose(step))) == 3 for step in range(20))
