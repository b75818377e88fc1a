"""Check that this machine and its packages can run a training, before weights are loaded."""

from __future__ import annotations

import json
import time
from importlib.util import find_spec
from pathlib import Path

from runners.training import distributed
from runners.training.config import GrpoConfig, SamplingVllm, SftConfig
from runners.weights import loading
from tasks.common.errors import MissingExtra, ModelError

SERVER = (
    'VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --weight-transfer-config \'{"backend": "nccl"}\''
    " --logprobs-mode processed_logprobs --max-logprobs -1"
)
"""The command of a vLLM server that accepts weights from TRL."""


def check(config: SftConfig | GrpoConfig, world: int) -> None:
    """Raise MissingExtra or ModelError where ``world`` processes cannot train with these settings here."""
    config.items_per_pass(world)
    if config.wandb and find_spec("wandb") is None:
        raise MissingExtra("wandb", "track")
    _check_sharding(config, world)
    if isinstance(config, GrpoConfig) and config.vllm:
        _check_vllm(config, config.vllm, world)


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


def _check_vllm(config: GrpoConfig, vllm: SamplingVllm, world: int) -> None:
    check_vllm_settings(config, vllm, world)
    if find_spec("vllm") is None:
        raise MissingExtra("vllm", "vllm")
    if loading.device() != "cuda":
        raise ModelError("train.vllm needs a GPU, because weights are sent to it: unset it on a CPU")
    if vllm.mode == "server" and distributed.is_main():
        wait_for_server(vllm.base_url or f"http://{vllm.host}:{vllm.port}", vllm.timeout)


def check_vllm_settings(config: GrpoConfig, vllm: SamplingVllm, world: int) -> None:
    """Raise ModelError where the settings of vLLM and of the run contradict each other."""
    if world % vllm.tensor_parallel:
        raise ModelError(
            f"train.vllm.tensor_parallel {vllm.tensor_parallel} does not divide {world} processes:"
            " set it to a divisor"
        )
    together = vllm.tensor_parallel > 1 or (vllm.mode == "server" and world > 1)
    if config.max_turns > 1 and together:
        raise ModelError(
            "max_turns is over 1 and several processes ask one vLLM, each as often as its own answers need:"
            " set train.vllm.mode=colocate and tensor_parallel=1, or train in one process"
        )
    if config.loss_type == "vespo" and vllm.correction.startswith("sequence"):
        raise ModelError("loss_type vespo needs train.vllm.correction token_truncate or token_mask")


def wait_for_server(url: str, seconds: float) -> None:
    """Wait until the server is up. Raises ModelError: it is not in time, or accepts no weights."""
    import httpx

    deadline = time.monotonic() + seconds
    while True:
        try:
            if httpx.get(f"{url}/health", timeout=5).is_success:
                break
        except httpx.HTTPError:
            pass
        if time.monotonic() > deadline:
            raise ModelError(f"no vLLM server at {url} after {seconds:g} s: start it with {SERVER}")
        time.sleep(1)
    if httpx.get(f"{url}/server_info", params={"config_format": "json"}, timeout=30).status_code == 404:
        raise ModelError(f"the vLLM server at {url} takes no weights: start it with {SERVER}")
