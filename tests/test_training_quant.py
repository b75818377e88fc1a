"""QLoRA on a CPU: the gradients of the dequantized weights, in SFT and GRPO, also after an evaluation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("bitsandbytes")

import tiny_models
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from test_training import GRPO, SFT, curve, examples, letters, requests

from runners.training.callbacks import Hooks
from runners.training.config import LoraSpec
from runners.training.grpo import train_grpo
from runners.training.sft import train_sft
from runners.weights import loading, saving

BF16 = 2e-2
"""Relative error of sums of products in bfloat16."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "head_dim": 16, "initializer_range": 0.2}
    return tiny_models.save(tmp_path_factory.mktemp("models") / "tiny", **sizes)


@pytest.fixture(scope="module")
def dequantized(folder: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights that the 4 bits stand for, as a plain model."""
    model, tokenizer = loading.load(folder, four_bit=True)
    out = tmp_path_factory.mktemp("models") / "dequantized"
    saving.save(model.dequantize().to(torch.float32), tokenizer, out)
    return str(out)


def adapted(model: Any) -> Any:
    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    return get_peft_model(model, config).float().train()


def gradients(model: Any) -> list[torch.Tensor]:
    model.zero_grad()
    ids = torch.randint(5, 400, (4, 30), generator=torch.Generator().manual_seed(0))
    model(input_ids=ids, labels=ids).loss.backward()
    return [p.grad.clone() for p in model.parameters() if p.grad is not None]


def test_gradients_are_those_of_the_dequantized_weights_also_after_an_evaluation(
    folder: str, dequantized: str
) -> None:
    """bitsandbytes 0.50 on AVX512-BF16 repacks weights in eval mode; gradients then go wrong silently."""
    four_bit = adapted(loading.load(folder, four_bit=True)[0])
    expected = gradients(adapted(loading.load(dequantized)[0]))
    assert len(expected) == 2 * 14
    for _ in range(2):
        found = gradients(four_bit)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert (one - other).norm() <= BF16 * other.norm()
        four_bit.eval()
        with torch.inference_mode():
            four_bit(torch.arange(5, 40)[None])
            four_bit.generate(torch.arange(5, 40)[None], max_new_tokens=4, do_sample=False)
        four_bit.train()


Train = Callable[[str, bool, Path], None]


def sft(model: str, four_bit: bool, out: Path) -> None:
    lora = LoraSpec(r=4, alpha=8, four_bit=four_bit)
    config = SFT.model_copy(update={"max_steps": 2, "eval_every": 1, "lora": lora, "learning_rate": 1e-3})
    train_sft(model, examples(), config, out, Hooks(evaluate=_evaluate))


def grpo(model: str, four_bit: bool, out: Path) -> None:
    lora = LoraSpec(r=4, alpha=8, four_bit=four_bit)
    config = GRPO.model_copy(update={"max_steps": 2, "eval_every": 1, "lora": lora, "beta": 0.1})
    train_grpo(model, requests(), letters, config, out, Hooks(evaluate=_evaluate))


def _evaluate(model: Any) -> float:
    model.eval()
    with torch.inference_mode():
        model(torch.arange(5, 40)[None])
    model.train()
    return 0.5


@pytest.mark.parametrize("train", [sft, grpo])
def test_a_step_is_that_of_the_dequantized_model_and_the_result_a_plain_folder(
    tmp_path: Path, folder: str, dequantized: str, train: Train
) -> None:
    train(folder, True, tmp_path / "four")
    train(dequantized, False, tmp_path / "reference")
    norms = [[row["grad_norm"] for row in curve(tmp_path / name)] for name in ("four", "reference")]
    assert norms[0] == pytest.approx(norms[1], rel=0.1) and min(norms[0]) > 0
    files = sorted(path.name for path in (tmp_path / "four" / "model").iterdir())
    assert "model.safetensors" in files and "adapter_config.json" not in files
    merged, base = (
        load_file(Path(where) / "model.safetensors") for where in (tmp_path / "four/model", folder)
    )
    assert {key: value.dtype for key, value in merged.items()} == {k: v.dtype for k, v in base.items()}
    assert (tmp_path / "four" / "adapter" / "adapter_config.json").is_file()
    assert loading.load(str(tmp_path / "four" / "model"))[0].dtype == torch.float32
