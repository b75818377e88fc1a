"""Attention in pieces gives the outputs and gradients of a full mask, for every tree and kind of layer."""

import random
from typing import Any

import pytest
import tiny_models
import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    MistralConfig,
    MistralForCausalLM,
)

from runners.compat.transformers import attention
from runners.decoding.attention import layer_masks
from runners.decoding.probe import refusal
from runners.training.adopt import adopt
from runners.training.head import find_method
from runners.training.layout import Sizes, Visibility, ancestors, pack, tree_masks
from runners.training.loss import texts_of, use_method

SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "vocab_size": 400,
    "num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 9,
}  # fmt: skip
GPT2 = {
    "n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 400,
    "resid_pdrop": 0, "embd_pdrop": 0, "attn_pdrop": 0,
}  # fmt: skip
KINDS = ["sliding_attention", "full_attention", "sliding_attention"]
MODELS: dict[str, Any] = {
    "grouped heads": lambda: tiny_models.model("llama"),
    "one key head": lambda: tiny_models.model("qwen3", num_key_value_heads=1),
    "a window": lambda: MistralForCausalLM(MistralConfig(**SIZES)),
    "both": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**SIZES, head_dim=8, layer_types=KINDS)),
    "learned positions": lambda: GPT2LMHeadModel(GPT2Config(**GPT2)),
}


def tree(seed: int, size: int) -> tuple[list[int], list[int]]:
    """The ends and positions of a random tree: chains and branches of any length, several roots."""
    dice, path = random.Random(seed), list[int]()
    ends, positions = [0] * size, []
    branching = dice.choice([0.02, 0.1, 0.4])
    for slot in range(size):
        if path and dice.random() < branching:
            path = path[: dice.randrange(len(path) + 1)]
        positions.append(len(path))
        path.append(slot)
        for above in path:
            ends[above] = slot + 1
    return ends, positions


def learned(model: Any, ids: torch.Tensor, position: torch.Tensor, mask: Any) -> list[torch.Tensor]:
    """The hidden states of a row, and all gradients."""
    model.zero_grad()
    inputs = {"input_ids": ids, "position_ids": position, "attention_mask": mask, "use_cache": False}
    hidden = model.base_model(**inputs).last_hidden_state
    (hidden * torch.sin(torch.arange(hidden.numel())).view_as(hidden)).sum().backward()
    return [hidden.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("checkpointing", [False, True])
def test_pieces_give_what_a_full_mask_gives(name: str, checkpointing: bool) -> None:
    torch.manual_seed(0)
    model: Any = MODELS[name]()
    assert adopt(model) and attention(model) == "sdpa" and refusal(model) == ""
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train(checkpointing)
    for seed in range(3):
        ends, positions = tree(seed, random.Random(seed).randrange(2, 70))
        position, ids = torch.tensor([positions]), torch.randint(3, 400, (1, len(ends)))
        full = layer_masks(model, ancestors(ends, position.device)[None, None], position, position)
        expected = learned(model, ids, position, full)
        for block in (2, 9, 1000):
            found = learned(model, ids, position, tree_masks(model, ends, positions, block))
            for one, other in zip(expected, found, strict=True):
                assert (one - other).norm() <= 1e-5 * one.norm()


def test_autocast_and_adapters_change_no_more_than_rounding() -> None:
    torch.manual_seed(0)
    model: Any = tiny_models.model("llama")
    wrapped = get_peft_model(model, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    bare = wrapped.get_base_model()
    assert adopt(bare)
    ends, positions = tree(3, 90)
    position, ids = torch.tensor([positions]), torch.randint(3, 400, (1, 90))
    full = layer_masks(bare, ancestors(ends, position.device)[None, None], position, position)
    exact = learned(bare, ids, position, full)
    with torch.autocast("cpu", torch.bfloat16):
        full = layer_masks(bare, ancestors(ends, position.device)[None, None], position, position)
        rounded = learned(bare, ids, position, full)
        found = learned(bare, ids, position, tree_masks(bare, ends, positions, 8))
    assert len(exact) == len(found) > 20
    errors = [
        sum(float((one - other).norm() / one.norm()) for one, other in zip(exact, each, strict=True))
        for each in (rounded, found)
    ]
    assert 0 < errors[1] < 1.5 * errors[0]


def test_every_pair_of_slots_is_in_one_piece() -> None:
    for seed in range(12):
        ends, positions = tree(seed, 80)
        for kind, size in (("full_attention", 0), ("sliding_attention", 5), ("chunked_attention", 6)):
            seen = Visibility(ends, positions, kind, size, block=8)
            counts = torch.zeros(80, 80, dtype=torch.long)
            for piece in seen.pieces(torch.float32):
                pairs = torch.ones(80, 80, dtype=torch.bool)[piece.queries, piece.keys]
                pairs = pairs.tril() if piece.causal else pairs
                counts[piece.queries, piece.keys] += pairs if piece.mask is None else piece.mask == 0
            assert torch.equal(counts, seen.pairs(slice(None), slice(None)).long())


def test_masks_of_a_long_prompt_are_linear_in_its_slots() -> None:
    def entries(prompt: int, answers: int) -> int:
        total = prompt + 64 * answers
        starts = [prompt + 64 * i for i in range(answers)]
        ends = [total] * prompt + [start + 64 for start in starts for _ in range(64)]
        positions = [*range(prompt), *[*range(prompt, prompt + 64)] * answers]
        pieces = Visibility(ends, positions, "full_attention", 0).pieces(torch.float32)
        return sum(0 if piece.mask is None else piece.mask.numel() for piece in pieces)

    assert entries(8000, 8) == entries(1000, 8) == 8 * 64 * 128
    assert entries(8000, 16) == 2 * entries(8000, 8)


def test_a_prompt_that_is_longer_than_a_row_is_shared_all_the_same() -> None:
    ids = torch.cat([torch.arange(50).repeat(3, 1), torch.arange(30).view(3, 10) + 100], 1)
    labels = torch.where(torch.arange(60) < 50, -100, ids)
    (row,) = pack(texts_of(ids, torch.ones_like(ids), labels), Sizes(10, 20))
    assert len(row.tokens) == 50 + 3 * 9


def test_a_model_that_does_not_follow_the_pieces_keeps_full_masks() -> None:
    model: Any = tiny_models.model()
    forward = model.base_model.forward
    model.base_model.forward = lambda attention_mask=None, **inputs: forward(
        attention_mask=attention_mask if attention_mask is None else attention_mask + 0.0, **inputs
    )
    assert not adopt(model) and model.config._attn_implementation == "sdpa"
    use_method(model, find_method(model, ""), 1.0, ("log_probs",))
    ids = torch.randint(3, 400, (2, 9))
    output = model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=ids, fused_lm_head=True)
    expected = tiny_models.model()(input_ids=ids).logits.log_softmax(-1)[:, :-1]
    assert torch.allclose(output.log_probs, expected.gather(-1, ids[:, 1:, None])[..., 0], atol=1e-5)
