"""Sharing prompt prefixes changes the cost of an answer and nothing else."""

import random
from dataclasses import replace
from typing import Any

import pytest
import tiny_models
import torch

from runners.compat.transformers import GROUPED_ATTENTION
from runners.decoding import generation, prefix_cache
from runners.decoding.attention import fold_groups
from runners.decoding.generation import default_batch_tokens, generate, sample
from runners.decoding.prefix_cache import (
    PrefixCache,
    PrefixGroup,
    common_prefix_length,
    group_by_prefix,
    prefix_groups,
)
from runners.decoding.probe import refusal
from runners.decoding.types import DecodingSettings
from runners.weights.loading import memory

GREEDY = DecodingSettings(0.0, 1.0, 12, (1,))
SAMPLED = DecodingSettings(1.0, 1.0, 8, (1,))


def ragged_prompts(count: int = 12, vocabulary: int = 400) -> list[tuple[int, ...]]:
    """Prompts on three schemas, with questions of different length, one of a single token, two alike."""
    dice = random.Random(0)
    schemas = [tuple(dice.randrange(5, vocabulary) for _ in range(n)) for n in (5, 30, 47)]
    prompts = [
        schemas[i % 3] + tuple(dice.randrange(5, vocabulary) for _ in range(1 + i % 7)) for i in range(count)
    ]
    return [*prompts, (7,), prompts[0]]


def by_generate(model: torch.nn.Module, prompt: tuple[int, ...], how: DecodingSettings) -> list[int]:
    """What transformers answers to one prompt alone, greedily."""
    ids = torch.tensor([prompt])
    output = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=how.max_new_tokens,
        do_sample=False,
        eos_token_id=list(how.end_tokens),
        pad_token_id=0,
    )
    return output[0, len(prompt) :].tolist()


@pytest.mark.parametrize("shape", tiny_models.SHAPES)
@pytest.mark.parametrize("batch_tokens", [10**9, 300])
def test_greedy_answers_are_those_of_generate(shape: str, batch_tokens: int) -> None:
    model = tiny_models.model(shape)
    prompts = ragged_prompts()
    ends = DecodingSettings(
        0.0, 1.0, 12, (1, by_generate(model, prompts[1], GREEDY)[5])
    )  # some answers end early
    drawn = dict(generate(model, prompts, [0] * len(prompts), 1, ends, batch_tokens))
    for index, prompt in enumerate(prompts):
        assert drawn[index][0].tokens == by_generate(model, prompt, ends)
        assert drawn[index][0].finish == (
            "stop" if drawn[index][0].tokens[-1] in ends.end_tokens else "length"
        )


@pytest.mark.parametrize("shape", ["qwen3", "qwen2", "llama"])
def test_folded_heads_change_no_answer(shape: str) -> None:
    model: Any = tiny_models.model(shape)
    prompts = ragged_prompts()
    expected = [by_generate(model, prompt, GREEDY) for prompt in prompts]
    fold_groups(model)
    assert model.config._attn_implementation == GROUPED_ATTENTION and refusal(model) == ""
    drawn = dict(generate(model, prompts, [0] * len(prompts), 1, GREEDY, 10**9))
    assert [drawn[index][0].tokens for index in range(len(prompts))] == expected
    assert [by_generate(model, prompt, GREEDY) for prompt in prompts] == expected


def test_the_log_probability_of_an_answer_is_that_of_one_forward_pass() -> None:
    model = tiny_models.model()
    prompts = ragged_prompts()
    for index, answers in generate(model, prompts, range(len(prompts)), 3, SAMPLED, 10**9):
        for answer in answers:
            ids = torch.tensor([[*prompts[index], *answer.tokens]])
            logprobs = model(ids).logits[0, len(prompts[index]) - 1 : -1].log_softmax(-1)
            expected = logprobs.gather(-1, torch.tensor(answer.tokens)[:, None]).sum()
            assert answer.logprob == pytest.approx(expected.item(), abs=1e-4)


