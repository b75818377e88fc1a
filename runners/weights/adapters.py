"""The base that a LoRA adapter was trained on: recorded when it is saved, compared when it is loaded.

A base is identified by a digest of its weights' values. Moving the files, dividing them differently or
rounding to bfloat16 does not change it. Training writes it beside the adapter; other adapters only name their
base.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

from runners.weights.source import HUB_ID, Source, adapter_base, read_json
from tasks.common import files
from tasks.common.errors import ModelError

RECORD = "base.json"
VALUES_IN_DIGEST = 64
"""Number of first values of each tensor in the digest."""


def record_base(base: Source, adapter: Path) -> None:
    """Write the base that an adapter was trained on into its folder."""
    files.write(adapter / RECORD, files.as_json({"name": base.path, "weights": digest(base)}))


def check_base(source: Source) -> None:
    """Raise ModelError if an adapter was trained on other weights; warn if only the base's name differs."""
    if not source.adapter:
        return
    trained_on = base_name(source.adapter)
    record = Path(source.adapter) / RECORD
    if record.is_file():
        expected = str(read_json(record).get("weights", ""))
    else:
        expected = digest(Source(trained_on)) if Path(trained_on).is_dir() else ""
    actual = digest(source) if expected else ""
    if actual and actual != expected:
        raise ModelError(
            f"{source.adapter} was trained on '{trained_on}', and {source.path} has other weights:"
            " name the adapter's own base before the '+'"
        )
    both = HUB_ID.fullmatch(source.path) and HUB_ID.fullmatch(trained_on)
    if not expected and both and trained_on != source.path:
        warnings.warn(f"{source.adapter} was trained on {trained_on}, not on {source.path}", stacklevel=2)


def base_name(adapter: str) -> str:
    """The name of the base in an adapter's configuration; "" if it has none."""
    return adapter_base(Path(adapter))


def digest(source: Source) -> str:
    """SHA-256 of each tensor's first values as bfloat16, 16 hex digits; "" if there are no weights."""
    import torch
    from safetensors import safe_open

    tensors = {}
    for file in _files(source):
        with safe_open(file, framework="pt") as opened:
            names: list[str] = opened.keys()
            for name in names:
                part = opened.get_slice(name)
                first = part[:1] if part.get_shape() else opened.get_tensor(name)
                tensors[name] = first.flatten()[:VALUES_IN_DIGEST].to(torch.bfloat16).view(torch.uint8)
    if not tensors:
        return ""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode() + tensors[name].numpy().tobytes())
    return sha.hexdigest()[:16]


def _files(source: Source) -> list[Path]:
    """The weight files of a folder, or of a Hub model in the cache."""
    folder = Path(source.path)
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache

        cached = try_to_load_from_cache(source.path, "config.json", revision=source.revision)
        if not isinstance(cached, str):
            return []
        folder = Path(cached).parent
    return sorted(folder.glob("*.safetensors"))
