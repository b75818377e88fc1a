"""Write a model's folder atomically."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from runners.weights.loading import adapted, load_model, load_tokenizer
from runners.weights.source import Source
from tasks.common import files


def merge_and_save(source: Source, out: Path) -> None:
    """Merge the adapter into its base and write the model in the base's dtype.

    The merge is computed in float32 and rounded once. The adapter's own folder is kept.
    """
    import torch
    from transformers import AutoConfig

    assert source.adapter
    stored = AutoConfig.from_pretrained(source.path, revision=source.revision).dtype or torch.float32
    base = load_model(replace(source, adapter=None), "float32")
    merged = adapted(base, source).merge_and_unload()
    save(merged.to(stored), load_tokenizer(source), out)


def save(model: Any, tokenizer: Any, out: Path) -> None:
    """Write a model's folder (weights, config, tokenizer, chat template), completely or not at all."""
    with files.new_folder(out, replace=True) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
