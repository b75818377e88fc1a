"""The memory that prompts take in an evaluation, by their length, beside that of ``model.generate``.

    OMP_NUM_THREADS=1 python benchmarks/eval_memory.py

Eight questions on one schema, a random Llama of two layers with a context of 16k tokens. Every case runs in a
process of its own; the figure is the peak of the process above what it held with the model loaded. ``cache``
is the size of the keys and values of one row. The last column is one prompt with a mask of its own for each
token, as a batch of padded prompts has it.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

LENGTHS = (1000, 2000, 4000, 8000)
QUESTIONS, TOKENS, NEW = 8, 30, 4
SHAPE: dict[str, Any] = {
    "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "vocab_size": 1000, "max_position_embeddings": 16_384,
}  # fmt: skip


def main() -> None:
    """Print the table, or with ``--case`` the figure of one case."""
    parser = argparse.ArgumentParser(description="memory of long prompts")
    parser.add_argument("--case", nargs=2, metavar=("WAY", "TOKENS"))
    options = parser.parse_args()
    if options.case:
        print(peak(options.case[0], int(options.case[1])))
        return
    print("schema tokens   cache   shared   generate, one prompt   masked, one prompt")
    for length in LENGTHS:
        cells = [_measured(way, length) for way in WAYS]
        cache = 2 * 2 * 128 * 4 * length
        print(
            f"{length:>13} {cache / 1e6:>4.0f} MB " + " ".join(f"{cell / 1e6:>6.0f} MB" for cell in cells),
            flush=True,
        )


def _measured(way: str, length: int) -> int:
    command = [sys.executable, __file__, "--case", way, str(length)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak(way: str, length: int) -> int:
    """Bytes of this process's peak above what it holds with the model."""
    torch.manual_seed(0)
    model: Any = LlamaForCausalLM(LlamaConfig(**SHAPE))
    model.eval()
    WAYS[way](model, 10)  # so that libraries are loaded
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    WAYS[way](model, length)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) * 1024


def _shared(model: Any, length: int) -> None:
    from runners.decoding.generation import generate
    from runners.decoding.types import DecodingSettings

    schema = tuple(torch.randint(3, 1000, (length,)).tolist())
    prompts = [schema + tuple(torch.randint(3, 1000, (TOKENS,)).tolist()) for _ in range(QUESTIONS)]
    list(generate(model, prompts, [0] * QUESTIONS, 1, DecodingSettings(0.0, 1.0, NEW, (1,))))


@torch.inference_mode()
def _alone(model: Any, length: int, masked: bool) -> None:
    ids = torch.randint(3, 1000, (1, length + TOKENS))
    mask = torch.ones_like(ids)
    if masked:
        mask[0, 0] = 0
    model.generate(ids, attention_mask=mask, max_new_tokens=NEW, do_sample=False, pad_token_id=0)


WAYS: dict[str, Callable[[Any, int], None]] = {
    "shared": _shared,
    "alone": partial(_alone, masked=False),
    "masked": partial(_alone, masked=True),
}

if __name__ == "__main__":
    main()
