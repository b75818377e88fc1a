"""Predictions for a training: the peak memory in bytes by purpose, and the seconds of a step.

Memory is that of one process; with data parallelism each holds everything. The model has ``N`` weights, of
which ``Q`` are in linear layers other than the head, and ``A`` weights in adapters:

    base        full training 4 N; LoRA w N, w = 2 on a GPU (bfloat16) and 4 on a CPU; 4 bits: 0.516 Q
                (NF4 in blocks of 64 with 8-bit scales, and a float32 for 256 of those) and w (N - Q)
    trained     Adam's two moments: full 8 N; LoRA 12 A with the float32 weights; on 4 bits 6 A (all bfloat16,
                as TRL has it)
    gradients   full 4 N; LoRA 4 A; on 4 bits 2 A; with several processes twice, for the buckets that are sent
    sharded     over p processes: the whole weights w N and their shard; for the T trained ones 4 T (gradients
                until they are summed up) and 12 T / p (the shards of weights and moments)
    reference   with beta and full training: 4 N
    sampling    keys and values of a step's prompts and answers in one batch, w each; or what the memory of a
                colocated vLLM (freed while the model learns if it sleeps)
    learning    what autograd keeps of the T tokens of a pass (``activations``; of the few architectures whose
                code does not run there, all inputs and outputs of linear layers). With gradient checkpointing
                the inputs of the layers, and one layer in full with the gradients of its MLP.
                A GPU's mask, w T T in rows of limited length, and its copies of float32 weights in bfloat16.
                A tile of logits: 2 bytes a predicted token and entry on a GPU; 33 on a CPU, whose backward
                has eight float32 tensors and a boolean one. In full training the gradient of the head, 4 V h,
                before it is added to that of earlier passes; tied to the embeddings, it waits for theirs, and
                the sum is a third one.
                On a CPU adapters leave holes in the heap, 8 bytes for an output of a layer (on 4 bits, where
                an adapter's is bfloat16, 5 as measured): of the three results that PEFT adds up, two are
                freed between tensors that are kept, and glibc does not fill their place with others of the
                same size, because it asks for more than the size of an aligned block.
    saving      the base into which adapters are merged, in the machine's memory: w N, after all else is freed
    device      1 GiB on a GPU; on a CPU what Python and the libraries hold (``IMPORTS``)
    peak        all of these but saving, and of sampling and learning the larger. On a GPU the gradients of a
                step's only pass take the place of its activations. On a CPU they count beside them, because
                glibc does not return the small blocks of freed activations to the system

Seconds: 2 operations a weight of a linear layer and token forward, and of the head for each predicted token;
twice that backward (once with a frozen base), once more where activations are recomputed, as the head's
always are; 4 operations a query's entry, key and layer in attention, of the keys that a token sees, and 2.5
times that backward. They run at ``UTILISATION`` of the device's peak, or of the rate that was measured on
this CPU. The optimizer moves 40 bytes a trained weight. A decoding step reads weights and cache once, or
needs the time of its products; on a CPU both, because products with few rows are measured on weights that are
in its caches.
On a CPU 4-bit weights are converted before every product, at the rate that was measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from runners.decoding.attention_sizes import AttentionSizes, attention_sizes
from runners.training.activations import Kept, kept
from runners.training.config import GrpoConfig, LoraSpec, SftConfig
from runners.training.layout import SIZES
from runners.training.loss import VOCABULARY_TILE

GIB = 2**30
NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a weight in NF4 with double quantization."""
TOKEN_TILE = 4096
"""Most predicted tokens whose logits TRL's kernel holds at a time (``TOKEN_CHUNK_SIZE``)."""
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
    outputs: int
    """Sum of their outputs alone."""
    layers: int
    hidden: int
    attention: AttentionSizes
    mlp: int
    vocabulary: int
    tied: bool
    """Whether the head has the weights of the embeddings."""
    kept: Callable[[LoraSpec | None, bool], Kept | None]
    """What autograd keeps, with or without adapters, on a GPU or not."""


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
    unpacking: float = 0.0
    """4-bit weights per second that are converted for a product; 0: the conversion is not counted."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Predicted bytes of a process by purpose, and seconds of a step by phase."""

    memory: dict[str, int]
    seconds: dict[str, float]
    own: int
    """Rows or prompts of a step that each process has."""
    passes: int
    """Forward and backward passes over them."""
    accumulates: bool
    """Whether gradients take memory beside the activations."""

    @property
    def peak(self) -> int:
        """Bytes at the peak."""
        phases = ("sampling", "learning", "gradients", "saving")
        always = sum(size for name, size in self.memory.items() if name not in phases)
        sampling, learning, gradients, saving = (self.memory[name] for name in phases)
        learns = learning + gradients if self.accumulates else max(learning, gradients)
        return max(always + max(sampling, learns), self.memory["device"] + saving)

    @property
    def static(self) -> int:
        """Bytes that do not depend on the batch."""
        return sum(self.memory[name] for name in ("base", "trained", "gradients", "reference"))


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
        outputs=sum(layer.weight.shape[isinstance(layer, Conv1D)] for layer in linear),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        attention=attention_sizes(config),
        mlp=mlp if isinstance(mlp, int) else widest,
        vocabulary=text.vocab_size,
        tied=head is not None and head.weight is model.get_input_embeddings().weight,
        kept=partial(kept, config),
    )