def test_a_sampled_answer_depends_on_its_seed_and_number_only() -> None:
    model = tiny_models.model()
    prompts = ragged_prompts()
    together = dict(generate(model, prompts, range(len(prompts)), 4, SAMPLED, 10**9))
    in_small_batches = dict(generate(model, prompts, range(len(prompts)), 4, SAMPLED, 400))
    alone = dict(generate(model, [prompts[3]], [3], 4, SAMPLED, 10**9))
    assert [a.tokens for a in together[3]] == [a.tokens for a in alone[0]]
    assert {i: [a.tokens for a in found] for i, found in together.items()} == {
        i: [a.tokens for a in found] for i, found in in_small_batches.items()
    }
    assert len({tuple(a.tokens) for a in together[3]}) == 4
    assert together[0] != together[len(prompts) - 1]  # the same prompt under another seed


def test_rows_that_join_later_change_no_answer_and_the_limit_holds() -> None:
    """Answers end at many lengths, so that rows of all lengths share a batch, within the token limit."""
    model = tiny_models.model(initializer_range=0.3)
    prompts = ragged_prompts(60)
    how = DecodingSettings(1.0, 1.0, 24, tuple(range(1, 40)), refill=0.25)
    held: list[int] = []

    def note(model: Any, given: Any, named: Any) -> None:
        mask = named["attention_mask"]
        held.append(mask.shape[0] * mask.shape[-1] if mask is not None else named["input_ids"].numel())

    model.register_forward_pre_hook(note, with_kwargs=True)
    seeds = range(len(prompts))
    alone = {i: dict(generate(model, [prompt], [i], 3, how, 10**9))[0] for i, prompt in enumerate(prompts)}
    assert len({len(answer.tokens) for found in alone.values() for answer in found}) > 8
    held.clear()
    room = 1500
    order = []
    for index, found in generate(model, prompts, seeds, 3, how, room):
        order.append(index)
        assert [a.tokens for a in found] == [a.tokens for a in alone[index]]
        assert [a.finish for a in found] == [a.finish for a in alone[index]]
        assert [a.logprob for a in found] == pytest.approx([a.logprob for a in alone[index]], abs=1e-3)
    assert sorted(order) == list(seeds)
    assert max(held) < 1.5 * room
    steps = len(held)
    held.clear()
    list(generate(model, prompts, seeds, 3, how, 10**9))
    assert len(held) < steps


def test_answers_do_not_depend_on_the_size_of_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_models.model("qwen3")
    prompts = [*ragged_prompts(), (5,), (5, 6)]
    seeds = list(range(len(prompts)))
    for settings, n in ((GREEDY, 1), (replace(GREEDY, temperature=1.0), 3)):
        drawn = []
        for tokens in (10**6, 40, 1):
            monkeypatch.setitem(prefix_cache.PASS, "cpu", tokens)
            answers = dict(generate(model, prompts, seeds, n, settings, 10**9))
            drawn.append({i: [answer.tokens for answer in answers[i]] for i in answers})
        assert drawn[0] == drawn[1] == drawn[2]


