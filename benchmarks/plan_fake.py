"""The plan's memory of a GRPO pass, without a GPU, against the tensors of the real model code.

PyTorch's fake tensors have sizes and no data, so models of any size fit; its ``MemTracker`` adds up the
storages that are alive after each operation, through forward, backward and AdamW. A pass has ``GROUP``
answers of ``ANSWER`` tokens to a prompt of ``PROMPT`` tokens in one tree, by the project's layout and head.
It is the last of several passes of a step, so gradients of earlier ones are there.

What a GPU does is imitated on the CPU, whose operations the build of PyTorch has: bfloat16 by autocast, and
attention with full masks, for which transformers copies keys and values for each query head. The kernels by
which TRL reads a tile of logits on a GPU write no further tensors, so PyTorch's own, which do, are left out.
The plan is compared without the device's overhead; the tracker knows none, nor the workspace of kernels.
QLoRA is not in the table: bitsandbytes' weights are a class of tensors that cannot be made of fake ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen3Config
from trl.kernels import chunked_logprob

from runners.compat.peft import bare_model
from runners.training.activations import fake_weights, with_adapters
from runners.training.config import GrpoConfig, LoraSpec
from runners.training.head import candidates
from runners.training.layout import Text, TokenTree
from runners.training.loss import Method
from runners.training.plan import Workload, model_shape, plan

PROMPT, ANSWER, GROUP, RANK = 1200, 64, 8, 64
GB = 1e9
ON_GPU = ("_forward_tile", "_backward_tile", "_addmm_fp32")
"""TRL's functions that are kernels on a GPU: they write into tensors that they are given."""
OF_MODULES = ("_pre_fw_hook", "_post_fw_hook", "_pre_bw_hook", "_post_bw_hook")
"""What the tracker does for its figures of each module, which are not printed and take most of its time."""
QWEN3: dict[str, Any] = {"vocab_size": 151_936, "head_dim": 128, "num_key_value_heads": 8}
LLAMA3: dict[str, Any] = {"vocab_size": 128_256, "num_key_value_heads": 8}
MODELS: dict[str, Any] = {
    "Qwen3-0.6B": Qwen3Config(
        **QWEN3, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
        tie_word_embeddings=True,
    ),
    "Llama-3.2-1B": LlamaConfig(
        **LLAMA3, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
        tie_word_embeddings=True,
    ),
    "Qwen3-1.7B": Qwen3Config(
        **QWEN3, hidden_size=2048, intermediate_size=6144, num_hidden_layers=28, num_attention_heads=16,
        tie_word_embeddings=True,
    ),
    "Qwen3-4B": Qwen3Config(
        **QWEN3, hidden_size=2560, intermediate_size=9728, num_hidden_layers=36, num_attention_heads=32,
        tie_word_embeddings=True,
    ),
    "Llama-3.1-8B": LlamaConfig(
        **LLAMA3, hidden_size=4096, intermediate_size=14_336, num_hidden_layers=32, num_attention_heads=32,
    ),
    "Qwen3-8B": Qwen3Config(
        **QWEN3, hidden_size=4096, intermediate_size=12_288, num_hidden_layers=36, num_attention_heads=32,
        tie_word_embeddings=False,
    ),
}  # fmt: skip
"""The shapes of published models."""


def fake_lines(names: Sequence[str]) -> Iterator[str]:
    """A table of predicted and tracked memory."""
    yield "| model | weights | checkpointing | predicted GB | tracked GB | error |"
    yield "|---|---|---|---|---|---|"
    for name in names:
        for lora in (None, LoraSpec(r=RANK)):
            for checkpointing in (False, True):
                shape = MODELS[name]
                config = GrpoConfig(
                    prompts_per_step=2, micro_groups=1, group_size=GROUP, lora=lora,
                    gradient_checkpointing=checkpointing,
                )  # fmt: skip
                found = plan(model_shape(shape), config, Workload(PROMPT, ANSWER))
                predicted = found.static + found.memory["learning"]
                tracked = _tracked(shape, config)
                cells = f"{predicted / GB:.1f} | {tracked / GB:.1f} | {predicted / tracked - 1:+.0%}"
                kind = "LoRA" if lora else "full"
                yield f"| {name} | {kind} | {'yes' if checkpointing else 'no'} | {cells} |"


def _tracked(shape: Any, config: GrpoConfig) -> int:
    """The bytes that are alive at the peak of a pass."""
    dtype = torch.bfloat16 if config.lora else torch.float32
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(shape, dtype=dtype)  # type: ignore[no-untyped-call]
        if config.lora:
            model = with_adapters(model, config.lora)
    with FakeTensorMode(), ExitStack() as stack:
        for name in ON_GPU:
            stack.enter_context(patch.object(chunked_logprob, name, lambda *_, **__: None))
        fake_weights(model)
        bare = bare_model(model).train()
        if config.gradient_checkpointing:
            bare.gradient_checkpointing_enable({"use_reentrant": False})
            bare.enable_input_require_grads()
        trained = [weights for weights in model.parameters() if weights.requires_grad]
        optimizer = torch.optim.AdamW(trained, fused=True)
        for weights in trained:
            weights.grad = torch.empty_like(weights)
        optimizer.step()  # makes the optimizer's state; the gradients stay
        tracker = MemTracker()
        for name in OF_MODULES:
            setattr(tracker, name, lambda *_: None)
        tracker.track_external(model, optimizer)
        with tracker:
            _step(bare, optimizer)
        peak = tracker.get_tracker_snapshot("peak")[torch.device("cpu")]
    return int(peak["Total"])


def _step(model: Any, optimizer: Any) -> None:
    layout, path, prompt = TokenTree(), list[int](), tuple(range(PROMPT))
    for answer in range(GROUP):
        fed = prompt + tuple(range(answer * ANSWER, (answer + 1) * ANSWER - 1))
        labels = tuple((PROMPT + i, i, answer * ANSWER + i) for i in range(ANSWER))
        path = path[:PROMPT]
        layout.add(Text(fed, labels), path)
    method = Method(next(candidates(model.config)), "")
    with torch.autocast("cpu", torch.bfloat16):
        (log_probs, _), _ = method.compute(model, None, layout, 1.0, ("log_probs", "entropy"))
        loss = log_probs.sum()
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
