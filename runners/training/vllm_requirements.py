"""Check that vLLM can draw the answers of a training with these settings here, before weights are loaded."""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any

from runners.training import distributed
from runners.training.config import GrpoConfig, SamplingVllm
from runners.weights import loading
from tasks.common.errors import MissingExtra, ModelError, nearest

SERVER = "VLLM_SERVER_DEV_MODE=1 vllm serve MODEL --logprobs-mode processed_logprobs --max-logprobs -1"
"""The command of a vLLM server that accepts new weights."""
BY_NCCL = ' --weight-transfer-config \'{"backend": "nccl"}\''
"""Its options where GPUs send it the weights."""
BY_FOLDER = " --dtype float32 --no-enable-chunked-prefill --max-num-batched-tokens 8192"
"""Its options on a CPU, where weights come by a folder."""
OURS = {
    "temperature": "train.temperature",
    "top_p": "train.top_p",
    "max_tokens": "train.max_new_tokens",
    "n": "train.group_size",
    "seed": "train.seed",
}
"""Parameters of vLLM that are settings of the training."""
HARMLESS = (
    *("stop", "stop_token_ids", "include_stop_str_in_output", "ignore_eos"),
    *("skip_special_tokens", "spaces_between_special_tokens", "repetition_detection"),
)
"""Parameters of vLLM that leave each token's probability as it is."""
MASKS = (
    *("top_k", "min_p", "min_tokens", "logit_bias", "allowed_token_ids", "bad_words", "structured_outputs"),
    *("repetition_penalty", "presence_penalty", "frequency_penalty"),
)
"""Parameters of vLLM that change tokens' probabilities, which the trained model does not see."""


def check(config: GrpoConfig, vllm: SamplingVllm, world: int) -> None:
    """Raise MissingExtra or ModelError where vLLM cannot draw the answers of ``world`` processes."""
    check_processes(config, vllm, world)
    check_sampling(config, vllm)
    if find_spec("vllm") is None:
        raise MissingExtra("vllm", "vllm")
    cpu = loading.device() != "cuda"
    if cpu:
        check_cpu(config, vllm)
    if vllm.mode == "server" and distributed.is_main():
        wait_for_server(vllm, cpu)


def check_processes(config: GrpoConfig, vllm: SamplingVllm, world: int) -> None:
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


def check_asynchronous(config: GrpoConfig, world: int) -> None:
    """Raise ModelError where answers cannot be drawn while the model learns."""
    if config.vllm is None or config.vllm.mode != "server":
        raise ModelError(
            "train.async draws answers with a vLLM server while the model learns: set train.vllm.mode=server,"
            " or unset train.async"
        )
    if config.vllm.correction == "none":
        raise ModelError(
            "train.async learns from answers of earlier weights, whose probabilities must be corrected: set"
            " train.vllm.correction=token_truncate, or unset train.async"
        )
    if config.num_iterations > 1:
        raise ModelError(
            f"train.async counts one step for each batch, and num_iterations is {config.num_iterations}: set"
            " train.num_iterations=1, or unset train.async"
        )
    if world > 1:
        raise ModelError(
            f"train.async trains in one process, not in {world}: leave out --processes, or unset train.async"
        )


def check_sampling(config: GrpoConfig, vllm: SamplingVllm) -> None:
    """Raise ModelError where vLLM's probabilities would not be those of the trained model.

    The correction divides the model's probability of a token, among all tokens, by vLLM's. Where vLLM draws
    from some tokens only, its probabilities are larger, and every ratio is wrong by that.
    """
    for name in vllm.extra:
        if name in OURS:
            raise ModelError(f"train.vllm.extra.{name} contradicts {OURS[name]}: set {OURS[name]} instead")
        if name not in (*HARMLESS, *MASKS):
            raise ModelError(
                f"train.vllm.extra.{name} is no parameter of sampling that training can pass to vLLM"
                f" ({nearest(name, [*HARMLESS, *MASKS])})"
            )
    masks = [f"train.vllm.extra.{name}" for name in vllm.extra if name in MASKS]
    masks += ["train.top_p"] if config.top_p < 1 else []
    masks += ["train.vllm.regex"] if vllm.regex else []
    if masks and vllm.correction != "none":
        raise ModelError(
            f"{masks[0]} changes the probabilities with which vLLM draws tokens, so that importance ratios to"
            f" the model's are wrong: unset {masks[0]}, or set train.vllm.correction=none"
        )


def check_cpu(config: GrpoConfig, vllm: SamplingVllm) -> None:
    """Raise ModelError for what vLLM cannot do without a GPU."""
    if not vllm.cpu:
        raise ModelError(
            "train.vllm needs a GPU: unset it to sample with the trained model itself, or set"
            " train.vllm.cpu=true to use vLLM's CPU build"
        )
    if vllm.sleep:
        raise ModelError("train.vllm.sleep frees a GPU's memory, and there is no GPU: set it to false")
    if config.lora and config.lora.four_bit:
        raise ModelError("vLLM has no 4-bit weights without a GPU: set train.lora.four_bit=false")
    if vllm.tensor_parallel > 1:
        raise ModelError(
            "train.vllm.tensor_parallel divides a model among GPUs, and there is none: set it to 1"
        )


def wait_for_server(vllm: SamplingVllm, cpu: bool) -> None:
    """Wait until the server is up. Raises ModelError: it is not in time, or its settings do not fit."""
    import httpx

    url = vllm.base_url or f"http://{vllm.host}:{vllm.port}"
    command = SERVER + (BY_FOLDER if cpu else BY_NCCL)
    deadline = time.monotonic() + vllm.timeout
    while True:
        try:
            if httpx.get(f"{url}/health", timeout=5).is_success:
                break
        except httpx.HTTPError:
            pass
        if time.monotonic() > deadline:
            raise ModelError(f"no vLLM server at {url} after {vllm.timeout:g} s: start it with {command}")
        time.sleep(1)
    reply = httpx.get(f"{url}/server_info", params={"config_format": "json"}, timeout=30)
    if reply.status_code == 404:
        raise ModelError(f"the vLLM server at {url} takes no weights: start it with {command}")
    if wrong := wrong_setting(reply.json()["vllm_config"], vllm, cpu):
        raise ModelError(f"the vLLM server at {url} {wrong}: start it with {command}")


def wrong_setting(server: dict[str, Any], vllm: SamplingVllm, cpu: bool) -> str:
    """The setting of a server, from its configuration, with which training would go wrong; "" if none."""
    model = server["model_config"]
    if vllm.correction != "none" and model["logprobs_mode"] != "processed_logprobs":
        return f"returns {model['logprobs_mode']}, which do not include the temperature"
    if cpu and "float32" not in str(model["dtype"]):
        return f"computes in {str(model['dtype']).removeprefix('torch.')} and training on a CPU in float32"
    if not cpu and server.get("weight_transfer_config") is None:
        return "takes no weights from GPUs"
    return ""
