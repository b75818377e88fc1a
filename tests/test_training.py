"""Training on a tiny model: it learns, keeps its best weights, and refuses what cannot work."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import tiny_models
import torch
from safetensors.torch import load_file

from runners.training.callbacks import Hooks
from runners.training.config import GrpoConfig, LoraSpec, SftConfig
from runners.training.grpo import train_grpo
from runners.training.sft import train_sft
from runners.types import Request, Reward, TrainingExample
from runners.weights.loading import load
from tasks.common.errors import ModelError
from tasks.types import Message, Sample

SFT = SftConfig(max_steps=8, batch_size=8, micro_batch=4, learning_rate=5e-3, save_every=4, eval_every=2)
GRPO = GrpoConfig(
    max_steps=2, prompts_per_step=4, group_size=4, micro_groups=2, max_new_tokens=6, learning_rate=3e-3
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.save(tmp_path_factory.mktemp("models") / "tiny")


def messages(number: int) -> tuple[Message, ...]:
    return ({"role": "user", "content": f"member(name text)\n\nHow many {number}?"},)


def examples(count: int = 32) -> list[TrainingExample]:
    return [TrainingExample(messages(i), "SELECT COUNT(*) FROM member") for i in range(count)]


def requests(count: int = 16) -> list[Request]:
    return [
        Request(Sample(id=str(i), question="", database="d", gold=("SELECT 1",)), messages(i))
        for i in range(count)
    ]


def letters(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
    """Rewards the letter e."""
    return [Reward(min(text.count("e"), 4) / 4, {"length": float(len(text))}) for text in texts]


def curve(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]


def weights(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "model.safetensors")


def test_sft_loss_falls_and_the_result_is_a_plain_model_folder(tmp_path: Path, folder: str) -> None:
    rows: list[float] = []
    result = train_sft(folder, examples(), SFT, tmp_path, Hooks(on_step=lambda row: rows.append(row["loss"])))
    assert rows[-1] < 0.8 * rows[0] and [row["loss"] for row in curve(tmp_path)] == rows
    assert (result.steps, result.best_step, result.best) == (8, 8, None)
    model, tokenizer = load(result.model)
    assert model.dtype == torch.float32 and tokenizer.chat_template == tiny_models.TEMPLATE
    assert {path.name for path in tmp_path.iterdir()} == {
        "settings.json", "curve.jsonl", "training.json", "model"
    }  # fmt: skip
    assert {"step", "loss", "learning_rate", "grad_norm", "tokens", "seconds"} <= set(curve(tmp_path)[0])


def test_sft_trains_on_the_answer_only(tmp_path: Path, folder: str) -> None:
    """The answers are alike and the questions noise: the loss reaches zero only if questions do not count."""
    noisy = [
        TrainingExample(({"role": "user", "content": f"{i * 7919 % 1000} {i * 104729 % 1000}"},), "e")
        for i in range(64)
    ]
    train_sft(folder, noisy, SFT.model_copy(update={"max_steps": 20, "learning_rate": 3e-2}), tmp_path)
    assert curve(tmp_path)[-1]["loss"] < 0.1


def test_lora_is_merged_into_a_plain_folder_and_the_adapter_kept(tmp_path: Path, folder: str) -> None:
    config = SFT.model_copy(update={"lora": LoraSpec(r=4, alpha=8)})
    result = train_sft(folder, examples(), config, tmp_path)
    assert (tmp_path / "adapter" / "adapter_config.json").is_file()
    ids = torch.arange(5, 40)[None]
    merged, together, base = (
        load(name)[0] for name in (result.model, f"{folder}+{tmp_path}/adapter", folder)
    )
    assert torch.allclose(merged(ids).logits, together(ids).logits, atol=1e-5)
    assert not torch.allclose(merged(ids).logits, base(ids).logits, atol=1e-2)


def test_training_goes_on_from_base_plus_adapter(tmp_path: Path, folder: str) -> None:
    config = SFT.model_copy(update={"lora": LoraSpec(r=4, alpha=8), "max_steps": 2})
    train_sft(folder, examples(), config, tmp_path / "first")
    name = f"{folder}+{tmp_path}/first/adapter"
    grpo = GRPO.model_copy(update={"beta": 0.1})
    result = train_grpo(name, requests(), letters, grpo, tmp_path / "second")
    assert curve(tmp_path / "second")[0]["kl"] == pytest.approx(
        0, abs=1e-6
    )  # the reference is base plus adapter
    assert load(result.model)[0].dtype == torch.float32


@pytest.mark.parametrize("method", ["sft", "grpo"])
def test_the_best_weights_on_dev_are_the_ones_saved(tmp_path: Path, folder: str, method: str) -> None:
    seen: list[torch.Tensor] = []
    first = [0.0] if method == "grpo" else []  # where GRPO begins is a candidate too
    scores = iter([*first, 0.1, 0.9, 0.3, 0.2])

    def evaluate(model: torch.nn.Module) -> float:
        seen.append(model.get_input_embeddings().weight.detach().clone())
        return next(scores)

    if method == "sft":
        result = train_sft(folder, examples(), SFT, tmp_path, Hooks(evaluate=evaluate))
    else:
        config = GRPO.model_copy(update={"max_steps": 8, "eval_every": 2})
        result = train_grpo(folder, requests(), letters, config, tmp_path, Hooks(evaluate=evaluate))
    assert (result.best_step, result.best) == (4, 0.9)
    assert torch.equal(weights(result.model)["model.embed_tokens.weight"], seen[-3])
    assert [row.get("dev") for row in curve(tmp_path)] == [None, 0.1, None, 0.9, None, 0.3, None, 0.2]


def test_grpo_that_only_harms_gives_the_model_back(tmp_path: Path, folder: str) -> None:
    scores = iter([0.5, 0.4, 0.3])
    config = GRPO.model_copy(update={"eval_every": 1})
    result = train_grpo(folder, requests(), letters, config, tmp_path, Hooks(evaluate=lambda m: next(scores)))
    assert (result.best_step, result.best, result.steps) == (0, 0.5, 2)
    before, after = weights(folder), weights(result.model)
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("shared", [True, False])
def test_grpo_raises_the_reward(tmp_path: Path, folder: str, shared: bool) -> None:
    config = GRPO.model_copy(
        update={
            "max_steps": 25,
            "prompts_per_step": 8,
            "group_size": 8,
            "max_new_tokens": 8,
            "learning_rate": 1e-2,
            "shared_prefix": shared,
        }
    )
    train_grpo(folder, requests(), letters, config, tmp_path)
    rows = curve(tmp_path)
    first, last = (sum(row["reward"] for row in part) / 5 for part in (rows[:5], rows[-5:]))
    assert last > first + 0.2
    expected = {
        "reward",
        "reward_std",
        "no_spread",
        "unscored",
        "parts/length",
        "length",
        "clipped",
        "entropy",
    }
    expected |= {"loss", "tokens", "seconds", "sampling_seconds", "scoring_seconds", "learning_seconds"}
    assert expected <= set(rows[0])


def test_grpo_is_the_same_run_twice(tmp_path: Path, folder: str) -> None:
    for name in ("a", "b"):
        train_grpo(folder, requests(), letters, GRPO, tmp_path / name)
    first, second = (weights(tmp_path / name / "model") for name in ("a", "b"))
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("shared", [True, False])
def test_a_group_with_an_unscored_answer_changes_nothing(tmp_path: Path, folder: str, shared: bool) -> None:
    def one_lost(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
        return [Reward(None if i % 4 == 1 else i / 16) for i in range(len(texts))]

    config = GRPO.model_copy(update={"max_steps": 1, "scheduler": "constant", "shared_prefix": shared})
    result = train_grpo(folder, requests(), one_lost, config, tmp_path)
    before, after = weights(folder), weights(result.model)
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert curve(tmp_path)[0]["unscored"] == 0.25 and "no_spread" not in curve(tmp_path)[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompts_per_step": 64}, "16 prompts are too few for prompts_per_step 64"),
        ({"prompts_per_step": 5}, "prompts_per_step 5 is no multiple of micro_groups 2"),
        ({"num_iterations": 3}, "save_every 100 is no multiple of num_iterations 3"),
        ({"max_new_tokens": 510}, r"sample 0: \d+ prompt tokens and max_new_tokens 510 are more than"),
    ],
)
def test_grpo_refuses_before_any_step(
    tmp_path: Path, folder: str, changes: dict[str, int], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        train_grpo(folder, requests(), letters, GRPO.model_copy(update=changes), tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_reward_that_is_no_number_stops_the_run(tmp_path: Path, folder: str, value: float) -> None:
    with pytest.raises(ModelError, match=f"the reward of an answer to question .* is {value}"):
        train_grpo(folder, requests(), lambda s, texts: [Reward(value) for _ in texts], GRPO, tmp_path)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path: Path, folder: str) -> None:
    wild = SFT.model_copy(update={"learning_rate": 1e30, "scheduler": "constant"})
    with pytest.raises(ModelError, match="the loss is nan at step 3: lower learning_rate"):
        train_sft(folder, examples(), wild, tmp_path)


def test_sft_refuses_before_any_step(tmp_path: Path, folder: str) -> None:
    with pytest.raises(ModelError, match="nothing to train on"):
        train_sft(folder, [], SFT, tmp_path)
    with pytest.raises(ModelError, match="batch_size 8 is no multiple of micro_batch 3"):
        train_sft(folder, examples(), SFT.model_copy(update={"micro_batch": 3}), tmp_path)
