"""Write a model's folder atomically."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from runners.weights.loading import adapted, load_model, load_tokenizer
from runners.weights.source import Source
from tasks.common import files


def merge_and_save(source: Source, out: Path) -> None:
    """Merge the adapter into its base and write the model in the base's dtype; the adapter's folder is kept.

    This happens in the machine's memory, where a GPU would be too small for a base that it trained in 4 bits.
    Layer by layer, the merge is computed in float32 and rounded once.
    """
    assert source.adapter
    base = load_model(replace(source, adapter=None), "stored", place="cpu")
    stored = base.dtype
    save(_merged(adapted(base, source)).to(stored), load_tokenizer(source), out)


def _merged(model: Any) -> Any:
    from peft.tuners.tuners_utils import BaseTunerLayer

    done = set[Any]()
    for layer in model.modules():
        nested = [part for part in layer.modules() if isinstance(part, BaseTunerLayer)]
        if layer in nested and layer not in done:
            done.update(nested)  # several where each weight of experts has an adapter
            stored = next(layer.get_base_layer().parameters()).dtype
            layer.float()
            for part in nested:
                part.merge()
            layer.get_base_layer().to(stored)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All adapters are already merged")
        return model.merge_and_unload()  # what else an adapter may hold, such as whole layers


def save(model: Any, tokenizer: Any, out: Path) -> None:
    """Write a model's folder (weights, config, tokenizer, chat template), completely or not at all."""
    with files.new_folder(out, replace=True) as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
