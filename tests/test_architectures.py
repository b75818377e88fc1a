"""Evaluation gives the answers of ``model.generate`` on every architecture, sharing prompts where it can."""

import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")
sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import architecture_eval
import tiny_architectures

from runners.compat.transformers import auto_class
from runners.decoding import attention, probe
from runners.decoding.attention_sizes import attention_sizes
from runners.nano import FOLDER
from runners.weights.loading import load, load_tokenizer
from runners.weights.source import Source

FAST = {
    "Mistral, window": "shared",
    "Gemma 3 (multimodal)": "shared",
    "Llama, dynamic NTK": "shared",
    "Phi-3/4-mini, LongRoPE": "shared",
    "GPT-Neo": "plain: its layers have masks of their own",
    "Falcon, ALiBi": "plain: its architecture does not take the mask (ValueError)",
    "Mamba 2": "plain: it has layers of linear_attention",
}


def saved(name: str, folder: Path) -> Path:
    return tiny_architectures.save(name, folder / "model", load_tokenizer(Source(str(FOLDER))))


@pytest.mark.parametrize("name", FAST)
def test_answers_are_those_of_generate(name: str, tmp_path: Path) -> None:
    assert architecture_eval.evaluation(saved(name, tmp_path)) == FAST[name]


@pytest.mark.parametrize("name", ["Gemma 3 (text)", "Falcon", "GPT-2", "LFM2", "Qwen3-Next", "Mamba 2"])
def test_the_sizes_of_attention_are_those_of_the_cache(name: str) -> None:
    config = tiny_architectures.ARCHITECTURES[name].configuration(400, {})
    model = auto_class(config).from_config(config).eval()
    cache = model(input_ids=torch.arange(5, 15)[None], use_cache=True).past_key_values
    layers = [layer for layer in cache.layers if getattr(layer, "keys", None) is not None]
    assert attention_sizes(config).cached == sum(
        (layer.keys.numel() + layer.values.numel()) // 10 for layer in layers
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", tiny_architectures.ARCHITECTURES)
def test_no_architecture_is_wrong(name: str, tmp_path: Path) -> None:
    try:
        folder = saved(name, tmp_path)
    except AttributeError:
        pytest.skip("this version of transformers does not have it")
    assert architecture_eval.evaluation(folder).startswith(("shared", "plain: "))


def test_a_wrong_mask_is_noticed_in_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table can fail: without windows the answers differ, if the probe does not refuse."""
    folder = saved("Mistral, window", tmp_path)
    monkeypatch.setattr(attention, "layer_kinds", lambda model: (attention.FULL,))
    assert architecture_eval.evaluation(folder) == "plain: its attention does not follow the mask"
    monkeypatch.setattr("runners.hf.refusal", lambda model: "")
    assert architecture_eval.evaluation(folder).startswith("WRONG: ")


@pytest.mark.parametrize(
    ("name", "longest"),
    [
        ("Llama", probe.NO_LIMIT),
        ("Llama, dynamic NTK", tiny_architectures.ORIGINAL),
        ("Llama, LongRoPE", tiny_architectures.ORIGINAL),
        ("Phi-3/4-mini, LongRoPE", tiny_architectures.ORIGINAL),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_length_from_which_positions_depend_on_other_texts_is_found(
    name: str, longest: int, dtype: torch.dtype, tmp_path: Path
) -> None:
    model, _ = load(str(saved(name, tmp_path)))
    assert probe.longest_shared(model.to(dtype)) == longest
