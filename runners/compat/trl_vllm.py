"""TRL's classes that run vLLM and ask its server, with what they need on a CPU.

``runners/compat/trl.py`` names the version of TRL that was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from trl.generation import vllm_generation
from trl.generation.vllm_client import VLLMClient
from trl.generation.vllm_generation import VLLMGeneration

from runners.compat.vllm import keep_linear_weights
from runners.decoding.tokens import context_length
from runners.training.head import in_mode
from runners.vllm_start import kept_environment, whole_prompts
from tasks.common.errors import ModelError

LARGEST_GAP = 1e-2
"""Mean difference of log-probabilities in float32 above which a server has other weights than the model."""
TRIAL, DRAWN = [*range(1, 17)], 16
"""Tokens of a prompt, and how many first tokens of answers are drawn, to compare a server with the model."""


class TrainingEngine(VLLMGeneration):
    """TRL's vLLM, which computes in the data type in which the trainer does, and runs on a CPU too."""

    def _init_vllm(self) -> None:
        on_cpu = self.accelerator.device.type == "cpu"
        arguments: dict[str, Any] = {"dtype": computed_dtype(self.accelerator, self.model)}
        if on_cpu:
            arguments |= whole_prompts(self.max_model_length or context_length(self.model.config))
            if self.mode == "colocate":
                keep_linear_weights()
        engine: Any = vars(vllm_generation).get("LLM")
        client = FolderClient if on_cpu else ServerClient
        try:
            with (
                kept_environment(),
                replaced(vllm_generation, "LLM", lambda **given: engine(**{**given, **arguments})),
                replaced(vllm_generation, "VLLMClient", client),
            ):
                super()._init_vllm()  # type: ignore[no-untyped-call]
        except (ValueError, RuntimeError, OSError) as error:
            line = " ".join(str(error).split())
            raise ModelError(f"train.vllm: vLLM does not start: {type(error).__name__}: {line}") from error

    def sync_weights(self) -> None:
        """As TRL's; then a server on this machine's CPU must compute with the new weights."""
        super().sync_weights()  # type: ignore[no-untyped-call]
        if isinstance(client := getattr(self, "vllm_client", None), FolderClient):
            check_gap(client.gap(self.model))


class ServerClient(VLLMClient):
    """TRL's client of a server, which quotes the server's error where it ends a training."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        adapter: Any
        for adapter in self.session.adapters.values():  # else the error says only how often it was tried
            adapter.max_retries = adapter.max_retries.new(raise_on_status=False)

    def _post(self, url: str, **kwargs: Any) -> Any:
        try:
            return super()._post(url, **kwargs)
        except Exception as error:  # the class of TRL's own
            line = " ".join(str(error).split())
            raise ModelError(f"train.vllm: the server at {self.base_url}: {line}") from error


class FolderClient(ServerClient):
    """TRL's client of a server on this machine's CPU: weights are sent by a folder, not through NCCL."""

    def init_communicator(self, device: Any = None) -> None:
        """Make the folder."""
        self.folder = TemporaryDirectory(prefix="vllm-weights-")

    def update_named_params(self, metadata: Any, named_params: Iterator[tuple[str, torch.Tensor]]) -> None:
        """Write the weights into the folder and have the server load them."""
        from safetensors.torch import save_file

        # copies, because an adapter is merged into the weights only while they are iterated over
        weights = {name: weight.detach().clone() for name, weight in named_params}
        save_file(weights, Path(self.folder.name) / "model.safetensors")
        body = {"method": "reload_weights", "kwargs": {"weights_path": self.folder.name}}
        self._post(f"{self.base_url}/collective_rpc", json=body)

    def gap(self, model: Any) -> float:
        """The mean difference of the server's log-probabilities to a model's, at a temperature of 1."""
        drawn = self.generate([TRIAL], n=DRAWN, max_tokens=1)
        tokens, theirs = torch.tensor(drawn["completion_ids"])[:, 0], torch.tensor(drawn["logprobs"])[:, 0, 0]
        with torch.no_grad(), in_mode(model, training=False):
            mine = model(input_ids=torch.tensor([TRIAL])).logits[0, -1].log_softmax(-1)[tokens]
        return float((mine - theirs).abs().mean())


def check_gap(gap: float) -> None:
    """Raise ModelError where a server on this machine's CPU computes with other weights than the trainer.

    ``gap`` is the mean difference of their log-probabilities. Both compute in float32, so it is below 1e-4;
    with a tied head that keeps its first weights it is larger from the second step on.
    """
    if gap > LARGEST_GAP:
        raise ModelError(
            f"the vLLM server does not have the model's weights (log-probabilities differ by {gap:.2g}):"
            " start it in an environment with the plugin in tests/vllm_cpu, such as .venv-vllm"
        )


def computed_dtype(accelerator: Any, model: Any) -> str:
    """The data type in which a trainer computes: that of its autocast, or else of the model."""
    if accelerator.mixed_precision in ("bf16", "fp16"):
        return {"bf16": "bfloat16", "fp16": "float16"}[accelerator.mixed_precision]
    return str(model.dtype).removeprefix("torch.")


@contextmanager
def replaced(module: Any, name: str, value: Any) -> Iterator[None]:
    """A module with another value of one of its names, until the block ends."""
    before = getattr(module, name, None)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
