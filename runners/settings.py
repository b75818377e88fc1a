"""Settings of the runners in ``open.py``: ``--set runner.KEY=VALUE`` on the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from runners.chat_templates import TemplateSettings
from runners.endpoints.config import EndpointConfig
from tasks.common.parse import Spec


class HfConfig(Spec):
    """A Hugging Face model in this process."""

    dtype: Literal["auto", "float32", "bfloat16", "float16", "stored"] = "auto"
    """``auto``: bfloat16 on a GPU, float32 on a CPU; ``stored``: that of the files."""
    four_bit: bool = False
    """Load linear layers in 4 bits (NF4); needs the extra ``quant``."""
    deterministic: bool = False
    """Compute each question separately, so no other affects its answer; ``dtype: auto`` is then float32."""
    batch_tokens: int = Field(0, ge=0)
    """Most tokens of prompts and answers in a batch; 0: by the memory. Lower it if memory runs out."""


class VllmConfig(Spec):
    """vLLM, in this process or as a server that is started."""

    server: bool = False
    """Start ``vllm serve`` instead of loading the model in this process."""
    tensor_parallel: int = Field(1, ge=1)
    """GPUs that hold one copy of the model together."""
    data_parallel: int = Field(1, ge=1)
    """Copies of the model; above 1 a server is started, also with ``server: false``."""
    dtype: str = "auto"
    """Data type of the weights, by vLLM's name. ``auto``: float32 on a CPU; on a GPU that of the files, and
    bfloat16 for float32."""
    max_model_len: int = Field(0, ge=0)
    """Most tokens of prompt and answer; 0: the model's context."""
    gpu_memory: float | None = Field(None, gt=0, le=1)
    """Share of the GPU's memory that vLLM uses, or without a GPU of the machine's; null: 0.9, or 0.3."""
    extra: Mapping[str, Any] = Field(default_factory=dict)
    """Further engine arguments of vLLM, by their Python names."""
    start_seconds: float = Field(900, gt=0)
    """Seconds that the server may take to start."""


class ReplayConfig(Spec):
    """A file of stored answers."""

    column: str = ""
    """The key or column that holds the answers; default: the first known name, such as ``sql``."""


class RunnerConfig(TemplateSettings):
    """The settings of all runners, one section for each that has any."""

    hf: HfConfig = HfConfig()
    """Models that run in this process."""
    endpoint: EndpointConfig = EndpointConfig()
    """Servers with OpenAI's chat completions."""
    vllm: VllmConfig = VllmConfig()
    """vLLM."""
    replay: ReplayConfig = ReplayConfig()
    """Stored answers."""
    replicas: int = Field(0, ge=0)
    """Copies of the model on the nodes of a Ray cluster (``--on ray``); 0: the model runs here."""

    def identity(self) -> dict[str, object]:
        """The settings that can change an answer, without those of retries and speed."""
        retries = {"concurrency", "timeout", "retries", "backoff"}
        endpoint = retries | {"replicas", "key", "input_price", "output_price"}
        speed = {"endpoint": endpoint, "vllm": {"start_seconds", "gpu_memory"}, "hf": {"batch_tokens"}}
        return self.model_dump(mode="json", exclude=speed)