def test_masks_of_long_prompts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beginnings need no mask, further tokens of prompts are computed in pieces, and no answer changes."""
    for shape in ("qwen3", "mistral", "gemma3"):
        model = tiny_models.model(shape)
        prompts = ragged_prompts()
        expected = dict(generate(model, prompts, [0] * len(prompts), 1, GREEDY, 10**9))
        monkeypatch.setattr(prefix_cache, "MASK", 1000)
        entries: list[int] = []

        def note(model: Any, given: Any, named: Any, entries: list[int] = entries) -> None:
            mask = named["attention_mask"]
            masks = mask.values() if isinstance(mask, dict) else [] if mask is None else [mask]
            entries.extend(one.numel() for one in masks if named["logits_to_keep"] == 1)

        model.register_forward_pre_hook(note, with_kwargs=True)
        found = dict(generate(model, prompts, [0] * len(prompts), 1, GREEDY, 10**9))
        monkeypatch.undo()
        assert [found[i][0].tokens for i in found] == [expected[i][0].tokens for i in found]
        assert len(entries) > 2 and max(entries) <= 1000


def test_prompts_without_anything_in_common() -> None:
    model = tiny_models.model()
    for prompts in ([(7,), (8,)], [(7,), (8, 9, 10)], [(7, 8), (9, 10)]):
        drawn = dict(generate(model, prompts, [0, 0], 1, GREEDY, 10**9))
        assert [drawn[i][0].tokens for i in range(2)] == [by_generate(model, p, GREEDY) for p in prompts]
        assert len(dict(generate(model, prompts, [0, 0], 2, SAMPLED, 10**9))) == 2


def test_many_answers_to_one_prompt_fill_several_rows() -> None:
    model = tiny_models.model()
    prompts = ragged_prompts(2)
    drawn = dict(generate(model, prompts, [0] * len(prompts), 37, SAMPLED, 10**9))
    assert all(len(answers) == 37 for answers in drawn.values())
    assert len(drawn) == len(prompts)


def test_tokens_are_sampled_in_proportion_to_their_probability() -> None:
    logits = torch.tensor([0.5, 0.3, 0.2, 0.0]).log().expand(10_000, 4)
    chance = torch.rand(10_000, generator=torch.Generator().manual_seed(0))
    tokens, logprobs = sample(logits, chance, SAMPLED)
    shares = torch.bincount(tokens, minlength=4) / 10_000
    assert shares.tolist() == pytest.approx([0.5, 0.3, 0.2, 0.0], abs=0.02)
    assert logprobs[tokens == 0][0].exp() == pytest.approx(0.5)


def test_the_nucleus_holds_the_likeliest_tokens_that_reach_top_p() -> None:
    logits = torch.tensor([0.2, 0.5, 0.3]).log().expand(1000, 3)
    chance = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    drawn = {
        p: set(sample(logits, chance, DecodingSettings(1.0, p, 1, ()))[0].tolist()) for p in (0.4, 0.7, 0.9)
    }
    assert drawn == {0.4: {1}, 0.7: {1, 2}, 0.9: {0, 1, 2}}


def test_a_low_temperature_is_greedy() -> None:
    logits = torch.randn(50, 30, generator=torch.Generator().manual_seed(0))
    chance = torch.rand(50, generator=torch.Generator().manual_seed(1))
    cold = sample(logits, chance, DecodingSettings(1e-3, 1.0, 1, ()))[0]
    assert cold.tolist() == logits.argmax(-1).tolist()


@pytest.mark.parametrize(
    ("sequences", "length"),
    [([(1, 2, 3), (1, 2, 4)], 2), ([(1, 2), (1, 2, 3)], 2), ([(1,)], 1), ([(1,), (2,)], 0), ([(), (1,)], 0)],
)
def test_common_prefix(sequences: list[tuple[int, ...]], length: int) -> None:
    assert common_prefix_length(sequences) == length


def test_grouped_sequences_share_half_of_their_tokens() -> None:
    assert group_by_prefix([(1, 1, 1, 9), (2, 2), (1, 1, 1, 8)], max_size=4) == [[2, 0], [1]]
    assert group_by_prefix([(1, 1, 9, 9, 9), (1, 1, 8, 8, 8)], max_size=4) == [[1], [0]]
    assert group_by_prefix([(1, 2)] * 5, max_size=2) == [[0, 1], [2, 3], [4]]


def test_a_row_holds_one_prompt_s_answers_or_one_schema_s_questions() -> None:
    assert prefix_groups([(1, 2, 3)], 2) == [PrefixGroup((1, 2), ((0, (3,)), (1, (3,))))]
    assert prefix_groups([(1, 2, 3), (1, 2, 4, 5)], 1) == [PrefixGroup((1, 2), ((0, (3,)), (1, (4, 5))))]
    assert prefix_groups([(1, 2), (1, 2)], 1) == [PrefixGroup((1,), ((0, (2,)), (1, (2,))))]


def test_the_model_is_left_in_the_mode_it_was_in() -> None:
    model = tiny_models.model().train()
    list(generate(model, [(7, 8)], [0], 1, GREEDY, 100))
    assert model.training


def test_a_batch_takes_a_share_of_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_models.model("qwen3")
    assert default_batch_tokens(model) == generation.BATCH_TOKENS["cpu"]
    cache = PrefixCache(model, 1)
    grid = torch.arange(10)[None]
    cache.forward(grid, grid, torch.zeros_like(grid), logits_to_keep=1)
    bytes_of_token = sum(layer.buffers[0][:, :, :10].nbytes * 2 for layer in cache.layers) // 10
    monkeypatch.setitem(generation.CACHE_SHARE, "cpu", 1000 * bytes_of_token / memory())
    assert default_batch_tokens(model) in (999, 1000)
