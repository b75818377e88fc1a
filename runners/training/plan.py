"""What a training run will need, by formula: bytes of memory at its peak, seconds of a step. All *predicted*.

Memory, of each process: data parallel, every one holds all of it. ``N`` weights, of which ``Q`` in linear
layers other than the head, ``A`` in adapters:

    base        full training 4 N; LoRA w N, w = 2 on a GPU (bfloat16) and 4 on a CPU; 4 bits: 0.516 Q
                (NF4 in blocks of 64 with 8-bit scales, and a float32 for 256 of those) and w (N - Q)
    trained     full 12 N (gradients and Adam's two moments in float32) and on a GPU 2 N (autocast's copies);
                LoRA 16 A (float32 weights, gradients, moments); on 4 bits 8 A (all bfloat16, as TRL has it);
                with several processes once more the gradients, in the buckets that are sent
    sharded     over p processes, of all weights the whole ones w N and their part, and of the T trained ones
                4 T (gradients until they are summed up) and 12 T / p (their part, and of the moments)
    reference   with beta and full training: 4 N
    sampling    keys and values: 2 w layers kv a token, of a step's prompts and answers in one batch; or what
                a colocated vLLM is given (gone while the model learns where it sleeps)
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
from runners.training.loss import VOCABULARY_TILE

GIB = 2**30
NF4 = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Bytes of a weight in NF4 with double quantization."""
UTILISATION = 0.4
"""Share of a device's peak that large products reach."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model that its memory and time follow from."""

    weights: int
    linear: int
    """Of them, in linear layers other than the head."""
    ends: int
    """Sum over these layers of inputs and outputs: an adapter of rank r has r times that."""
    layers: int
    hidden: int
    queries: int
    keys: int
    mlp: int
    vocabulary: int


@dataclass(frozen=True, slots=True)
class Workload:
    """How long texts are, in tokens, and on what they are computed."""

    prompt: int
    answer: int
    gpu: bool = True
    memory: float = 0.0
    """Of the device, bytes: a colocated vLLM takes its share."""
    processes: int = 1
    """Among which a step is divided."""
    flops: float = 0.0
    """Peak of the device in bfloat16 (float32 on a CPU), operations a second; 0: time is not predicted."""
    bandwidth: float = 0.0
    """Of its memory, bytes a second."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Predicted bytes of a process by what they hold, and seconds of a step by phase."""

    memory: dict[str, int]
    seconds: dict[str, float]
    own: int
    """Rows or prompts of a step that each process has."""
    passes: int
    """Forwards and backwards in which it learns from them."""

    @property
    def peak(self) -> int:
        """Bytes at the most."""
        always = sum(size for name, size in self.memory.items() if name not in ("sampling", "learning"))
        return always + max(self.memory["sampling"], self.memory["learning"])

    @property
    def static(self) -> int:
        """Bytes that no smaller batch saves."""
        return self.memory["base"] + self.memory["trained"] + self.memory["reference"]


def model_shape(config: Any) -> Shape:
    """The sizes of a model by its configuration, without making its weights."""
    import torch
    from torch import nn
    from transformers import AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    head = model.get_output_embeddings()
    linear = [one for one in model.modules() if isinstance(one, nn.Linear) and one is not head]
    text = config.get_text_config()
    width = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return Shape(
        weights=sum(one.numel() for one in model.parameters()),
        linear=sum(one.weight.numel() for one in linear),
        ends=sum(one.in_features + one.out_features for one in linear),
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        queries=width * text.num_attention_heads,
        keys=width * text.num_key_value_heads,
        mlp=text.intermediate_size,
        vocabulary=text.vocab_size,
    )


