"""A wheel with a tiny GGUF file, and a process that fetches it from a folder."""

import hashlib
import json
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tiny_models
import torch
from gguf import GGUFWriter
from safetensors.torch import save_file

from runners.known.fetch import fetched
from runners.known.models import KnownModel, Wheel

NAME, VERSION = "tiny-known-model", "1.0"
HEADS, KV_HEADS = 4, 2
PARTS = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """A query's or key's weight in the order of llama.cpp's rotary embedding."""
    rows, columns = weight.shape
    return weight.view(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns)


def gguf_names(weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """GGUF's names and layout for a Llama's weights."""
    named = {"token_embd": weights["model.embed_tokens.weight"], "output_norm": weights["model.norm.weight"]}
    for layer in range(2):
        for ours, theirs in PARTS.items():
            weight = weights[f"model.layers.{layer}.{ours}.weight"]
            heads = {"attn_q": HEADS, "attn_k": KV_HEADS}.get(theirs, 0)
            named[f"blk.{layer}.{theirs}"] = interleaved(weight, heads) if heads else weight
    return named


def write_gguf(path: Path, model: Any, tokenizer: dict[str, Any]) -> None:
    config = model.config
    writer = GGUFWriter(path, "llama")
    writer.add_name("An odd name")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(config.hidden_size // HEADS)
    writer.add_vocab_size(config.vocab_size)
    writer.add_tokenizer_model("gpt2")
    vocabulary = tokenizer["model"]["vocab"]
    writer.add_token_list(sorted(vocabulary, key=vocabulary.__getitem__))
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    for name, weight in gguf_names(model.state_dict()).items():
        writer.add_tensor(f"{name}.weight", weight.detach().numpy().astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def build(folder: Path) -> None:
    """Write the wheel, the files that are ours, and ``known.json`` with the hashes into a folder."""
    files = folder / "files"
    model: Any = tiny_models.model("llama")
    model.save_pretrained(files)
    tokenizer = tiny_models.tokenizer()
    tokenizer.save_pretrained(files)
    frame = json.loads((files / "tokenizer.json").read_text())
    gguf = folder / "model.gguf"
    write_gguf(gguf, model, frame)
    frame["model"] |= {"vocab": {}, "merges": []}
    (files / "tokenizer.json").write_text(json.dumps(frame))
    weights = {name: tensor for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    (files / "model.safetensors").rename(folder / "model.safetensors")
    save_file(weights, folder / "expected.safetensors", metadata={"format": "pt"})
    with zipfile.ZipFile(folder / f"{NAME.replace('-', '_')}-{VERSION}-py3-none-any.whl", "w") as wheel:
        info = f"{NAME.replace('-', '_')}-{VERSION}.dist-info"
        wheel.write(gguf, "tiny/model.gguf")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {VERSION}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    hashes = [digest(gguf), digest(folder / "expected.safetensors")]
    (folder / "known.json").write_text(json.dumps(hashes))


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def known(folder: Path, **changed: Any) -> KnownModel:
    """The model of a folder that ``build`` has filled."""
    sha, converted = json.loads((folder / "known.json").read_text())
    wheel = Wheel(f"{NAME}=={VERSION}", 100_000, "tiny/model.gguf", sha, converted, folder / "files")
    return KnownModel("tiny", "a tiny model", "none", 100_000, wheel=replace(wheel, **changed))


if __name__ == "__main__":
    print(fetched(known(Path(sys.argv[1]))))
