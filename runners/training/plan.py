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
    learning    what backward needs of the T tokens of a pass. A token and layer of a GPU's: w (6 h + 2 q +
                2 kv + 4 f) + 8 h (h hidden, q and kv the widths of queries and keys, f the MLP's); of a
                CPU's, as transformers' Llama saves them, w (6 h + 3 q + 2 kv + 4 f), with a frozen base 2 h
                less; with LoRA also 7 w r. With gradient checkpointing w h a token and layer, and one layer
                in full.
                8 bytes a predicted token and entry of the widest piece of vocabulary; a GPU's mask, w T T
    saving      on a CPU with LoRA 8 N: at the end the base is read again from its file, to merge the adapter
    device      1 GiB on a GPU; on a CPU what Python and the libraries hold (``IMPORTS``)
    peak        all of these, but the larger of sampling and learning. Gradients count beside activations,
                because glibc does not return the small blocks of freed activations to the system

Seconds: 2 operations a weight of a linear layer and token forward, and of the head for each predicted token;
twice that backward (once with a frozen base), once more where activations are recomputed; 4 operations a
query's entry, key and layer in attention, of the keys that a token sees, and 2.5 times that backward. They
run at ``UTILISATION`` of the device's peak, or of the rate that was measured on this CPU. The optimizer moves
40 bytes a trained weight. A decoding step reads weights and cache once, or takes what its products need.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from runners.decoding.attention_sizes import AttentionSizes, attention_sizes
from runners.training.config import GrpoConfig, SftConfig
from runners.training.head import VOCABULARY_TILE

GIB = 2**30
NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a weight in NF4 with double quantization."""
ROWS, FEW_ROWS, MEASURED_SECONDS = 1024, 8, 0.3
"""Rows of the products by which a CPU is measured, and the CPU seconds of each measurement."""
LARGEST = 4096
"""Most rows and columns of the weights of these products, which would else need much memory themselves."""
UTILISATION = {"gpu": 0.4, "cpu": 0.65}
"""Share of a GPU's peak, or of the rate of a CPU's large products, that a whole pass reaches."""
IMPORTS = 730_000_000
"""Resident bytes of a process that has imported PyTorch, transformers and TRL and read a tokenizer."""


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
    attention: AttentionSizes
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
    few: float = 0.0
    """Operations per second of products with the few rows of a decoding step; 0: as of large ones."""


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
    return Shape(
        weights=sum(weights.numel() for weights in model.parameters()),
        linear=sum(layer.weight.numel() for layer in linear),
        adapter_width=sum(sum(layer.weight.shape) for layer in linear),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        attention=attention_sizes(config),
        mlp=mlp if isinstance(mlp, int) else widest,
        vocabulary=text.vocab_size,
    )


@dataclass(frozen=True, slots=True)
class Speed:
    """Operations per second of large products, and bytes per second of memory, as measured."""

    flops: float
    bandwidth: float
    few: float
    """Operations per second of products with few rows."""


def machine_speed(model: Shape) -> Speed:
    """Measure this machine's CPU with the sizes of a model: about a second of CPU time."""
    import torch

    width, numbers = min(model.hidden, LARGEST), torch.ones(2**25)
    weights = torch.randn(min(model.mlp, LARGEST), width)
    large, few = (
        2 * x.numel() * len(weights) * _rate(partial(torch.nn.functional.linear, x, weights))
        for x in (torch.randn(rows, width) for rows in (ROWS, FEW_ROWS))
    )
    return Speed(large, 4 * numbers.numel() * _rate(numbers.sum), few)


def _rate(work: Callable[[], object]) -> float:
    """Calls per second of this process's CPU time."""
    work()
    began, calls = time.process_time(), 0
    while (seconds := time.process_time() - began) < MEASURED_SECONDS or not calls:
        work()
        calls += 1
    return calls / seconds


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
        "sampling": word * model.attention.cached * _sampled(config, workload, own),
        "learning": _learning(model, config, _tokens(config, workload, at_once), workload.gpu),
        "saving": 0 if workload.gpu or not config.lora else 8 * model.weights,
        "vllm": 0,
        "device": GIB if workload.gpu else IMPORTS,
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


def _learning(model: Shape, config: SftConfig | GrpoConfig, pass_: tuple[int, int], gpu: bool) -> int:
    (tokens, predicted), word = pass_, (2 if gpu else 4)
    queries, keys = model.attention.queries, model.attention.keys
    layer = word * (6 * model.hidden + 2 * queries + 2 * keys + 4 * model.mlp)
    if gpu:
        layer += 8 * model.hidden
    else:
        layer += word * (queries - (2 * model.hidden if config.lora else 0))
    layer += 7 * word * config.lora.r if config.lora else 0
    held = layer * model.layers
    if config.gradient_checkpointing:
        held = word * model.hidden * model.layers + layer
    logits = 8 * predicted * min(model.vocabulary, VOCABULARY_TILE)
    return tokens * held + logits + (word * tokens * tokens if gpu else 0)


def _seconds(
    model: Shape, config: SftConfig | GrpoConfig, workload: Workload, memory_plan: Plan
) -> dict[str, float]:
    """Seconds of one step by phase; answers are scored while others are sampled."""
    speed = UTILISATION["gpu" if workload.gpu else "cpu"] * workload.flops
    tokens, predicted = _tokens(config, workload, memory_plan.own)
    head = model.vocabulary * model.hidden
    again = int(config.gradient_checkpointing)
    passes = 1 + (1 if config.lora else 2) + again
    pair = 4 * model.attention.queries * model.attention.layers
    pairs = tokens * (workload.prompt / 2 + workload.answer) * pair
    products = 2 * passes * (model.linear * tokens + head * predicted) + (3.5 + again) * pairs
    trained = model.adapter_width * config.lora.r if config.lora else model.weights
    seconds = {"learning": products / speed + 40 * trained / workload.bandwidth}
    if isinstance(config, GrpoConfig):
        prompts = workload.prompt * memory_plan.own
        prefill = (2 * model.linear * prompts + workload.prompt / 2 * prompts * pair) / speed
        step = (memory_plan.memory["base"] + memory_plan.memory["sampling"]) / workload.bandwidth
        few = speed * (workload.few or workload.flops) / workload.flops
        drawn = 2 * (model.linear + head) * memory_plan.own * config.group_size / few
        seconds["sampling"] = prefill + workload.answer * max(step, drawn)
    return seconds
