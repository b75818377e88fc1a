"""Predictions for a training, by formula: the peak memory in bytes, and the seconds of a step.

Memory is that of one process; with data parallelism each holds everything. The model has ``N`` weights, of
which ``Q`` are in linear layers other than the head, and ``A`` weights in adapters:

    base        full training 4 N; LoRA w N, w = 2 on a GPU (bfloat16) and 4 on a CPU; 4 bits: 0.516 Q
                (NF4 in blocks of 64 with 8-bit scales, and a float32 for 256 of those) and w (N - Q)
    trained     full 12 N (gradients and Adam's two moments in float32) and on a GPU 2 N (autocast's copies);
                LoRA 16 A (float32 weights, gradients, moments); on 4 bits 8 A (all bfloat16, as TRL has it);
                with several processes once more the gradients, in the buckets that are sent
    sharded     over p processes: the whole weights w N and their shard; for the T trained ones 4 T (gradients
                until they are summed up) and 12 T / p (the shards of weights and moments)
    reference   with beta and full training: 4 N
    sampling    keys and values: 2 w layers kv a token, of a step's prompts and answers in one batch; or what
                the memory of a colocated vLLM (freed while the model learns if it sleeps)
    learning    what backward needs of the T tokens of a pass: w (6 h + 2 q + 2 kv + 4 f) + 8 h a token and
                layer (h hidden, q and kv the widths of queries and keys, f the MLP's), and 7 w r with LoRA;
                with gradient checkpointing w h a token and layer, and one layer in full; 8 bytes a predicted
                token and entry of the widest piece of vocabulary; the mask, w T T
    peak        base + trained + reference + the larger of sampling and learning + vLLM + 1 GiB for the device

Seconds: 2 N operations a token forward, twice that backward (once with a frozen base), once more where
activations are recomputed, at 40 % of the device's peak; a decoding step reads the base and the cache once.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from runners.training.config import GrpoConfig, SftConfig
from runners.training.head import VOCABULARY_TILE

GIB = 2**30
NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a weight in NF4 with double quantization."""
UTILISATION = 0.4
"""Share of a device's peak that large products reach."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model from which its memory and time are computed."""

    weights: int
    linear: int
    """Weights in linear layers other than the head."""
    adapter_width: int
    """Sum over these layers of inputs and outputs: an adapter of rank r has r times that."""
    layers: int
    hidden: int
    queries: int
    keys: int
    mlp: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Workload:
    """The lengths of texts in tokens, and the device that computes them."""

    prompt: int
    answer: int
    gpu: bool = True
    memory: float = 0.0
    """Bytes of the device's memory; a colocated vLLM takes its share of them."""
    processes: int = 1
    """Number of processes that share a step."""
    flops: float = 0.0
    """Peak operations per second in bfloat16 (float32 on a CPU); 0: time is not predicted."""
    bandwidth: float = 0.0
    """Bytes per second of the device's memory."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Predicted bytes of a process by purpose, and seconds of a step by phase."""

    memory: dict[str, int]
    seconds: dict[str, float]
    own: int
    """Rows or prompts of a step that each process has."""
    passes: int
    """Forward and backward passes over them."""

    @property
    def peak(self) -> int:
        """Bytes at the peak."""
        always = sum(size for name, size in self.memory.items() if name not in ("sampling", "learning"))
        return always + max(self.memory["sampling"], self.memory["learning"])

    @property
    def static(self) -> int:
        """Bytes that do not depend on the batch."""
        return self.memory["base"] + self.memory["trained"] + self.memory["reference"]


def model_shape(config: Any) -> Shape:
    """The sizes of a model from its configuration, without allocating its weights."""
    import torch
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    from runners.compat.transformers import auto_class

    with torch.device("meta"):
        model = auto_class(config).from_config(config)
    head = model.get_output_embeddings()
    kinds = (nn.Linear, Conv1D)
    linear = [part for part in model.modules() if isinstance(part, kinds) and part is not head]
    text = config.get_text_config()
    mlp = getattr(text, "intermediate_size", None)  # some have one for each layer
    widest = max(max(layer.weight.shape) for layer in linear)
    heads = getattr(text, "num_attention_heads", None) or 1  # a state-space model has none
    width = getattr(text, "head_dim", None) or text.hidden_size // heads
    return Shape(
        weights=sum(weights.numel() for weights in model.parameters()),
        linear=sum(layer.weight.numel() for layer in linear),
        adapter_width=sum(sum(layer.weight.shape) for layer in linear),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        queries=width * heads,
        keys=width * (getattr(text, "num_key_value_heads", None) or heads),
        mlp=mlp if isinstance(mlp, int) else widest,
        vocabulary=text.vocab_size,
    )


