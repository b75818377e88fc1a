"""The private parts of libraries that ``runners/compat`` overrides or relies on are those that were read."""

import hashlib
import inspect
import logging
import sys
from functools import cached_property
from importlib.metadata import version
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("lm_eval")

import bitsandbytes as bnb
import tiny_models
import torch
from accelerate import Accelerator
from lm_eval.api.model import LM
from lm_eval.models.api_models import TemplateAPI
from lm_eval.models.huggingface import HFLM
from peft import LoraConfig, PeftModel, get_peft_model
from renderers import client as renderers_client
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    Cache,
    LlamaConfig,
    Mistral3Config,
    Trainer,
)
from transformers.cache_utils import DynamicLayer
from transformers.configuration_utils import PreTrainedConfig
from trl.generation.vllm_client import VLLMClient
from trl.generation.vllm_generation import VLLMGeneration
from trl.kernels import ChunkedLogProbFunction
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.sft_trainer import SFTTrainer
from trl.trainer.utils import add_fused_lm_head, nanstd, split_tensor_dict

from runners.compat import bitsandbytes, huggingface_hub, lm_eval, peft, renderers, trainer, transformers, trl
from runners.compat import torch as torch_compat
from runners.training.grpo_step import GrpoTrainer

TRL = {
    GRPOTrainer._prepare_inputs: "f824e7fb0714",
    GRPOTrainer._generate_single_turn: "e0f02e4fc094",
    GRPOTrainer._get_per_token_logps_and_entropies: "ea73c3909275",
    GRPOTrainer._generate_and_score_completions: "1fa48922792d",
    GRPOTrainer._generate: "2a27fdf8f5e6",
    GRPOTrainer._compute_loss: "80295546bbdb",
    GRPOTrainer.get_train_dataloader: "2bffe5a57c53",
    GRPOTrainer.log: "1e7772819cc8",
    SFTTrainer.compute_loss: "ca448211ff65",
    SFTTrainer.log: "0d4c8e5d64f8",
    VLLMGeneration.__init__: "3b2cda6d35bb",
    VLLMGeneration._init_vllm: "0e584002e0f6",
    VLLMGeneration._iter_named_params: "baab615d5c7b",
    VLLMClient.__init__: "5d0ecab3e9b8",
    VLLMClient._post: "6d49fa01931d",
    VLLMClient.generate: "63635cf59ca8",
    VLLMClient.init_communicator: "5cbce8e8cedb",
    VLLMClient.update_named_params: "6acaa216cc7e",
    VLLMGeneration.generate: "2d2ac2be5b13",
    VLLMGeneration.sync_weights: "63d669fb3230",
    ChunkedLogProbFunction.forward: "1d8220b44273",
    add_fused_lm_head: "422d009f04b6",
    nanstd: "081b874388d8",
    split_tensor_dict: "b61a5760a03e",
}
"""What training overrides, calls or relies on in TRL, and the digest of its source."""

TRANSFORMERS = {
    Cache.__init__: "d6aa3349b3f1",
    Cache.update: "160f89cd9a96",
    DynamicLayer.update: "15d634e7095a",
    DynamicLayer.get_seq_length: "968c30ace32c",
    PreTrainedConfig._get_generation_parameters: "9a84e442609e",
}
PEFT = {PeftModel.get_base_model: "d4e5baa9c5da"}
RENDERERS = {renderers_client._resolve_max_prompt_len: "4786717c53a8"}
LM_EVAL = {
    LM.create_from_arg_string: "1bb79282b432",
    HFLM.tok_encode: "c4f64300afbb",
    HFLM.generate_until: "d7a28ec8c421",
    HFLM.apply_chat_template: "0ec766bb32dd",
    TemplateAPI.generate_until: "ce3503a7375b",
}
READ = [
    *((trl, function, read) for function, read in TRL.items()),
    *((transformers, function, read) for function, read in TRANSFORMERS.items()),
    *((peft, function, read) for function, read in PEFT.items()),
    *((renderers, function, read) for function, read in RENDERERS.items()),
    *((lm_eval, function, read) for function, read in LM_EVAL.items()),
]
"""The module of ``runners/compat``, what it overrides, calls or relies on, and the digest of its source."""


