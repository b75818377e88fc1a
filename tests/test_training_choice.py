"""Which groups a step learns from: refills, groups of one verdict, prompts by pass rate."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from test_training import GRPO, curve, requests, weights

from runners.training.callbacks import Hooks
from runners.training.config import CurriculumSpec
from runners.training.grpo import train_grpo
from runners.types import Request, Reward
from tasks.common.errors import ModelError
from tasks.types import Sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.save(tmp_path_factory.mktemp("models") / "tiny")


def dull(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
    """Every second question's answers all get the same reward."""
    return [
        Reward(0.0 if int(sample.id) % 2 else len(text) + i / 100, correct=float(i % 2))
        for i, (sample, text) in enumerate(zip(samples, texts, strict=True))
    ]


@pytest.mark.parametrize("shared", [True, False])
def test_groups_without_spread_are_refilled_up_to_the_budget(
    tmp_path: Path, folder: str, shared: bool
) -> None:
    asked: list[list[str]] = []

    def noting(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
        asked.append([sample.id for sample in samples[::4]])
        return dull(samples, texts)

    config = GRPO.model_copy(update={"max_steps": 3, "refill": 5, "shared_prefix": shared})
    train_grpo(folder, requests(), noting, config, tmp_path)
    rows = curve(tmp_path)
    assert any(row["idle"] < row["no_spread"] for row in rows)
    assert all(4 <= row["asked"] <= 9 for row in rows)
    assert sum(row["asked"] for row in rows) == sum(map(len, asked)) > 12
    step = [one for call in asked[: asked.index(asked[1]) + 1] for one in call]
    assert len(set(step)) == len(step)  # no prompt twice in a step
    assert all(row["idle"] == 0 or row["asked"] == 9 for row in rows)


def test_without_a_refill_the_curve_and_the_weights_are_what_they_were(tmp_path: Path, folder: str) -> None:
    for name, refill in (("none", 0), ("unneeded", 4)):
        config = GRPO.model_copy(update={"refill": refill})

        def all_spread(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
            return [Reward(i / 7) for i in range(len(texts))]

        train_grpo(folder, requests(), all_spread, config, tmp_path / name)
    one, other = (weights(tmp_path / name / "model") for name in ("none", "unneeded"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert "asked" not in curve(tmp_path / "none")[0]


def test_groups_of_one_verdict_can_be_left_out(tmp_path: Path, folder: str) -> None:
    def all_wrong(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
        return [Reward(i / 100, correct=0.0) for i in range(len(texts))]

    config = GRPO.model_copy(update={"max_steps": 1, "scheduler": "constant", "learn_from": "mixed"})
    result = train_grpo(folder, requests(), all_wrong, config, tmp_path)
    before, after = weights(folder), weights(result.model)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert curve(tmp_path)[0]["mixed"] == 0 and curve(tmp_path)[0]["no_spread"] == 0


def hard_and_easy() -> list[Request]:
    """Questions 0 to 7 were never answered right, 8 to 15 half the time."""
    seen = [(0.0, 32.0)] * 8 + [(16.0, 32.0)] * 8
    return [Request(one.sample, one.messages, rate) for one, rate in zip(requests(), seen, strict=True)]


def test_a_curriculum_asks_what_is_sometimes_right_and_survives_a_resume(tmp_path: Path, folder: str) -> None:
    def train(out: Path, hooks: Hooks | None = None) -> list[str]:
        asked: list[str] = []

        def noting(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
            asked.extend(sample.id for sample in samples[::4])
            return dull(samples, texts)

        update = {"max_steps": 6, "save_every": 2, "curriculum": CurriculumSpec(), "refill": 2}
        train_grpo(folder, hard_and_easy(), noting, GRPO.model_copy(update=update), out, hooks)
        return asked

    asked = train(tmp_path / "whole")
    assert sum(int(one) >= 8 for one in asked) > 2 / 3 * len(asked)

    def interrupt(row: Any) -> None:
        if row["step"] == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "cut", Hooks(on_step=interrupt))
    rest = train(tmp_path / "cut")
    assert rest and asked[-len(rest) :] == rest
    one, other = (weights(tmp_path / name / "model") for name in ("whole", "cut"))
    assert all(torch.allclose(one[key], other[key], atol=1e-6) for key in one)


def test_a_refill_within_rewards_scaled_by_the_batch_is_refused(tmp_path: Path, folder: str) -> None:
    config = GRPO.model_copy(update={"refill": 2, "scale_rewards": "batch"})
    with pytest.raises(ModelError, match="set scale_rewards to group or none"):
        train_grpo(folder, requests(), dull, config, tmp_path)
