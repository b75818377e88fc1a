"""Answers from vLLM in this process, by the public API of vLLM 0.28 to 0.31.

Prompts are passed to vLLM in chunks; its prefix cache computes their shared prefixes once.
"""

from __future__ import annotations

import json
import shutil
import time
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from runners.batching import Answers, error_line, in_chunks
from runners.decoding.tokens import special_tokens, thought_tag
from runners.settings import VllmConfig
from runners.types import NEUTRAL, Completion, Request, Sampling
from runners.vllm_start import kept_environment, last_error, output_to, whole_prompts
from runners.weights import loading
from runners.weights.source import Source
from tasks.common.errors import ModelError

CHUNK = 512
"""Questions passed to vLLM at a time: it returns all answers at once."""
GPU_MEMORY, CPU_MEMORY = 0.9, 0.3
"""Shares of the GPU's memory, or of the machine's without a GPU, that vLLM uses unless a share is set."""


class EngineEnded(SystemExit):
    """The engine's processes have ended, so that no further question can be asked."""


class VllmRunner:
    """A model that vLLM runs in this process, with a LoRA adapter where the name has one."""

    def __init__(self, source: Source, name: str, config: VllmConfig) -> None:
        """Load the model. Raises ModelError: vLLM cannot load it."""
        self.name = f"vllm:{name}"
        self.log = Path(mkdtemp(prefix="vllm-")) / "engine.log"
        arguments = engine_arguments(source, config)
        try:
            with output_to(self.log), kept_environment():
                import vllm

                self.llm = vllm.LLM(
                    model=source.path, revision=source.revision, trust_remote_code=False, **arguments
                )
        except Exception as error:  # of any library
            reason = f"{last_error(self.log)} (see {self.log})" if wraps_another(error) else error_line(error)
            raise ModelError(f"{self.name}: vLLM does not start: {reason}") from error
        self.adapter = _lora_request(source)
        template = chat_template(source)
        self.template = {"chat_template": template} if template else {}

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield ``(index, n completions)``, some hundred at a time; a refused prompt gets no answer."""
        ask = partial(self._ask, sampling=sampling)
        try:
            yield from in_chunks(self.name, ask, requests, sampling.n, CHUNK)
        except EngineEnded as error:
            raise ModelError(f"{self.name}: {error}") from error

    def _ask(self, requests: Sequence[Request], sampling: Sampling) -> list[Answers]:
        from vllm import SamplingParams

        tokenizer = self.llm.get_tokenizer()
        parameters = [
            SamplingParams(
                n=sampling.n,
                temperature=sampling.temperature,
                top_p=sampling.top_p,
                max_tokens=sampling.max_new_tokens,
                stop=list(sampling.stop),
                seed=zlib.crc32(f"{sampling.seed} {request.sample.id}".encode()),
                logprobs=0,
                skip_special_tokens=not special_tokens(tokenizer)[1],
                **NEUTRAL,
            )
            for request in requests
        ]
        began = time.perf_counter()
        try:
            outputs = self.llm.chat(
                [list(request.messages) for request in requests],
                parameters,
                use_tqdm=False,
                lora_request=self.adapter,
                **self.template,
            )
        except Exception as error:  # of any library
            if not wraps_another(error):
                raise
            raise EngineEnded(f"the engine ended: {last_error(self.log)} (see {self.log})") from error
        seconds = (time.perf_counter() - began) / (len(requests) * sampling.n)
        return [
            _completions(output, thought_tag(tokenizer, output.prompt_token_ids), seconds)
            for output in outputs
        ]

    def close(self) -> None:
        """Release the model: the engine's processes end with it."""
        del self.llm
        shutil.rmtree(self.log.parent, ignore_errors=True)


def _completions(output: Any, tag: str, seconds: float) -> Answers:
    """The answers in a RequestOutput of vLLM; ``tag``: the tag of a thought that the prompt opened."""
    return [
        Completion(
            text=tag + answer.text,
            prompt_tokens=len(output.prompt_token_ids),
            tokens=len(answer.token_ids),
            seconds=seconds,
            finish="length" if answer.finish_reason == "length" else "stop",
            logprob=answer.cumulative_logprob,
        )
        for answer in output.outputs
    ]


def chat_template(source: Source) -> str | None:
    """The chat template that the settings choose; None: the model's own, which vLLM reads."""
    from runners.weights.loading import load_tokenizer

    if not source.template.template_identity():
        return None
    return str(load_tokenizer(source).chat_template)


def wraps_another(error: Exception) -> bool:
    """Whether an error of vLLM only says that one of its processes had an error."""
    return "root cause" in str(error) or "stack trace" in str(error).lower()


def engine_arguments(source: Source, config: VllmConfig) -> dict[str, Any]:
    """vLLM's engine arguments for a model on this machine's device."""
    cpu = loading.device() == "cpu"
    chosen: dict[str, Any] = {
        "tensor_parallel_size": config.tensor_parallel,
        "dtype": "float32" if cpu and config.dtype == "auto" else config.dtype,
        "gpu_memory_utilization": config.gpu_memory or (CPU_MEMORY if cpu else GPU_MEMORY),
        "enable_prefix_caching": True,
        "generation_config": "vllm",  # of the model's own only the end-of-sequence tokens are used
    }
    if config.max_model_len:
        chosen["max_model_len"] = config.max_model_len
    if cpu:
        chosen |= whole_prompts(config.max_model_len or _context(source))
    return chosen | dict(config.extra) | adapter_arguments(source)


def _context(source: Source) -> int:
    """A model's context, 0 where it is unknown: vLLM then says what is wrong with the model."""
    try:
        return loading.context(source)
    except ModelError:
        return 0


def adapter_arguments(source: Source) -> dict[str, Any]:
    """The engine arguments that an adapter needs."""
    if source.adapter is None:
        return {}
    rank = json.loads((Path(source.adapter) / "adapter_config.json").read_text())["r"]
    return {"enable_lora": True, "max_lora_rank": max(8, rank)}


def _lora_request(source: Source) -> Any:
    if source.adapter is None:
        return None
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, source.adapter)