TRAINER = {
    Trainer._prepare_for_training: "28182cbf71da",
    Trainer.training_step: "e9760c8ee103",
    Trainer.save_model: "705727ee10c8",
    Trainer._save: "b136889e8792",
    Trainer._save_optimizer_and_scheduler: "c5ef974db69a",
    Trainer._load_optimizer_and_scheduler: "741032f57d6f",
    Accelerator.prepare_model: "ead6a6ea35a7",
}
"""What the training of sharded models overrides or calls in transformers and accelerate."""


def digest(function: Any) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


@pytest.mark.parametrize(
    ("module", "function", "read"), READ, ids=lambda one: getattr(one, "__qualname__", "")
)
def test_a_library_is_the_one_that_was_checked(module: ModuleType, function: Any, read: str) -> None:
    library = module.__name__.rpartition(".")[2]
    assert digest(function) == read, (
        f"{library} {version(library)} has changed {function.__qualname__} ({module.CHECKED} was checked): "
        f"read it beside {module.__name__} and what imports that, then put {digest(function)} here"
    )


@pytest.mark.parametrize("function", TRAINER, ids=lambda function: function.__qualname__)
def test_transformers_and_accelerate_are_those_that_were_checked(function: Any) -> None:
    library = function.__module__.partition(".")[0]
    assert digest(function) == TRAINER[function], (
        f"{library} {version(library)} has changed {function.__qualname__}"
        f" ({trainer.CHECKED[library]} was checked): read it beside runners/compat/trainer.py,"
        f" then put {digest(function)} here"
    )


def moved(module: ModuleType, what: str) -> str:
    library = module.__name__.rpartition(".")[2]
    return f"{library} {version(library)} {what} ({module.CHECKED} was checked): adapt {module.__name__}"


def test_transformers_still_has_the_attributes_that_are_read() -> None:
    model: Any = tiny_models.model()
    assert transformers.attention(model) == "sdpa", moved(transformers, "names attention differently")
    assert len(transformers.transformer_layers(model)) == model.config.num_hidden_layers, moved(
        transformers, "has no _no_split_modules with the names of layers"
    )
    model.config._name_or_path = "folder"
    assert transformers.name_or_path(type(model)(model.config)) == "folder", moved(
        transformers, "keeps no _name_or_path"
    )
    assert transformers.cache_argument(model.__class__) in inspect.signature(model.forward).parameters, moved(
        transformers, "takes its cache by another argument"
    )


def test_transformers_keeps_only_the_end_tokens_of_generation_settings() -> None:
    model: Any = tiny_models.model()
    model.generation_config.repetition_penalty, model.generation_config.eos_token_id = 1.5, [1, 2]
    model.config.temperature = 0.3
    transformers.keep_end_tokens(model)
    assert model.generation_config.eos_token_id == [1, 2], moved(transformers, "loses end tokens")
    assert (model.generation_config.repetition_penalty or 1.0) == 1.0, moved(transformers, "keeps penalties")
    assert model.config.temperature is None, moved(transformers, "keeps sampling in config.json")


def test_transformers_still_maps_configurations_to_the_class_that_loads_them() -> None:
    loaders = [transformers.auto_class(kind()) for kind in (LlamaConfig, Mistral3Config)]
    assert loaders == [AutoModelForCausalLM, AutoModelForImageTextToText], moved(
        transformers, "has no _model_mapping"
    )


