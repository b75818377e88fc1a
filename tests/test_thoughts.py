"""Where thoughts end: one rule for the text of a completion, in evaluation, training, turns and verifiers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tiny_models
import yaml
from test_training import GRPO, requests

from rewards.extract import extract
from runners.decoding.tokens import answer_text, decode, special_tokens
from runners.hf import HfRunner
from runners.training.grpo import train_grpo
from runners.types import Reward, Sampling
from runners.weights.loading import load_tokenizer
from runners.weights.source import resolve
from tasks.thoughts import opening_tag

FACTS = yaml.safe_load((Path(__file__).parent / "fixtures" / "thoughts.yaml").read_text(encoding="utf-8"))
OPENING = tiny_models.TEMPLATE.replace("<|assistant|>{% endif", "<|assistant|><think>\n{% endif")


@pytest.mark.parametrize("fact", FACTS, ids=[fact["case"] for fact in FACTS])
def test_facts(fact: dict[str, str]) -> None:
    assert extract(opening_tag(fact["prompt"]) + fact["text"]) == fact["sql"]


@pytest.mark.parametrize(
    ("prompt", "tag"),
    [
        ("<|im_start|>assistant\n<think>\n", "<think>"),
        ("[/INST][THINK]", "[THINK]"),
        ("<|start|>assistant<|channel|>analysis<|message|>", "<|channel|>analysis<|message|>"),
        ("assistant\n<think>\n\n</think>\n\n", ""),
        ("Write <think> first.\nassistant\n", ""),
        ("<|start|>assistant<|channel|>final<|message|>", ""),
        ("", ""),
    ],
)
def test_only_the_end_of_a_prompt_opens_a_thought(prompt: str, tag: str) -> None:
    assert opening_tag("x" * 5000 + prompt) == tag


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A model whose chat template opens a thought."""
    name = tiny_models.save(tmp_path / "model")
    tokenizer = tiny_models.tokenizer()
    tokenizer.chat_template = OPENING
    tokenizer.save_pretrained(name)
    return name


def test_an_open_thought_is_prepended_to_every_text(folder: str, tmp_path: Path) -> None:
    """Evaluation, and GRPO with one turn and two, give the scorer the text after the prompt's tag."""
    tokenizer, seen = load_tokenizer(resolve(folder)), []
    runner = HfRunner(tiny_models.model(), tokenizer)
    answers = dict(runner.generate(requests(2), Sampling(max_new_tokens=8, n=2)))
    assert all(one.text.startswith("<think>") for found in answers.values() for one in found)

    def score(samples: Any, texts: Any) -> list[Reward]:
        seen.extend(texts)
        return [Reward(float(len(text) % 3)) for text in texts]

    for name, config in {"shared": GRPO, "alone": GRPO.model_copy(update={"shared_prefix": False})}.items():
        seen.clear()
        train_grpo(folder, requests(4), score, config, tmp_path / name)
        drawn = [text for text in seen if text and not text.startswith("SELECT")]  # a rehearsal's golds
        assert drawn and all(text.startswith("<think>") and extract(text) == "" for text in drawn)


def test_verifiers_reply_has_the_same_text(folder: str) -> None:
    pytest.importorskip("verifiers")
    from runners.training.renderer import TemplateRenderer

    tokenizer = load_tokenizer(resolve(folder))
    renderer = TemplateRenderer(tokenizer)
    prompt = renderer.render([{"role": "user", "content": "?"}], add_generation_prompt=True).token_ids
    for text in ("a </think> SELECT 1", "SELECT 0"):
        tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
        reply = renderer.parse_response([*tokens, tokenizer.eos_token_id], prompt_ids=prompt).content
        assert reply == answer_text(tokenizer, prompt, tokens) == "<think>" + text


def test_special_tokens_that_delimit_thoughts_stay_in_the_text() -> None:
    tokenizer = tiny_models.tokenizer()
    harmony = ["<|channel|>", "<|message|>", "<|start|>", "<|return|>", "[THINK]", "[/THINK]", "<|other|>"]
    tokenizer.add_special_tokens({"extra_special_tokens": harmony})
    assert len(special_tokens(tokenizer)[1]) == 6
    text = (
        "<|channel|>analysis<|message|>SELECT 0<|other|><|start|>assistant<|channel|>final<|message|>SELECT 1"
    )
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert decode(tokenizer, [*tokens, tokenizer.eos_token_id]) == text.replace("<|other|>", "")
    assert extract(decode(tokenizer, tokens)) == "SELECT 1"
    tokens = tokenizer("[THINK]SELECT 0[/THINK]SELECT 1", add_special_tokens=False)["input_ids"]
    assert extract(decode(tokenizer, tokens)) == "SELECT 1"
