"""The private parts of libraries that ``runners/compat`` overrides or relies on are those that were read."""

import hashlib
import inspect
from importlib.metadata import version
from typing import Any

import pytest
from accelerate import Accelerator
from transformers import Trainer
from trl.generation.vllm_generation import VLLMGeneration
from trl.kernels import ChunkedLogProbFunction
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.sft_trainer import SFTTrainer
from trl.trainer.utils import add_fused_lm_head, nanstd, split_tensor_dict

from runners.compat import trainer, trl
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
    VLLMGeneration.generate: "2d2ac2be5b13",
    VLLMGeneration.sync_weights: "63d669fb3230",
    ChunkedLogProbFunction.forward: "1d8220b44273",
    add_fused_lm_head: "422d009f04b6",
    nanstd: "081b874388d8",
    split_tensor_dict: "b61a5760a03e",
}
"""What training overrides, calls or relies on in TRL, and the digest of its source."""


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


@pytest.mark.parametrize("function", TRL, ids=lambda function: function.__qualname__)
def test_trl_is_the_one_that_was_checked(function: Any) -> None:
    assert digest(function) == TRL[function], (
        f"TRL {version('trl')} has changed {function.__qualname__} ({trl.CHECKED} was checked): read it"
        f" beside runners/compat/trl.py and runners/training/loss.py, then put {digest(function)} here"
    )


@pytest.mark.parametrize("function", TRAINER, ids=lambda function: function.__qualname__)
def test_transformers_and_accelerate_are_those_that_were_checked(function: Any) -> None:
    library = function.__module__.partition(".")[0]
    assert digest(function) == TRAINER[function], (
        f"{library} {version(library)} has changed {function.__qualname__}"
        f" ({trainer.CHECKED[library]} was checked): read it beside runners/compat/trainer.py,"
        f" then put {digest(function)} here"
    )


def test_nothing_is_overridden_that_trl_does_not_have() -> None:
    for kind in (trl.StepTrainer, GrpoTrainer):
        own = {name for name, value in vars(kind).items() if inspect.isfunction(value)}
        sources = "".join(inspect.getsource(part) for part in (trl, inspect.getmodule(GrpoTrainer)) if part)
        unknown = {name for name in own - set(dir(GRPOTrainer)) if f"self.{name}(" not in sources}
        assert not unknown, f"{unknown} would never be called by TRL"
