"""The private parts of libraries that ``runners/compat`` overrides or relies on are those that were read."""

import hashlib
import inspect
from importlib.metadata import version
from typing import Any

import pytest
from trl.generation.vllm_generation import VLLMGeneration
from trl.kernels import ChunkedLogProbFunction
from trl.trainer.grpo_trainer import GRPOTrainer
from trl.trainer.sft_trainer import SFTTrainer
from trl.trainer.utils import add_fused_lm_head, nanstd, split_tensor_dict

from runners.compat import trl
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


def digest(function: Any) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:12]


@pytest.mark.parametrize("function", TRL, ids=lambda function: function.__qualname__)
def test_trl_is_the_one_that_was_checked(function: Any) -> None:
    assert digest(function) == TRL[function], (
        f"TRL {version('trl')} has changed {function.__qualname__} ({trl.CHECKED} was checked): read it"
        f" beside runners/compat/trl.py and runners/training/loss.py, then put {digest(function)} here"
    )


def test_nothing_is_overridden_that_trl_does_not_have() -> None:
    for kind in (trl.StepTrainer, GrpoTrainer):
        own = {name for name, value in vars(kind).items() if inspect.isfunction(value)}
        sources = "".join(inspect.getsource(part) for part in (trl, inspect.getmodule(GrpoTrainer)) if part)
        unknown = {name for name in own - set(dir(GRPOTrainer)) if f"self.{name}(" not in sources}
        assert not unknown, f"{unknown} would never be called by TRL"
