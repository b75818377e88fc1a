"""A shared prompt computed once gives TRL's numbers, and TRL is still the TRL this was written for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from peft import LoraConfig, get_peft_model
from test_training import GRPO, SFT, curve, examples, letters, requests, weights
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.utils import add_fused_lm_head

from runners.compat.trl import group_order
from runners.decoding.probe import refusal
from runners.training.callbacks import Hooks
from runners.training.config import GrpoConfig, SftConfig
from runners.training.grpo import train_grpo
from runners.training.grpo_step import GrpoTrainer
from runners.training.head import find_method
from runners.training.layout import Sizes, pack
from runners.training.loss import NO_LABEL, texts_of, use_method
from runners.training.sft import train_sft
from runners.types import Reward
from tasks.types import Sample

GROUP, PROMPTS, LONGEST, ANSWER = 4, 4, 21, 9
FIGURES = ("log_probs", "entropy", "is_top1")


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Ragged prompts (padded left, one of a single token) and answers (padded right, some left out).

    Two prompts begin alike, one is the beginning of another; answers are equal, or begin alike, or with what
    the longer prompt goes on with.
    """
    dice = torch.Generator().manual_seed(0)
    prompts = torch.randint(5, 400, (PROMPTS, LONGEST), generator=dice)
    starts = torch.tensor([0, 7, LONGEST - 1, 12])
    prompts[1, 7:17] = prompts[0, :10]
    prompts[3, 12:] = prompts[1, 7:16]
    answers = torch.randint(5, 400, (PROMPTS, GROUP, ANSWER), generator=dice)
    answers[0, 2:] = answers[0, 1]
    answers[1, :2, :5] = answers[1, 3, :5]
    answers[3, 0, :5] = prompts[1, 16:]
    prompt_mask = torch.arange(LONGEST) >= starts[:, None]
    lengths = torch.tensor([9, 1, 4, 4, 0, 3, 9, 2, 5, 8, 0, 0, 7, 9, 9, 3])
    answer_mask = torch.arange(ANSWER) < lengths[:, None]
    mask = torch.cat([prompt_mask.repeat_interleave(GROUP, 0), answer_mask], 1).long()
    return torch.cat([prompts.repeat_interleave(GROUP, 0), answers.flatten(0, 1)], 1) * mask, mask