def test_a_peft_adapter_stays_in_the_bare_model() -> None:
    model: Any = tiny_models.model()
    wrapped = get_peft_model(model, LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM"))
    bare = peft.bare_model(wrapped)
    layers = [name for name, _ in bare.named_parameters() if "lora_" in name]
    assert bare is model and layers, moved(peft, "no longer puts an adapter's layers into the model")
    assert peft.bare_model(model) is model


def test_pytorch_s_attention_returns_the_sums_and_takes_them() -> None:
    query, key = torch.randn(1, 2, 5, 8), torch.randn(1, 2, 7, 8)
    _, sums = torch_compat.ATTENTION(query, key, key, 0.0, False, attn_mask=None, scale=0.5)
    expected = (0.5 * query @ key.mT).logsumexp(-1)
    assert torch.allclose(sums, expected, atol=1e-5), moved(torch_compat, "returns other sums")
    both = torch.cat([key, key], 2)
    whole, whole_sums = torch_compat.ATTENTION(query, both, both, 0.0, False, attn_mask=None, scale=0.5)
    halves = [
        torch_compat.ATTENTION_BACKWARD(
            query, query, each, each, whole, whole_sums, 0.0, False, attn_mask=None, scale=0.5
        )[0]
        for each in (key, key)
    ]
    at_once = torch_compat.ATTENTION_BACKWARD(
        query, query, both, both, whole, whole_sums, 0.0, False, attn_mask=None, scale=0.5
    )[0]
    assert torch.allclose(sum(halves), at_once, atol=1e-5), moved(torch_compat, "ignores the sums")


def test_bitsandbytes_repacks_weights_only_where_its_flag_is_set() -> None:
    layer: Any = bnb.nn.Linear4bit(8, 8)
    flag = "support_avx512bf16_for_cpu"
    assert hasattr(layer, flag) and f"self.{flag}" in inspect.getsource(type(layer).forward), moved(
        bitsandbytes, "repacks 4-bit weights by another flag"
    )
    layer.support_avx512bf16_for_cpu = True
    bitsandbytes.keep_weight_format(torch.nn.Sequential(layer))
    assert not layer.support_avx512bf16_for_cpu


def test_the_hub_s_client_reads_the_flag_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    assert not huggingface_hub.constants.is_offline_mode()
    huggingface_hub.go_offline()
    assert huggingface_hub.constants.is_offline_mode(), moved(huggingface_hub, "reads another flag")


def test_lm_eval_s_models_still_have_the_attributes_that_are_read() -> None:
    assert "self._seed" in inspect.getsource(TemplateAPI), moved(lm_eval, "sends no _seed")
    assert isinstance(TemplateAPI.api_key, cached_property | property), moved(lm_eval, "has no api_key")
    for name in ("max_length", "model"):
        assert hasattr(HFLM, name), moved(lm_eval, f"has no {name} of models by transformers")
    logger = logging.getLogger(lm_eval.API_MODELS)
    assert sys.modules[logger.name].eval_logger.name == logger.name, moved(lm_eval, "logs under another name")


def test_logs_of_lm_eval_are_limited_inside_the_block_only() -> None:
    loggers = [logging.getLogger(name) for name in (lm_eval.LIBRARY, lm_eval.API_MODELS)]
    before = [(logger.level, [*logger.filters]) for logger in loggers]
    with pytest.raises(ValueError), lm_eval.limited_logs():
        assert loggers[0].level == logging.ERROR and loggers[1].filters
        raise ValueError
    assert [(logger.level, logger.filters) for logger in loggers] == before


def test_nothing_is_overridden_that_trl_does_not_have() -> None:
    for kind in (trl.StepTrainer, GrpoTrainer):
        own = {name for name, value in vars(kind).items() if inspect.isfunction(value)}
        sources = "".join(inspect.getsource(part) for part in (trl, inspect.getmodule(GrpoTrainer)) if part)
        unknown = {name for name in own - set(dir(GRPOTrainer)) if f"self.{name}(" not in sources}
        assert not unknown, f"{unknown} would never be called by TRL"
