"""A task in the Tinker cookbook: its own rollouts over our environments, without its service."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import answer_table
import pytest

pytest.importorskip("tinker_cookbook")

import tinker
import tiny_models
from tinker_cookbook.completers import TokenCompleter, TokensWithLogprobs
from tinker_cookbook.rl.rollouts import do_group_rollout
from tinker_cookbook.rl.types import TrajectoryGroup

from harness.adapters.tinker import SqlDatasetBuilder, SqlGroup
from tasks.common.errors import SpecError
from tasks.task import Task

END = "\n\nUser:"
"""Where an answer stops in the cookbook's plainest form of a conversation, ``role_colon``."""


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    (tmp_path / "task").mkdir()
    return answer_table.write_task(tmp_path / "task")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny_models.tokenizer().save_pretrained(folder)
    return str(folder)


class Scripted(TokenCompleter):
    """A policy that gives the next of its answers; ``prompts`` are what it was asked."""

    def __init__(self, answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.prompts: list[str] = []
        self._tokenizer = tiny_models.tokenizer()

    async def __call__(self, model_input: tinker.ModelInput, stop: Any, **_: Any) -> TokensWithLogprobs:
        assert stop == [END]
        self.prompts.append(self._tokenizer.decode(model_input.to_ints()))
        tokens = self._tokenizer.encode(self.answers.pop(0), add_special_tokens=False)
        return TokensWithLogprobs(tokens=tokens, maybe_logprobs=[-1.0] * len(tokens), stop_reason="stop")


def group(task: Path, tokenizer: str, size: int, **more: Any) -> SqlGroup:
    """The group of the training split's first question, as another process would get it."""
    builder = SqlDatasetBuilder(
        model_name=tokenizer, renderer_name="role_colon", task=str(task), group_size=size, **more
    )
    train, _ = asyncio.run(builder())
    groups = [one for batch in range(len(train)) for one in train.get_batch(batch)]
    (found,) = [one for one in groups if isinstance(one, SqlGroup) and one.index == 0]
    copy: SqlGroup = pickle.loads(pickle.dumps(found))
    return copy


def played(made: SqlGroup, policy: Scripted) -> TrajectoryGroup:
    return asyncio.run(do_group_rollout(made, policy))


def test_every_answer_gets_the_graders_reward(task: Path, tokenizer: str) -> None:
    """Also those that are cut off: they lack the end at which an answer stops."""
    answers = answer_table.ANSWERS[:-1]  # the longest one only costs time
    policy = Scripted([text if place % 5 == 4 else text + END for place, text in enumerate(answers)])
    found = played(group(task, tokenizer, len(answers)), policy)
    assert found.get_total_rewards() == answer_table.rewards(task)[:-1]
    loaded = Task.named(str(task))
    contents = [message["content"] for message in loaded.messages(loaded.samples()[0])]
    assert all(content in prompt for content in contents for prompt in policy.prompts)
    metrics = [one.transitions[-1].metrics["execution_accuracy"] for one in found.trajectories_G]
    assert metrics[:3] == [1.0, 1.0, 0.0]


def test_a_failed_query_is_corrected(task: Path, tokenizer: str) -> None:
    policy = Scripted(["SELECT gone" + END, answer_table.GOLD + END])
    found = played(group(task, tokenizer, 1, turns=2), policy)
    (trajectory,) = found.trajectories_G
    assert [one.reward for one in trajectory.transitions] == [0.0, 1.0]
    assert "Your query failed: no such column: gone." in policy.prompts[1]


def test_an_unscored_answer_is_an_error(task: Path, tokenizer: str) -> None:
    with pytest.raises(Exception, match="not scored: gold_failed"):
        played(replace(group(task, tokenizer, 1), index=2), Scripted([answer_table.BROKEN + END]))


def test_a_gold_without_rows_is_evaluated_and_not_trained_on(task: Path, tokenizer: str) -> None:
    answer_table.write_golds(task, [answer_table.GOLD, answer_table.EMPTY])
    builder = SqlDatasetBuilder(
        model_name=tokenizer, renderer_name="role_colon", task=str(task), batch_size=1
    )
    train, evaluated = asyncio.run(builder())
    assert evaluated is not None and (len(train), len(evaluated)) == (1, 2)
    [made] = evaluated.get_batch(1)
    assert isinstance(made, SqlGroup)
    assert played(made, Scripted([answer_table.EMPTY + END])).get_total_rewards() == [1.0]


def test_a_batch_has_all_questions_once(task: Path, tokenizer: str) -> None:
    """All but the one whose gold fails."""
    builder = SqlDatasetBuilder(
        model_name=tokenizer, renderer_name="role_colon", task=str(task), batch_size=1, group_size=4
    )
    train, evaluated = asyncio.run(builder())
    assert evaluated is not None and (len(train), len(evaluated)) == (2, 2)
    for dataset, size in ((train, 4), (evaluated, 1)):
        groups = [one for batch in range(2) for one in dataset.get_batch(batch)]
        assert sorted(one.index for one in groups if isinstance(one, SqlGroup)) == [0, 1]
        assert len(asyncio.run(groups[0].make_envs())) == size and groups[0].logging_tags() == ["people"]


def test_a_completion_prompt_is_refused(task: Path, tokenizer: str) -> None:
    with pytest.raises(SpecError, match="not by a completion prompt"):
        group(task, tokenizer, 1, overrides=("prompt.template=completion",))
