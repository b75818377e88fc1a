"""Training is right on every architecture: alone or in a batch, shared or not, a text learns the same."""

import sys
from pathlib import Path

import pytest
import tiny_models
import torch
from test_training import GRPO, SFT, examples, letters, requests
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    MambaConfig,
    MambaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
)

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import architecture_training
import tiny_architectures

from runners.decoding.tokens import encode
from runners.nano import FOLDER
from runners.training.config import LoraSpec
from runners.training.grpo import check_switch, train_grpo
from runners.training.head import candidates, find_method
from runners.training.lora import adapter_settings
from runners.training.loss import NO_LABEL, Method, use_method
from runners.training.noise import remove_noise
from runners.training.sft import train_sft
from runners.training.stock import check_stock
from runners.weights.loading import load_tokenizer
from runners.weights.source import Source
from tasks.common.errors import ModelError

FAST = {
    "Mistral, window": "shared",
    "Gemma 3 (multimodal)": "shared",
    "Granite": "shared",
    "GPT-2": "shared",
    "Llama, dynamic NTK": "shared",
    "Llama, LongRoPE": "shared",
    "Mamba 2": "plain: it has layers of linear_attention",
}
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "vocab_size": 400}


def saved(name: str, folder: Path) -> Path:
    return tiny_architectures.save(name, folder / "model", load_tokenizer(Source(str(FOLDER))))


@pytest.mark.parametrize("name", FAST)
def test_a_text_learns_the_same_in_a_batch_and_alone(name: str, tmp_path: Path) -> None:
    assert architecture_training.grpo(saved(name, tmp_path)) == FAST[name]


@pytest.mark.slow
@pytest.mark.parametrize("column", ["grpo", "sft", "lora", "four_bit"])
@pytest.mark.parametrize("name", tiny_architectures.ARCHITECTURES)
def test_no_architecture_is_trained_wrongly(name: str, column: str, tmp_path: Path) -> None:
    try:
        folder = saved(name, tmp_path)
    except AttributeError:
        pytest.skip("this version of transformers does not have it")
    try:
        found = getattr(architecture_training, column)(folder)
    except ModelError as error:
        assert "cannot be trained" in str(error) and "\n" not in str(error)
    else:
        assert found.startswith(("shared", "plain: "))


def test_the_table_notices_a_wrong_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = saved("Granite", tmp_path)

    def unscaled(model: object, unshared: str) -> Method:
        return Method(type(head)(head.backbone, 1.0, None), unshared)

    head = next(candidates(load_config(folder)))
    assert head.scale != 1
    monkeypatch.setattr("runners.training.head.find_method", unscaled)
    assert architecture_training.grpo(folder).startswith("WRONG: ")


def load_config(folder: Path) -> object:
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(folder)


def test_a_head_that_is_not_known_is_computed_from_the_models_own_logits() -> None:
    model = tiny_models.model()
    forward = model.forward

    def squared(*args: object, **inputs: object) -> object:
        output = forward(*args, **inputs)
        output.logits = output.logits**3
        return output

    model.forward = squared
    assert find_method(model, "").head is None


def gpt2() -> GPT2LMHeadModel:
    torch.manual_seed(0)
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "vocab_size": 400}
    return GPT2LMHeadModel(
        GPT2Config(**sizes, initializer_range=0.2, bos_token_id=None, eos_token_id=1)
    ).eval()


def test_dropout_is_off_in_grpo() -> None:
    model = gpt2()
    ids = torch.arange(5, 40)[None]
    drawn = model(ids).logits
    assert not torch.allclose(model.train()(ids).logits, drawn, atol=1e-2)
    remove_noise(model)
    assert torch.allclose(model.train()(ids).logits, drawn, atol=1e-5)


def test_a_model_that_stays_random_is_refused() -> None:
    model = tiny_models.model()
    forward = model.forward

    def shaken(*args: object, **inputs: object) -> object:
        output = forward(*args, **inputs)
        output.logits = output.logits + torch.rand_like(output.logits) * model.training
        return output

    model.forward = shaken
    with pytest.raises(ModelError, match="changes at random in training mode"):
        remove_noise(model)


