"""verl 0.9.1 on an exported folder: its dataset, its reward managers and workers, and our grader's number."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("verl")

import numpy as np
import tiny_models
import torch
import trainer_folder
from answer_table import GOLD
from hydra import compose, initialize_config_module
from trainer_folder import ANSWERS, STUCK, THOUGHT, Exported, exported, rows
from transformers import AutoTokenizer
from verl import DataProto
from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage
from verl.trainer.ppo.metric_utils import process_validation_metrics
from verl.trainer.ppo.reward import load_reward_manager
from verl.utils.dataset.rl_dataset import RLHFDataset, collate_fn
from verl.utils.import_utils import load_extern_object
from verl.workers.reward_manager import BatchRewardManager
from verl.workers.reward_manager.prime import single_compute_score

from harness.adapters.verl import VerlReward, with_means
from rewards.types import Grade

VALUES = ("score", "execution_accuracy", "strict", "bird", "reason")
KEPT = [index for index, answer in enumerate(ANSWERS) if 0 < len(answer) < 1000 and "\ud800" not in answer]
"""The answers that a tokenizer can encode, and in a few tokens."""
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    """The exported task, in a HARNESS_HOME of the module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
        yield exported("verl", tmp_path_factory.mktemp("a = b, 'c'"))


@pytest.fixture(scope="module")
def grades(made: Exported) -> list[Grade]:
    return trainer_folder.grades(made)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return AutoTokenizer.from_pretrained(tiny_models.save(tmp_path_factory.mktemp("models") / "tiny"))


def configuration(made: Exported, *overrides: str) -> Any:
    """verl's configuration by the command that the export prints."""
    assert made.command[:3] == ["python", "-m", "verl.trainer.main_ppo"]
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=[*made.command[3:], *overrides])


def batch(row: dict[str, Any], tokenizer: Any, answers: list[str]) -> DataProto:
    """The answers to one row as a rollout returns them."""
    ids = [tokenizer(answer, add_special_tokens=False)["input_ids"] for answer in answers]
    width = max(map(len, ids)) + 1
    responses = torch.tensor([[*one, *[0] * (width - len(one))] for one in ids])
    mask = torch.tensor([[1] * len(one) + [0] * (width - len(one)) for one in ids])
    prompts = torch.ones((len(ids), 3), dtype=torch.long)
    columns = ("data_source", "reward_model", "extra_info")
    others = {name: np.array([row[name] for _ in ids], dtype=object) for name in columns}
    tensors = {
        "prompts": prompts,
        "responses": responses,
        "attention_mask": torch.cat([torch.ones_like(prompts), mask], dim=1),
    }
    return DataProto.from_dict(tensors, others)


def expected(grades: list[Grade]) -> list[dict[str, object]]:
    return [
        {
            "score": grade.scores["reward"].value,
            "execution_accuracy": grade.attempt.verdicts["strict"],
            **grade.attempt.verdicts,
            "reason": grade.attempt.reason.value,
        }
        for grade in grades
    ]


def arguments(made: Exported, answer: str, split: str = "test") -> tuple[str, str, str, dict[str, Any]]:
    """The arguments of ``compute_score`` for an answer to the first question of a split."""
    row = rows(made.folder, split)[0]
    return row["data_source"], answer, row["reward_model"]["ground_truth"], row["extra_info"]


def test_the_printed_command_is_read_by_verl(made: Exported, tokenizer: Any) -> None:
    config = configuration(made)
    assert config.reward.custom_reward_function.name == "compute_score_async"
    dataset = RLHFDataset(config.data.val_files, tokenizer, config.data)
    assert len(dataset) == 2
    collated = collate_fn([dataset[0]])
    sample = made.task.samples("dev")[0]
    assert collated["raw_prompt"][0] == list(made.task.messages(sample))
    assert collated["extra_info"][0] == {"index": 0, "split": "test", "id": sample.id}
    assert len(RLHFDataset(config.data.train_files, tokenizer, config.data)) == 2
    assert (config.data.max_prompt_length, config.data.max_response_length) == (256, 256)