def plan(model: Shape, config: SftConfig | GrpoConfig, load: Workload) -> Plan:
    """Predict a run of these settings. Raises ModelError: a step that cannot be divided."""
    word = 2 if load.gpu else 4
    at_once = config.items_per_pass(load.processes)
    own = config.items_per_step // load.processes
    base, trained = _weights(model, config, load)
    memory = {
        "base": base,
        "trained": trained,
        "reference": 4 * model.weights if _beta(config) and not config.lora else 0,
        "sampling": 2 * word * model.layers * model.keys * _sampled(config, load, own),
        "learning": _learning(model, config, _tokens(config, load, at_once), word),
        "vllm": 0,
        "device": GIB,
    }
    if isinstance(config, GrpoConfig) and config.vllm:
        share = config.vllm.gpu_memory * load.memory if config.vllm.mode == "colocate" else 0.0
        memory |= {"sampling": 0, ("sampling" if config.vllm.sleep else "vllm"): round(share)}
    found = Plan(memory, {}, own, own // at_once)
    return replace(found, seconds=_seconds(model, config, load, found)) if load.flops else found


def smaller_settings(config: SftConfig | GrpoConfig) -> str:
    """What to set where weights and optimizer alone are too large."""
    if config.lora and config.lora.four_bit:
        return "lower train.lora.r, or take a smaller model"
    if config.lora:
        return "set train.lora.four_bit=true, lower train.lora.r, or take a smaller model"
    return "set train.lora.r=16 to train adapters, train.lora.four_bit=true, or take a smaller model"


def _weights(model: Shape, config: SftConfig | GrpoConfig, load: Workload) -> tuple[int, int]:
    """Bytes of the model, and of what training adds to it."""
    word, copies = (2 if load.gpu else 4), (2 if load.processes > 1 else 1)
    adapters = model.ends * config.lora.r if config.lora else 0
    if config.sharding == "fsdp2":
        stored, trained = (word, adapters) if config.lora else (4, model.weights)
        part = stored * model.weights // load.processes
        return word * model.weights + part, 4 * trained + 12 * trained // load.processes
    if config.lora and config.lora.four_bit:
        base = round(NF4 * model.linear) + word * (model.weights - model.linear)
        return base, (6 + 2 * copies) * adapters
    if config.lora:
        return word * model.weights, (12 + 4 * copies) * adapters
    return 4 * model.weights, (8 + 4 * copies + (2 if load.gpu else 0)) * model.weights


def _beta(config: SftConfig | GrpoConfig) -> bool:
    return isinstance(config, GrpoConfig) and config.beta > 0


def _sampled(config: SftConfig | GrpoConfig, load: Workload, prompts: int) -> int:
    """Tokens of prompts and answers that a sampling batch of one process holds."""
    if isinstance(config, SftConfig):
        return 0
    copies = 1 if config.shared_prefix else config.group_size
    return prompts * (copies * load.prompt + config.group_size * load.answer)


def _tokens(config: SftConfig | GrpoConfig, load: Workload, at_once: int) -> tuple[int, int]:
    """Tokens of a pass, and those of them that are predicted."""
    if isinstance(config, SftConfig):
        return at_once * (load.prompt + load.answer), at_once * load.answer
    copies = 1 if config.shared_prefix else config.group_size
    answers = config.group_size * load.answer
    return at_once * (copies * load.prompt + answers), at_once * answers


def _learning(model: Shape, config: SftConfig | GrpoConfig, pass_: tuple[int, int], word: int) -> int:
    tokens, predicted = pass_
    layer = word * (6 * model.hidden + 2 * model.queries + 2 * model.keys + 4 * model.mlp) + 8 * model.hidden
    layer += 7 * word * config.lora.r if config.lora else 0
    held = layer * model.layers
    if config.gradient_checkpointing:
        held = word * model.hidden * model.layers + layer
    logits = 8 * predicted * min(model.vocabulary, VOCABULARY_TILE)
    return tokens * held + logits + word * tokens * tokens


def _seconds(model: Shape, config: SftConfig | GrpoConfig, load: Workload, found: Plan) -> dict[str, float]:
    """Of one step, by phase; scoring is hidden behind sampling."""
    speed = UTILISATION * load.flops
    tokens, _ = _tokens(config, load, found.own)
    times = 2 * (1 + (1 if config.lora else 2) + config.gradient_checkpointing)
    seconds = {"learning": times * model.weights * tokens / speed}
    if isinstance(config, GrpoConfig):
        prefill = 2 * model.weights * load.prompt * found.own / speed
        step = (found.memory["base"] + found.memory["sampling"]) / load.bandwidth
        products = 2 * model.weights * found.own * config.group_size / speed
        seconds["sampling"] = prefill + load.answer * max(step, products)
    return seconds