def labelled_batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The batch, and the labels that GRPO gives it."""
    ids, mask = batch()
    labels = ids.masked_fill(mask == 0, NO_LABEL)
    labels[:, :-ANSWER] = NO_LABEL
    return ids, mask, labels


def learned(model: Any, batch: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """Log-probabilities, entropies, whether the label is the likeliest, and all gradients."""
    model.zero_grad()
    output = model(**batch, fused_lm_head=True)
    slope = torch.randn(output.log_probs.shape, generator=torch.Generator().manual_seed(1))
    ((output.log_probs + 0.1 * output.entropy) * slope).sum().backward()
    gradients = [p.grad.clone() for p in model.parameters() if p.grad is not None]
    return [output.log_probs, output.entropy, output.is_top1.float(), output.label_mask.float(), *gradients]


@pytest.mark.parametrize("shape", tiny_models.SHAPES)
@pytest.mark.parametrize("lora", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("most", [0, 1000])
def test_log_probabilities_and_gradients_are_those_of_separate_sequences(
    shape: str, lora: bool, checkpointing: bool, most: int
) -> None:
    model: Any = tiny_models.model(shape)
    if lora:
        torch.manual_seed(0)
        model = get_peft_model(
            model, LoraConfig(r=4, target_modules=["q_proj", "down_proj"], init_lora_weights=False)
        )
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.train()
    ids, mask, labels = labelled_batch()
    rolled = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    starts = mask.argmax(1)
    turned = (torch.arange(ids.shape[1]) + starts[:, None]) % ids.shape[1]
    right = {name: value.gather(1, turned) for name, value in rolled.items()}  # as SFT pads
    bare = model.get_base_model() if lora else model
    add_fused_lm_head(bare, 0.7, outputs=FIGURES)
    theirs = [learned(model, one) for one in (rolled, right)]
    use_method(bare, find_method(bare, ""), 0.7, FIGURES, Sizes(most, most))
    for expected, found in zip(theirs, [learned(model, one) for one in (rolled, right)], strict=True):
        assert len(expected) == len(found) > 8
        for one, other in zip(expected[:4], found[:4], strict=True):
            assert torch.allclose(one, other, atol=1e-5)
        for one, other in zip(expected[4:], found[4:], strict=True):
            assert (one - other).norm() <= 1e-5 * one.norm()


class StockLoss(GrpoTrainer):
    """Samples as ours does, so that completions are equal; splits and learns as TRL does."""

    _prepare_inputs = GRPOTrainer._prepare_inputs

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        for model in filter(None, (self.model, self.ref_model)):
            bare = model.get_base_model() if hasattr(model, "get_base_model") else model
            add_fused_lm_head(bare, self.temperature, outputs=("log_probs", "entropy"))


def middling(samples: Sequence[Sample], texts: Sequence[str]) -> list[Reward]:
    """Rewards with spread in most groups, and none in some."""
    rewards = letters(samples, texts)
    return [one if int(sample.id) % 3 else Reward(0.5) for sample, one in zip(samples, rewards, strict=True)]


@pytest.mark.parametrize(
    "changes",
    [
        {"loss_type": "dapo"},
        {"loss_type": "grpo", "beta": 0.1},
        {"loss_type": "dr_grpo", "num_iterations": 2, "save_every": 4},
        {"loss_type": "bnpo", "temperature": 0.7},
        {"beta": 0.05, "lora": {"r": 4, "alpha": 64}, "gradient_checkpointing": True},
        {"loss_type": "cispo", "importance_sampling_level": "token"},
        {"loss_type": "grpo", "importance_sampling_level": "sequence", "scale_rewards": "batch"},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_training_gives_the_weights_of_stock_trl(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = tiny_models.save(tmp_path / "tiny")
    settings = {"max_steps": 4, "learning_rate": 1e-3, "scheduler": "constant", "micro_groups": 4, **changes}
    config = GrpoConfig.model_validate(GRPO.model_dump() | settings)
    ours = train_grpo(folder, requests(), middling, config, tmp_path / "ours")
    stock = train_grpo(folder, requests(), middling, config, tmp_path / "stock", Hooks(trainer=StockLoss))
    before, mine, theirs = weights(folder), weights(ours.model), weights(stock.model)
    moved = max((theirs[key] - before[key]).abs().max() for key in before)
    assert moved > 1e-4
    for key in mine:
        assert torch.allclose(mine[key], theirs[key], atol=float(0.02 * moved))
    for one, other in zip(curve(tmp_path / "ours"), curve(tmp_path / "stock"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-4)
        assert one["grad_norm"] == pytest.approx(other["grad_norm"], rel=1e-3)


@pytest.mark.parametrize("changes", [{}, {"lora": {"r": 4, "alpha": 64}, "gradient_checkpointing": True}])
def test_fine_tuning_gives_the_weights_of_stock_trl(tmp_path: Path, changes: dict[str, Any]) -> None:
    folder = tiny_models.save(tmp_path / "tiny")
    settings = SFT.model_dump() | {"max_steps": 4} | changes
    ours, stock = (
        train_sft(folder, examples(), SftConfig.model_validate(settings | way), tmp_path / str(number))
        for number, way in enumerate([{}, {"shared_prefix": False}])
    )
    before, mine, theirs = weights(folder), weights(ours.model), weights(stock.model)
    moved = max((theirs[key] - before[key]).abs().max() for key in before)
    assert moved > 1e-3
    for key in mine:
        assert torch.allclose(mine[key], theirs[key], atol=float(0.02 * moved))
    for one, other in zip(curve(tmp_path / "0"), curve(tmp_path / "1"), strict=True):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-4)
        assert one["entropy"] == pytest.approx(other["entropy"], abs=1e-4)
        assert one["token_accuracy"] == other["token_accuracy"]


def test_what_texts_share_is_one_slot() -> None:
    ids, mask, labels = labelled_batch()
    (row,) = pack(texts_of(ids, mask, labels))
    texts = [one[held.bool()].tolist() for one, held in zip(ids, mask, strict=True)]
    answered = [text for text, held in zip(texts, mask[:, LONGEST:].any(1).tolist(), strict=True) if held]
    assert len(row.tokens) == len({tuple(t[: i + 1]) for t in answered for i in range(len(t) - 1)})
    assert len(row.labelled) == mask[:, LONGEST:].sum()
    assert len(row.predictions) < len(row.labelled)


def test_a_long_row_ends_where_little_is_shared() -> None:
    def widths(prompt: int, answers: int, shared: int) -> list[int]:
        schema = torch.arange(shared).repeat(answers, 1)
        own = torch.arange(answers * (prompt - shared + 8)).view(answers, -1) + 10_000
        ids = torch.cat([schema, own], 1)
        labels = torch.where(torch.arange(ids.shape[1]) < prompt, NO_LABEL, ids)
        return [len(row.tokens) for row in pack(texts_of(ids, torch.ones_like(ids), labels))]

    assert widths(prompt=800, answers=8, shared=800) == [800 + 8 * 7]
    assert widths(prompt=800, answers=3, shared=0) == [807] * 3
    assert widths(prompt=100, answers=3, shared=0) == [321]
    assert max(widths(prompt=1000, answers=40, shared=600)) <= 4096


def test_groups_stay_whole_and_those_on_one_schema_go_together() -> None:
    asked = [[7, 3], [2, 9], [7], [2, 4, 1], [2, 9, 9], [1]]
    prompts = torch.tensor([[0] * (3 - len(one)) + one for one in asked]).repeat_interleave(2, 0)
    answers = torch.tensor([1, 0, 1, 1, 0, 1, 1, 1, 0, 1, 0, 0])[:, None]
    batch = {"prompt_ids": prompts, "prompt_mask": (prompts > 0).long(), "completion_mask": answers}
    order = group_order(batch, group=2).view(-1, 2)
    assert (order // 2).diff(dim=1).abs().sum() == 0
    assert (order[:, 0] // 2).tolist() == [5, 3, 1, 4, 2, 0]


def test_a_batch_without_labels_packs_to_nothing() -> None:
    ids, mask, labels = labelled_batch()
    assert pack(texts_of(ids, mask, torch.full_like(labels, NO_LABEL))) == []


def test_models_whose_attention_takes_no_mask_are_refused_with_the_reason() -> None:
    assert {refusal(tiny_models.model(shape)) for shape in tiny_models.SHAPES} == {""}
    eager = tiny_models.model()
    eager.set_attn_implementation("eager")
    assert refusal(eager) == ""
    eager.set_attn_implementation("flex_attention")
    assert refusal(eager) == "its attention is flex_attention, not sdpa or eager"
    deaf = tiny_models.model()
    forward = deaf.forward
    deaf.forward = lambda attention_mask=None, **inputs: forward(**inputs)
    assert refusal(deaf) == "its attention does not follow the mask"
    other = tiny_models.model("mistral")
    other.config.layer_types = ["full_attention"]
    assert refusal(other) == "its attention does not follow the mask"
    other.config.layer_types = ["full_attention", "linear_attention"]
    assert refusal(other) == "it has layers of linear_attention"
