"""GRPO steps on a GPU, ours and stock TRL's: random models of real shapes in bfloat16, LoRA and QLoRA.

    python benchmarks/gpu.py [--shapes 0.5B 1.5B 8B] [--prompt 800] [--group 8] [--rank 256]

Every case runs in a process of its own; TRL's own sampling and loss is ``shared_prefix: false``. Utilisation
is the FLOPs that a step needs, divided by its seconds and the ``--peak`` of the device. For each weight and
token, sampling needs 2 FLOPs, and learning with adapters 4 (the forward pass, and the gradient through the
frozen weights); every distinct prefix counts once. So the same step in less time has a higher utilisation,
however it is computed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from grpo import ANSWER, PROMPTS, Case, ours
from grpo_models import random_model, random_prompts
from transformers import Qwen2Config, Qwen3Config

SHAPES: dict[str, Any] = {
    "tiny": Qwen3Config(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=32, vocab_size=4096, tie_word_embeddings=True,
    ),
    "0.5B": Qwen2Config(
        hidden_size=896, intermediate_size=4864, num_hidden_layers=24, num_attention_heads=14,
        num_key_value_heads=2, vocab_size=151_936, tie_word_embeddings=True,
    ),
    "1.5B": Qwen2Config(
        hidden_size=1536, intermediate_size=8960, num_hidden_layers=28, num_attention_heads=12,
        num_key_value_heads=2, vocab_size=151_936, tie_word_embeddings=True,
    ),
    "8B": Qwen3Config(
        hidden_size=4096, intermediate_size=12_288, num_hidden_layers=36, num_attention_heads=32,
        num_key_value_heads=8, head_dim=128, vocab_size=151_936, tie_word_embeddings=False,
    ),
}  # fmt: skip
"""The shapes of Qwen2.5-0.5B, Qwen2.5-1.5B and Qwen3-8B; ``tiny`` is for a test of the script on a CPU."""


def main() -> None:
    """Run every case; print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", default=["0.5B", "1.5B", "8B"], choices=SHAPES)
    parser.add_argument("--prompt", type=int, default=800)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--rank", type=int, default=256)
    parser.add_argument("--peak", type=float, default=989e12, help="FLOP/s in bfloat16; default an H100's")
    parser.add_argument("--case", nargs=3, metavar=("SHAPE", "FOUR_BIT", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        shape, four_bit, way = options.case
        print(json.dumps(_case(options, shape, four_bit == "4", way == "ours")))
        return
    print("| shape | weights | way | sampling | learning | step | samples an hour | peak GB | utilisation |")
    print("|---|---|---|---|---|---|---|---|---|")
    for shape in options.shapes:
        for bits in ("16", "4"):
            for way in ("stock", "ours"):
                print(_line(shape, bits, way, _run_process(shape, bits, way)), flush=True)


def _line(shape: str, bits: str, way: str, case: dict[str, float]) -> str:
    seconds = " | ".join(f"{case[name]:.2f}" for name in ("sampling", "learning", "step"))
    return (
        f"| {shape} | {bits} bit | {way} | {seconds} | {case['samples']:.0f} "
        f"| {case['memory']:.1f} | {case['utilisation']:.1%} |"
    )


def _run_process(shape: str, bits: str, way: str) -> dict[str, float]:
    """One case in a process of its own."""
    command = [sys.executable, __file__, *sys.argv[1:], "--case", shape, bits, way]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _case(options: argparse.Namespace, shape: str, four_bit: bool, shared: bool) -> dict[str, float]:
    lora = {"r": options.rank, "alpha": options.rank, "four_bit": four_bit}
    with tempfile.TemporaryDirectory() as folder:
        context = 2 * (options.prompt + ANSWER)
        model = random_model(Path(folder) / "model", context, SHAPES[shape], torch.bfloat16)
        prompts = random_prompts(model, options.prompt, PROMPTS, schema=0.0)
        changes = {"lora": lora, "gradient_checkpointing": True, "shared_prefix": shared}
        case = Case(options.prompt, options.group)
        steps = ours(model, prompts, case, Path(folder) / "out", **changes)
    best = min(steps[1:], key=lambda step: step["step"])
    tokens = PROMPTS * (options.prompt + options.group * ANSWER)
    flops = _weights(SHAPES[shape]) * tokens * (2 + 4)
    return {
        **best,
        "samples": PROMPTS * options.group / best["step"] * 3600,
        "memory": torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else 0.0,
        "utilisation": flops / best["step"] / options.peak,
    }


def _weights(shape: Any) -> int:
    """Weights of the linear layers, which every token passes (the head too)."""
    head = getattr(shape, "head_dim", None) or shape.hidden_size // shape.num_attention_heads
    attention = 2 * shape.hidden_size * head * (shape.num_attention_heads + shape.num_key_value_heads)
    layer = attention + 3 * shape.hidden_size * shape.intermediate_size
    return int(shape.num_hidden_layers * layer + shape.hidden_size * shape.vocab_size)


if __name__ == "__main__":
    main()