def plan(model: Shape, config: SftConfig | GrpoConfig, workload: Workload) -> Plan:
    """Predict a run with these settings. Raises ModelError: a step cannot be divided among the processes."""
    word = 2 if workload.gpu else 4
    at_once = config.items_per_pass(workload.processes)
    own = config.items_per_step // workload.processes
    base, trained = _weights(model, config, workload)
    memory = {
        "base": base,
        "trained": trained,
        "reference": 4 * model.weights if _beta(config) and not config.lora else 0,
        "sampling": 2 * word * model.layers * model.keys * _sampled(config, workload, own),
        "learning": _learning(model, config, _tokens(config, workload, at_once), word),
        "vllm": 0,
        "device": GIB,
    }
    if isinstance(config, GrpoConfig) and config.vllm:
        share = config.vllm.gpu_memory * workload.memory if config.vllm.mode == "colocate" else 0.0
        memory |= {"sampling": 0, ("sampling" if config.vllm.sleep else "vllm"): round(share)}
    result = Plan(memory, {}, own, own // at_once)
    return replace(result, seconds=_seconds(model, config, workload, result)) if workload.flops else result


def smaller_settings(config: SftConfig | GrpoConfig) -> str:
    """Advice on settings where weights and optimizer alone are too large."""
    if config.lora and config.lora.four_bit:
        return "lower train.lora.r, or take a smaller model"
    if config.lora:
        return "set train.lora.four_bit=true, lower train.lora.r, or take a smaller model"
    return "set train.lora.r=16 to train adapters, train.lora.four_bit=true, or take a smaller model"


def _weights(model: Shape, config: SftConfig | GrpoConfig, workload: Workload) -> tuple[int, int]:
    """Bytes of the model, and of gradients, optimizer and adapters."""
    word, copies = (2 if workload.gpu else 4), (2 if workload.processes > 1 else 1)
    adapters = model.adapter_width * config.lora.r if config.lora else 0
    if config.sharding == "fsdp2":
        stored, trained = (word, adapters) if config.lora else (4, model.weights)
        part = stored * model.weights // workload.processes
        return word * model.weights + part, 4 * trained + 12 * trained // workload.processes
    if config.lora and config.lora.four_bit:
        base = round(NF4 * model.linear) + word * (model.weights - model.linear)
        return base, (6 + 2 * copies) * adapters
    if config.lora:
        return word * model.weights, (12 + 4 * copies) * adapters
    return 4 * model.weights, (8 + 4 * copies + (2 if workload.gpu else 0)) * model.weights


def _beta(config: SftConfig | GrpoConfig) -> bool:
    return isinstance(config, GrpoConfig) and config.beta > 0


def _sampled(config: SftConfig | GrpoConfig, workload: Workload, prompts: int) -> int:
    """Tokens of prompts and answers in a sampling batch of one process."""
    if isinstance(config, SftConfig):
        return 0
    copies = 1 if config.shared_prefix else config.group_size
    return prompts * (copies * workload.prompt + config.group_size * workload.answer)


def _tokens(config: SftConfig | GrpoConfig, workload: Workload, at_once: int) -> tuple[int, int]:
    """Tokens of a pass, and the number of predicted ones."""
    if isinstance(config, SftConfig):
        return at_once * (workload.prompt + workload.answer), at_once * workload.answer
    copies = 1 if config.shared_prefix else config.group_size
    answers = config.group_size * workload.answer
    return at_once * (copies * workload.prompt + answers), at_once * answers


def _learning(model: Shape, config: SftConfig | GrpoConfig, pass_: tuple[int, int], word: int) -> int:
    tokens, predicted = pass_
    layer = word * (6 * model.hidden + 2 * model.queries + 2 * model.keys + 4 * model.mlp) + 8 * model.hidden
    layer += 7 * word * config.lora.r if config.lora else 0
    held = layer * model.layers
    if config.gradient_checkpointing:
        held = word * model.hidden * model.layers + layer
    logits = 8 * predicted * min(model.vocabulary, VOCABULARY_TILE)
    return tokens * held + logits + word * tokens * tokens


def _seconds(
    model: Shape, config: SftConfig | GrpoConfig, workload: Workload, memory_plan: Plan
) -> dict[str, float]:
    """Seconds of one step by phase; answers are scored while others are sampled."""
    speed = UTILISATION * workload.flops
    tokens, _ = _tokens(config, workload, memory_plan.own)
    times = 2 * (1 + (1 if config.lora else 2) + config.gradient_checkpointing)
    seconds = {"learning": times * model.weights * tokens / speed}
    if isinstance(config, GrpoConfig):
        prefill = 2 * model.weights * workload.prompt * memory_plan.own / speed
        step = (memory_plan.memory["base"] + memory_plan.memory["sampling"]) / workload.bandwidth
        products = 2 * model.weights * memory_plan.own * config.group_size / speed
        seconds["sampling"] = prefill + workload.answer * max(step, products)
    return seconds