def plan(model: Shape, config: SftConfig | GrpoConfig, workload: Workload) -> Plan:
    """Predict a run with these settings. Raises ModelError: a step cannot be divided among the processes."""
    word = 2 if workload.gpu else 4
    at_once = config.items_per_pass(workload.processes)
    own = config.items_per_step // workload.processes
    base, trained, gradients = _weights(model, config, workload)
    memory = {
        "base": base,
        "trained": trained,
        "gradients": gradients,
        "reference": 4 * model.weights if _beta(config) and not config.lora else 0,
        "sampling": word * model.attention.cached * _sampled(config, workload, own),
        "learning": _learning(model, config, _tokens(config, workload, at_once), workload.gpu),
        "saving": 0 if workload.gpu or not config.lora else word * model.weights,
        "vllm": 0,
        "device": GIB if workload.gpu else IMPORTS,
    }
    if isinstance(config, GrpoConfig) and config.vllm:
        share = config.vllm.gpu_memory * workload.memory if config.vllm.mode == "colocate" else 0.0
        memory |= {"sampling": 0, ("sampling" if config.vllm.sleep else "vllm"): round(share)}
    passes = own // at_once
    accumulates = passes > 1 or workload.processes > 1 or not workload.gpu
    result = Plan(memory, {}, own, passes, accumulates)
    return replace(result, seconds=_seconds(model, config, workload, result)) if workload.flops else result


def smaller_settings(config: SftConfig | GrpoConfig) -> str:
    """Advice on settings where weights and optimizer alone are too large."""
    if config.lora and config.lora.four_bit:
        return "lower train.lora.r, or take a smaller model"
    if config.lora:
        return "set train.lora.four_bit=true, lower train.lora.r, or take a smaller model"
    return "set train.lora.r=16 to train adapters, train.lora.four_bit=true, or take a smaller model"


def _weights(model: Shape, config: SftConfig | GrpoConfig, workload: Workload) -> tuple[int, int, int]:
    """Bytes of the model, of what is trained and its optimizer, and of gradients."""
    word, copies = (2 if workload.gpu else 4), (2 if workload.processes > 1 else 1)
    trained = _trained(model, config)
    if config.sharding == "fsdp2":
        part = (word if config.lora else 4) * model.weights // workload.processes
        return word * model.weights + part, 12 * trained // workload.processes, 4 * trained
    if config.lora and config.lora.four_bit:
        base = round(NF4 * model.linear) + word * (model.weights - model.linear)
        return base, 6 * trained, 2 * copies * trained
    if config.lora:
        return word * model.weights, 12 * trained, 4 * copies * trained
    return 4 * model.weights, 8 * trained, 4 * copies * trained


def _trained(model: Shape, config: SftConfig | GrpoConfig) -> int:
    """The number of weights that are trained."""
    return model.adapter_width * config.lora.r if config.lora else model.weights


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
    if not tokens:
        return 0
    full = config.lora is None
    inputs_and_outputs = Kept(2 * model.linear if gpu and full else 0, float(word * model.adapter_width))
    found = model.kept(config.lora, gpu) or inputs_and_outputs
    holes = 0 if gpu or not config.lora else 5 if config.lora.four_bit else 8
    token = found.token + holes * model.outputs
    head = 4 * model.vocabulary * model.hidden if full else 0
    held = round(tokens * token) + found.weights + head
    if config.gradient_checkpointing:
        inputs = tokens * (4 if full else word) * model.hidden * model.layers
        layer = round(tokens * (token / model.layers + 2 * word * model.mlp)) + head
        held = inputs + max(layer, found.weights)
    tile = min(predicted, TOKEN_TILE) * min(model.vocabulary, VOCABULARY_TILE)
    mask = word * tokens * min(tokens, SIZES.limit) if gpu else 0
    return max(held + (2 if gpu else 33) * tile + mask, (3 if model.tied else 1) * head)


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
    products = (
        2 * passes * model.linear * tokens + 2 * (passes + 1) * head * predicted + (3.5 + again) * pairs
    )
    packed = workload.unpacking and config.lora and config.lora.four_bit
    unpacking = model.linear / workload.unpacking if packed else 0.0
    conversions = passes * memory_plan.passes * unpacking
    seconds = {"learning": products / speed + 40 * _trained(model, config) / workload.bandwidth + conversions}
    if isinstance(config, GrpoConfig):
        prompts = workload.prompt * memory_plan.own
        prefill = (2 * model.linear * prompts + workload.prompt / 2 * prompts * pair) / speed
        read = (memory_plan.memory["base"] + memory_plan.memory["sampling"]) / workload.bandwidth
        few = speed * (workload.few or workload.flops) / workload.flops
        drawn = 2 * (model.linear + head) * memory_plan.own * config.group_size / few
        step = max(read, drawn) if workload.gpu else read + drawn
        seconds["sampling"] = prefill + unpacking + workload.answer * (step + unpacking)
    return seconds