def test_padding_and_packing_are_refused_where_they_change_a_model(tmp_path: Path) -> None:
    gpt2().save_pretrained(tmp_path / "gpt2")
    tiny_models.tokenizer().save_pretrained(tmp_path / "gpt2")
    stock = GRPO.model_copy(update={"shared_prefix": False})
    with pytest.raises(ModelError, match="shared_prefix false, whose padding changes its log-prob"):
        train_grpo(str(tmp_path / "gpt2"), requests(), letters, stock, tmp_path / "grpo")
    torch.manual_seed(0)
    MambaForCausalLM(MambaConfig(**SIZES, state_size=8)).save_pretrained(tmp_path / "mamba")
    tiny_models.tokenizer().save_pretrained(tmp_path / "mamba")
    packed = SFT.model_copy(update={"packing": True})
    with pytest.raises(ModelError, match="packing, which mixes the texts of a row: set it to false"):
        train_sft(str(tmp_path / "mamba"), examples(), packed, tmp_path / "sft")


@pytest.mark.parametrize("layout", ["left", "right", "packed"])
def test_padding_and_packing_are_right_for_llama(layout: str) -> None:
    from trl.trainer.utils import add_fused_lm_head

    model = tiny_models.model("llama")
    add_fused_lm_head(model)
    check_stock(model, layout)


def mixtral() -> MixtralForCausalLM:
    torch.manual_seed(0)
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 64}
    return MixtralForCausalLM(MixtralConfig(**SIZES, **heads, num_local_experts=4, initializer_range=0.2))


def test_the_experts_balance_is_that_of_all_tokens_of_all_texts() -> None:
    """Each token counts as often as texts contain it, although shared ones are computed once."""
    from trl.trainer.utils import add_fused_lm_head

    dice = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 400, (4, 20), generator=dice)
    ids[1:, :12] = ids[0, :12]
    mask = torch.ones_like(ids)
    labels = torch.where(torch.arange(20) < 12, NO_LABEL, ids)
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels, "output_router_logits": True}
    found = []
    for way in ("", "asked for", None):
        model = mixtral()
        if way is None:
            add_fused_lm_head(model)
        else:
            use_method(model, find_method(model, way), 1.0, ("log_probs",))
        output = model(**batch, fused_lm_head=True)
        output.aux_loss.backward()
        gradient = torch.cat(
            [
                weights.grad.flatten()
                for weights in model.model.layers.parameters()
                if weights.grad is not None
            ]
        )
        found.append((output.aux_loss.detach(), gradient))
    for loss, gradient in found[:2]:
        assert torch.allclose(loss, found[2][0], atol=1e-5)
        assert (gradient - found[2][1]).norm() <= 1e-4 * gradient.norm()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("q_prj", "q_prj is no layer that can have an adapter: did you mean q_proj"),
        ("lm_head", "lm_head is no layer"),
        ("zz", "choose among .*q_proj"),
    ],
)
def test_unknown_targets_are_refused_with_the_nearest_names(target: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        adapter_settings(LoraSpec(targets=(target,)), mixtral())


def test_experts_can_be_named_as_targets(tmp_path: Path) -> None:
    mixtral().save_pretrained(tmp_path / "moe")
    tiny_models.tokenizer().save_pretrained(tmp_path / "moe")
    lora = LoraSpec(r=4, alpha=8, targets=("q_proj", "gate_up_proj"))
    config = SFT.model_copy(update={"lora": lora, "max_steps": 2})
    train_sft(str(tmp_path / "moe"), examples(), config, tmp_path / "sft")
    assert (
        architecture_training._merged(tmp_path / "moe", tmp_path / "sft", str(tmp_path / "sft/model"), True)
        == ""
    )


def test_answers_that_cross_the_switch_of_longrope_are_refused() -> None:
    tokenizer, prompts = tiny_models.tokenizer(), requests(2)
    length = len(encode(tokenizer, prompts)[0])
    for switch in (0, length - 1, length + 8):
        check_switch(prompts, tokenizer, switch, 8)
    with pytest.raises(ModelError, match=f"sample 0: {length} prompt tokens .* LongRoPE embedding changes"):
        check_switch(prompts, tokenizer, length + 7, 8)
