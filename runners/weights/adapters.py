"""LoRA adapters and the base that each was trained on: noted when it is saved, compared when it is named.

A base is known by a digest of its weights' values, which neither a move, another division into files nor
rounding to bfloat16 changes. Training writes it beside the adapter; adapters from elsewhere name
their base only.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path

from runners.weights.source import HUB_ID, Source, adapter_base, read_json
from tasks.common import files
from tasks.common.errors import ModelError

NOTE = "base.json"
LOOKED_AT = 64
"""Values of each tensor that go into the digest."""


def note(base: Source, adapter: Path) -> None:
    """Write which base an adapter was trained on into its folder."""
    files.write(adapter / NOTE, files.as_json({"name": base.path, "weights": digest(base)}))


def check(source: Source) -> None:
    """Raise ModelError where an adapter was trained on other weights; warn where only its name says so."""
    if not source.adapter:
        return
    trained_on = recorded(source.adapter)
    noted = Path(source.adapter) / NOTE
    if noted.is_file():
        wanted = str(read_json(noted).get("weights", ""))
    else:
        wanted = digest(Source(trained_on)) if Path(trained_on).is_dir() else ""
    given = digest(source) if wanted else ""
    if given and given != wanted:
        raise ModelError(
            f"{source.adapter} was trained on '{trained_on}', and {source.path} has other weights:"
            " name the adapter's own base before the '+'"
        )
    both = HUB_ID.fullmatch(source.path) and HUB_ID.fullmatch(trained_on)
    if not wanted and both and trained_on != source.path:
        warnings.warn(f"{source.adapter} was trained on {trained_on}, not on {source.path}", stacklevel=2)


def recorded(adapter: str) -> str:
    """The name of the base in an adapter's configuration; "" where it has none."""
    return adapter_base(Path(adapter))


def digest(source: Source) -> str:
    """SHA-256 of each tensor's first values as bfloat16, 16 hex digits; "" where no weights are here."""
    import torch
    from safetensors import safe_open

    tensors = {}
    for file in _files(source):
        with safe_open(file, framework="pt") as opened:
            names: list[str] = opened.keys()
            for name in names:
                part = opened.get_slice(name)
                first = part[:1] if part.get_shape() else opened.get_tensor(name)
                tensors[name] = first.flatten()[:LOOKED_AT].to(torch.bfloat16).view(torch.uint8)
    if not tensors:
        return ""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode() + tensors[name].numpy().tobytes())
    return sha.hexdigest()[:16]


def _files(source: Source) -> list[Path]:
    """The weights of a folder, or of a Hub model that has been loaded before."""
    folder = Path(source.path)
    if not folder.is_dir():
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(source.path, "config.json", revision=source.revision)
        if not isinstance(found, str):
            return []
        folder = Path(found).parent
    return sorted(folder.glob("*.safetensors"))