@pytest.mark.parametrize(("name", "manager"), [("compute_score", "naive"), ("compute_score_async", "dapo")])
def test_a_reward_manager_gets_the_grader_s_number(
    made: Exported,
    grades: list[Grade],
    tokenizer: Any,
    name: str,
    manager: str,
) -> None:
    chosen = (f"reward.custom_reward_function.name={name}", f"reward.reward_manager.name={manager}")
    reward_manager = load_reward_manager(configuration(made, *chosen), tokenizer)
    data = batch(rows(made.folder, "test")[0], tokenizer, [ANSWERS[index] for index in KEPT])

    async def run() -> list[dict[str, Any]]:
        return await asyncio.gather(*(reward_manager.run_single(data[i : i + 1]) for i in range(len(KEPT))))

    found = reward_manager.loop.run_until_complete(run())
    wanted = [expected(grades)[index] for index in KEPT]
    assert [one["reward_score"] for one in found] == [one["score"] for one in wanted]
    assert [one["reward_extra_info"] for one in found] == wanted
    scores = reward_manager.assemble_rm_scores(data, [one["reward_score"] for one in found]).sum(dim=1)
    assert scores.tolist() == pytest.approx([one["score"] for one in wanted])


def test_every_way_to_call_it_gives_the_grader_s_number(made: Exported, grades: list[Grade]) -> None:
    """In turn, in threads, in an event loop, in a batch, and in forks of this process."""
    reward = load_extern_object(str(made.folder / "reward.py"), "_reward")
    calls = [arguments(made, answer) for answer in ANSWERS]
    wanted = expected(grades)
    assert [reward.compute_score(*call) for call in calls] == wanted
    with ThreadPoolExecutor(32) as threads:
        assert list(threads.map(lambda call: reward.compute_score(*call), calls)) == wanted

    async def run() -> list[dict[str, Any]]:
        return await asyncio.gather(*(reward.compute_score_async(*call) for call in calls))

    assert asyncio.run(run()) == wanted
    assert reward.compute_score_batch(*zip(*calls, strict=True)) == [
        one | {"unscored": 0.0} for one in wanted
    ]
    with ProcessPoolExecutor(2) as forks:
        few = range(8)

        async def forked() -> list[dict[str, Any]]:
            score = partial(single_compute_score, reward.compute_score, executor=forks)
            chosen = [calls[index] for index in few]
            return await asyncio.gather(*(score(text, gold, task, info) for task, text, gold, info in chosen))

        assert asyncio.run(forked()) == [wanted[index] for index in few]


def test_a_batch_manager_gets_the_same_numbers(made: Exported, tokenizer: Any) -> None:
    manager = BatchRewardManager(tokenizer, 0, VerlReward(made.folder).compute_score_batch)
    found = manager(batch(rows(made.folder, "test")[0], tokenizer, [GOLD, "SELECT 1"]), return_dict=True)
    alone = [VerlReward(made.folder).compute_score(*arguments(made, text)) for text in (GOLD, "SELECT 1")]
    assert found["reward_tensor"].sum(dim=1).tolist() == pytest.approx([one["score"] for one in alone])
    infos = {name: [one[name] for one in alone] for name in alone[0]}
    assert found["reward_extra_info"] == infos | {"unscored": [0.0, 0.0]}


def test_an_unscored_answer_of_a_batch_has_the_advantage_0() -> None:
    scores = with_means(["a", "b", "a", "a", "b", "c"], [1.0, 0.5, None, 0.25, None, None])
    assert scores == [1.0, 0.5, 0.625, 0.25, 0.5, None]
    rewards = torch.tensor([[score] for score in scores[:5]])
    groups = np.array(["a", "b", "a", "a", "b"], dtype=object)
    advantages, _ = compute_grpo_outcome_advantage(rewards, torch.ones_like(rewards), groups)
    assert advantages[[2, 4, 1]].flatten().tolist() == pytest.approx([0, 0, 0])
    assert advantages[0] > 0 > advantages[3]


