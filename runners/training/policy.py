"""Load the model to train and its adapters, and check that they fit the memory."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from transformers import set_seed

from runners.training import distributed
from runners.training.config import GrpoConfig, SftConfig
from runners.training.folder import RunFolder
from runners.training.lora import freeze_unused
from runners.training.plan import Workload, model_shape, plan, smaller_settings
from runners.weights import adapters, loading, saving
from runners.weights.source import Source, resolve
from tasks.common.errors import ModelError


def load_policy(name: str, config: SftConfig | GrpoConfig, folder: RunFolder) -> tuple[Source, Any]:
    """Load the model to train; an adapter in its name is merged first. Returns its source and weights.

    Full training holds float32 weights (autocast to bfloat16 on a GPU). With LoRA the frozen base is bfloat16
    on a GPU, or 4-bit. Sets the random seed, so that the initial weights of an adapter depend only on it.
    """
    source = resolve(name).with_template(config)
    if source.adapter:
        merged = folder.out / "base"
        if distributed.is_main() and not merged.is_dir():
            saving.merge_and_save(source, merged)
        distributed.barrier()
        source = Source(str(merged))
    policy = loading.load_model(
        source,
        "auto" if config.lora else "float32",
        bool(config.lora and config.lora.four_bit),
        attention(config, loading.device(), find_spec("flash_attn") is not None),
    )
    freeze_unused(policy)
    set_seed(config.seed)
    return source, policy


def attention(config: SftConfig | GrpoConfig, device: str, flash: bool) -> str | None:
    """FlashAttention 2 if it is installed and prefixes are not shared, whose mask it does not take."""
    unshared = not config.shared_prefix or (isinstance(config, SftConfig) and config.packing)
    return "flash_attention_2" if unshared and flash and device == "cuda" else None


def check(source: Source, config: SftConfig | GrpoConfig) -> None:
    """Raise ModelError: the adapter has another base, or weights and optimizer exceed the memory."""
    adapters.check_base(source)
    gpu = loading.device() == "cuda"
    workload = Workload(0, 0, gpu, processes=distributed.world_size())
    needed = plan(model_shape(loading.config_of(source)), config, workload).static
    available = loading.memory() / (1 if gpu else distributed.local_world_size())
    if needed > available:
        raise ModelError(
            f"{source.path}: weights and optimizer need {needed / 1e9:.1f} GB and there are"
            f" {available / 1e9:.1f} GB: {smaller_settings(config)}"
        )
