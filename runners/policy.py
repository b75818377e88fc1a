"""The model that is trained: its frozen or whole weights, and the adapters on them."""

from __future__ import annotations

from typing import Any

from transformers import set_seed

from runners import models
from runners.config import LoraSpec, TrainingConfig
from runners.folder import RunFolder
from runners.models import Source


def adapters(lora: LoraSpec | None) -> Any:
    """The peft configuration of a LoRA setting, or None."""
    if lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or "all-linear",
        task_type="CAUSAL_LM",
    )


def base(name: str, config: TrainingConfig, folder: RunFolder) -> tuple[Source, Any]:
    """The source and the loaded weights of the model to train; an adapter in its name is merged first.

    Full training holds float32 weights (autocast to bfloat16 on a GPU); LoRA's frozen base is bfloat16 there,
    or 4-bit. Random numbers begin here: an adapter's first weights depend on the seed alone.
    """
    source = models.resolve(name)
    if source.adapter:
        merged = folder.out / "base"
        if not merged.is_dir():
            models.merge_and_save(source, merged)
        source = Source(str(merged))
    policy = models.load_model(
        source, "auto" if config.lora else "float32", bool(config.lora and config.lora.four_bit)
    )
    set_seed(config.seed)
    return source, policy
