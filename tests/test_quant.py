"""4-bit models: small, as accurate as their weights allow, and never repacked."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("bitsandbytes")

import tiny_models
import torch

from runners.open import open_runner
from runners.settings import HfConfig, RunnerConfig
from runners.types import Request, Sampling
from runners.weights.loading import load
from tasks.types import Sample

FOUR_BIT = RunnerConfig(hf=HfConfig(four_bit=True))
REQUESTS = [
    Request(Sample(str(i), "?", "d", ("",)), ({"role": "user", "content": f"member(name text)\n\n{word}?"},))
    for i, word in enumerate(["How many", "Which", "List the names", "What is the date"])
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16, "initializer_range": 0.3}
    return tiny_models.save(tmp_path_factory.mktemp("models") / "tiny", **sizes)


def linear(model: torch.nn.Module) -> list[torch.nn.Module]:
    return [one for one in model.modules() if type(one).__name__ == "Linear4bit"]


def test_linear_layers_are_nf4_twice_quantized_and_not_repacked(folder: str) -> None:
    model, _ = load(folder, four_bit=True)
    layers = linear(model)
    assert len(layers) == 2 * 7, "attention and MLP of each layer; the head is the embedding"
    assert all(one.weight.quant_type == "nf4" and one.weight.quant_state.nested for one in layers)
    shapes = [one.weight.shape for one in layers]
    model(torch.arange(5, 40)[None])
    assert [one.weight.shape for one in layers] == shapes
    assert not any(getattr(one, "support_avx512bf16_for_cpu", False) for one in layers)


def test_greedy_answers_are_those_of_generate(folder: str) -> None:
    runner = open_runner(folder, FOUR_BIT)
    found = {i: answers[0].text for i, answers in runner.generate(REQUESTS, Sampling(max_new_tokens=12))}
    model, tokenizer = load(folder, four_bit=True)
    for i, request in enumerate(REQUESTS):
        ids = tokenizer.apply_chat_template(
            list(request.messages), add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )
        output = model.generate(**ids, max_new_tokens=12, do_sample=False)
        text = tokenizer.decode(output[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        assert found[i] == text
    plain = open_runner(folder)
    exact = {i: answers[0].text for i, answers in plain.generate(REQUESTS, Sampling(max_new_tokens=12))}
    assert exact != found, "the weights are coarser"


def test_an_adapter_on_4_bit_weights_is_not_merged(folder: str, tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    base, _ = load(folder)
    adapted = get_peft_model(base, LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    ids = torch.arange(5, 40)[None]
    model, _ = load(f"{folder}+{tmp_path / 'adapter'}", four_bit=True)
    bare, _ = load(folder, four_bit=True)
    assert any("lora_A" in name for name, _ in model.named_modules())
    change = (adapted(ids).logits - load(folder)[0](ids).logits).flatten()
    found = (model(ids).logits - bare(ids).logits).flatten()
    assert torch.nn.functional.cosine_similarity(change, found, dim=0) > 0.8
