"""Check that this machine and its packages can run a training, before weights are loaded."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

from runners.training import vllm_requirements
from runners.training.config import GrpoConfig, SftConfig
from tasks.common.errors import MissingExtra, ModelError


def check(config: SftConfig | GrpoConfig, world: int) -> None:
    """Raise MissingExtra or ModelError where ``world`` processes cannot train with these settings here."""
    config.items_per_pass(world)
    if config.tracker and find_spec(config.tracker) is None:
        raise MissingExtra(config.tracker, "track")
    _check_sharding(config, world)
    if isinstance(config, GrpoConfig) and config.asynchronous:
        vllm_requirements.check_asynchronous(config, world)
    if isinstance(config, GrpoConfig) and config.vllm:
        vllm_requirements.check(config, config.vllm, world)


def _check_sharding(config: SftConfig | GrpoConfig, world: int) -> None:
    if config.deepspeed:
        _check_deepspeed(config, world)
    if config.sharding == "none":
        return
    if world == 1:
        raise ModelError("train.sharding=fsdp2 shards weights over processes: add --processes N")
    if config.lora and config.lora.four_bit:
        raise ModelError(
            "4-bit weights are not sharded: set train.sharding=none or train.lora.four_bit=false"
        )
    if isinstance(config, GrpoConfig) and config.vllm:
        raise ModelError("train.vllm takes whole weights: set train.sharding=none")


def _check_deepspeed(config: SftConfig | GrpoConfig, world: int) -> None:
    path = Path(config.deepspeed)
    if config.sharding != "none":
        raise ModelError("set train.sharding or train.deepspeed, not both")
    if not path.is_file():
        raise ModelError(f"train.deepspeed: no file {path}")
    try:
        stage = json.loads(path.read_text()).get("zero_optimization", {}).get("stage", 0)
    except (ValueError, AttributeError) as error:
        raise ModelError(f"train.deepspeed: {path} is not JSON of a DeepSpeed configuration") from error
    if stage == 3:
        raise ModelError(
            f"train.deepspeed: {path} asks for ZeRO stage 3, where no process has whole weights to sample"
            " from: use stage 1 or 2, or train.sharding=fsdp2"
        )
    if world == 1:
        raise ModelError("train.deepspeed needs processes: add --processes N")
    if find_spec("deepspeed") is None:
        raise MissingExtra("deepspeed", "deepspeed")