def test_verl_s_validation_has_no_metric_that_counts_dropped_answers(made: Exported) -> None:
    result = VerlReward(made.folder).compute_score(*arguments(made, GOLD))
    assert "acc" not in result
    infos = {name: [value] for name, value in result.items()} | {"reward": [result["score"]]}
    expected_counts = {("people", "one"): 1, ("people", "dropped"): 1}
    found = process_validation_metrics(["people"], ["one"], infos, expected_acc_counts=expected_counts)[
        "people"
    ]
    assert {name: value["mean@1"] for name, value in found.items()} == dict.fromkeys(
        ("score", "reward", "execution_accuracy", "strict", "bird"), 1.0
    )


def test_a_thought_that_the_template_opened_and_nothing_closed_has_no_answer(made: Exported) -> None:
    """verl hands on only what follows the prompt, so the tag has to be named."""
    aware = VerlReward(made.folder, opens="<think>")
    assert VerlReward(made.folder).compute_score(*arguments(made, THOUGHT))["score"] == 1.0
    assert aware.compute_score(*arguments(made, THOUGHT))["reason"] == "no_sql"
    assert aware.compute_score(*arguments(made, f"{THOUGHT} no.</think>{GOLD}"))["score"] == 1.0


def test_a_slow_query_does_not_hold_up_the_event_loop(made: Exported) -> None:
    reward, ticks = VerlReward(made.folder), 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.05)
            ticks += 1

    async def run() -> list[dict[str, Any]]:
        ticking = asyncio.create_task(tick())
        calls = [reward.compute_score_async(*arguments(made, f"{STUCK} -- {i}")) for i in range(2)]
        calls += [reward.compute_score_async(*arguments(made, f"{GOLD} -- {i}")) for i in range(60)]
        found = await asyncio.gather(*calls)
        ticking.cancel()
        return found

    found = asyncio.run(run())
    assert [one["reason"] for one in found] == ["timeout"] * 2 + ["correct"] * 60
    assert ticks >= 4, "two queries ran until their deadline, half a second each"


@pytest.fixture
def without_gold(made: Exported) -> Iterator[VerlReward]:
    """The reward of a folder whose database has lost its table since the export."""
    database = made.folder.parent / "d.sqlite"
    content = database.read_bytes()
    database.unlink()
    try:
        yield VerlReward(made.folder)
    finally:
        database.write_bytes(content)


def test_an_unscored_answer_is_an_error_and_not_0(made: Exported, without_gold: VerlReward) -> None:
    row = arguments(made, f"{GOLD} -- unscored")
    with pytest.raises(RuntimeError, match="not scored: infrastructure"):
        without_gold.compute_score(*row)
    with pytest.raises(RuntimeError, match="not scored: infrastructure"):
        asyncio.run(without_gold.compute_score_async(*row))
    with pytest.raises(RuntimeError, match="not scored: infrastructure"):
        without_gold.compute_score_batch(*zip(row, row, strict=True))


@pytest.mark.slow
def test_verl_s_reward_workers_score_a_step_on_ray(
    made: Exported, grades: list[Grade], tokenizer: Any, tmp_path: Path
) -> None:
    """Two of verl's own actors, as its trainer starts them."""
    import ray
    from verl.experimental.reward_loop import RewardLoopManager

    folder = tiny_models.save(tmp_path / "tiny")
    config = configuration(made, "reward.num_workers=2", f"actor_rollout_ref.model.path={folder}")
    data = batch(rows(made.folder, "test")[0], tokenizer, [ANSWERS[index] for index in KEPT])
    environment = {"PYTHONPATH": str(ROOT), "HARNESS_HOME": os.environ["HARNESS_HOME"]}
    ray.init(
        "local",
        num_cpus=2,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        runtime_env={"env_vars": environment},
        log_to_driver=False,
    )
    try:
        found = RewardLoopManager(config).compute_rm_score(data)
    finally:
        ray.shutdown()
    wanted = [expected(grades)[index] for index in KEPT]
    scores = found.batch["rm_scores"].sum(dim=1).tolist()
    assert scores == pytest.approx([one["score"] for one in wanted])
    assert found.non_tensor_batch["reason"].tolist() == [one["reason"] for one in wanted]
