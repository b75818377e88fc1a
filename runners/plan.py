"""What a training run will need, by formula: bytes of memory at its peak, seconds of a step. All *predicted*.

Memory, per process. ``N`` weights, of which ``Q`` in linear layers other than the head, ``A`` in adapters:

    base        full training 4 N; LoRA w N, w = 2 on a GPU (bfloat16) and 4 on a CPU; 4 bits: 0.516 Q
                (NF4 in blocks of 64 with 8-bit scales, and a float32 for 256 of those) and w (N - Q)
    trained     full 12 N (gradients and Adam's two moments in float32) and on a GPU 2 N (autocast's copies);
                LoRA 16 A (float32 weights, gradients, moments); on 4 bits 8 A (all bfloat16, as TRL has it)
    reference   with beta and full training: 4 N
    sampling    keys and values: 2 w layers kv a token, of all prompts and answers of a step in one batch
    learning    what backward needs of the T tokens of a pass: w (6 h + 2 q + 2 kv + 4 f) + 8 h a token and
                layer (h hidden, q and kv the widths of queries and keys, f the MLP's), and 7 w r with LoRA;
                with gradient checkpointing w h a token and layer, and one layer in full; 8 bytes a predicted
                token and entry of the widest piece of vocabulary; the mask, w T T
    peak        base + trained + reference + the larger of sampling and learning + 1 GiB for the device

Seconds: 2 N operations a token forward, twice that backward (once with a frozen base), once more where
activations are recomputed, at 40 % of the device's peak; a decoding step reads the base and the cache once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from runners.config import GrpoConfig, SftConfig
from runners.packed import VOCABULARY_TILE

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
class Load:
    """How long texts are, in tokens, and on what they are computed."""

    prompt: int
    answer: int
    gpu: bool = True
    flops: float = 0.0
    """Peak of the device in bfloat16 (float32 on a CPU), operations a second; 0: time is not predicted."""
    bandwidth: float = 0.0
    """Of its memory, bytes a second."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Predicted bytes by what they hold, and seconds of a step by phase."""

    memory: dict[str, int]
    seconds: dict[str, float]

    @property
    def peak(self) -> int:
        """Bytes at the most."""
        static = sum(self.memory[name] for name in ("base", "trained", "reference", "device"))
        return static + max(self.memory["sampling"], self.memory["learning"])

    @property
    def static(self) -> int:
        """Bytes that no smaller batch saves."""
        return self.memory["base"] + self.memory["trained"] + self.memory["reference"]


def shape(config: Any) -> Shape:
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


def plan(model: Shape, config: SftConfig | GrpoConfig, load: Load) -> Plan:
    """Predict a run of these settings."""
    word = 2 if load.gpu else 4
    lora = config.lora
    adapters = model.ends * lora.r if lora else 0
    if lora and lora.four_bit:
        base, trained = round(NF4 * model.linear) + word * (model.weights - model.linear), 8 * adapters
    elif lora:
        base, trained = word * model.weights, 16 * adapters
    else:
        base, trained = 4 * model.weights, (14 if load.gpu else 12) * model.weights
    memory = {
        "base": base,
        "trained": trained,
        "reference": 4 * model.weights if _beta(config) and not lora else 0,
        "sampling": 2 * word * model.layers * model.keys * _sampled(config, load),
        "learning": _learning(model, config, load, word),
        "device": GIB,
    }
    return Plan(memory, _seconds(model, config, load, memory) if load.flops else {})


def _beta(config: SftConfig | GrpoConfig) -> bool:
    return isinstance(config, GrpoConfig) and config.beta > 0


def _sampled(config: SftConfig | GrpoConfig, load: Load) -> int:
    """Tokens of prompts and answers that a sampling batch holds."""
    if isinstance(config, SftConfig):
        return 0
    copies = 1 if config.shared_prefix else config.group_size
    return config.prompts_per_step * (copies * load.prompt + config.group_size * load.answer)


def _tokens(config: SftConfig | GrpoConfig, load: Load) -> tuple[int, int]:
    """Tokens of a pass, and those of them that are predicted."""
    if isinstance(config, SftConfig):
        return config.micro_batch * (load.prompt + load.answer), config.micro_batch * load.answer
    copies = 1 if config.shared_prefix else config.group_size
    answers = config.group_size * load.answer
    return config.micro_groups * (copies * load.prompt + answers), config.micro_groups * answers


def _learning(model: Shape, config: SftConfig | GrpoConfig, load: Load, word: int) -> int:
    tokens, predicted = _tokens(config, load)
    layer = word * (6 * model.hidden + 2 * model.queries + 2 * model.keys + 4 * model.mlp) + 8 * model.hidden
    layer += 7 * word * config.lora.r if config.lora else 0
    held = layer * model.layers
    if config.gradient_checkpointing:
        held = word * model.hidden * model.layers + layer
    logits = 8 * predicted * min(model.vocabulary, VOCABULARY_TILE)
    return tokens * held + logits + word * tokens * tokens


def _seconds(
    model: Shape, config: SftConfig | GrpoConfig, load: Load, memory: dict[str, int]
) -> dict[str, float]:
    """Of one step, by phase; scoring is hidden behind sampling."""
    speed = UTILISATION * load.flops
    tokens, _ = _tokens(config, load)
    times = 2 * (1 + (1 if config.lora else 2) + config.gradient_checkpointing)
    passes = config.passes if isinstance(config, GrpoConfig) else config.batch_size // config.micro_batch
    found = {"learning": times * model.weights * tokens * passes / speed}
    if isinstance(config, GrpoConfig):
        prefill = 2 * model.weights * load.prompt * config.prompts_per_step / speed
        step = (memory["base"] + memory["sampling"]) / load.bandwidth
        products = 2 * model.weights * config.prompts_per_step * config.group_size / speed
        found["sampling"] = prefill + load.answer * max(step, products)
    return found
