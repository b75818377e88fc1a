"""Compare ``smollm2`` with llama.cpp on the GGUF file that it was converted from: tokens, log-probabilities.

Needs an environment with llama-cpp-python (docs/how-to/endpoints.md):
``python benchmarks/smollm2.py --llama llama/bin/python --gguf SmolLM2-135M-Instruct.Q4_1.gguf``
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
from collections.abc import Sequence

import numpy as np
import torch

from runners.weights.loading import load
from tasks.task import Task

PIECES = (
    *(
        " ",
        "  ",
        "\n",
        "\t",
        "\r\n",
        "1",
        "23",
        "a",
        "SELECT",
        "'",
        "é",
        "日本",
        "🙂",
        "½",
        "²",
        "٣",
        "don't",
    ),
    *("x1y2", ".", ",", "(", "_", "the", "<|im_start|>", "<|im_end|>"),
)
"""What random texts are made of: digits, white space, and characters that tokenizers divide differently."""
LLAMA = """
import json, sys
import numpy as np
from llama_cpp import Llama
asked = json.load(sys.stdin)
model = Llama(asked["gguf"], n_ctx=2048, n_threads=1, logits_all=True, verbose=False)
ids = [model.tokenize(text.encode(), add_bos=False, special=True) for text in asked["texts"]]
rows = []
for prompt in ids[-asked["scored"]:]:
    model.reset()
    model.eval(prompt)
    scores = np.array(model.scores[: len(prompt) - 1], dtype=np.float64)
    scores -= np.log(np.exp(scores - scores.max(-1, keepdims=True)).sum(-1, keepdims=True)) + scores.max(
        -1, keepdims=True
    )
    rows.append([scores[range(len(prompt) - 1), prompt[1:]].tolist(), scores.argmax(-1).tolist()])
json.dump({"ids": ids, "rows": rows}, sys.stdout)
"""


def texts(random_texts: int, prompts: int, tokenizer: object) -> list[str]:
    """Random texts, then rendered questions of ``pocket``."""
    generator = random.Random(0)
    made = ["".join(generator.choices(PIECES, k=generator.randint(1, 30))) for _ in range(random_texts)]
    task = Task.named("pocket", ())
    render = tokenizer.apply_chat_template  # type: ignore[attr-defined]
    for sample in task.samples("test", prompts):
        made.append(render(list(task.messages(sample)), tokenize=False, add_generation_prompt=True))
    return made


def scored(model: torch.nn.Module, ids: Sequence[int]) -> tuple[list[float], list[int]]:
    """The log-probability of each token after the first, and the likeliest token at its place."""
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0, :-1].double()
    logprobs = logits.log_softmax(-1)
    return logprobs[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].tolist(), logits.argmax(-1).tolist()


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--llama", required=True, help="the Python of an environment with llama-cpp-python")
    parser.add_argument("--gguf", required=True, help="the GGUF file")
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--prompts", type=int, default=5)
    arguments = parser.parse_args()
    model, tokenizer = load("smollm2")
    chosen = texts(arguments.texts, arguments.prompts, tokenizer)
    asked = {"gguf": arguments.gguf, "texts": chosen, "scored": arguments.prompts}
    reply = subprocess.run(
        [arguments.llama, "-c", LLAMA], input=json.dumps(asked), capture_output=True, text=True, check=True
    )
    theirs = json.loads(reply.stdout)
    ours = [tokenizer.encode(text, add_special_tokens=False) for text in chosen]
    equal = sum(own == other for own, other in zip(ours, theirs["ids"], strict=True))
    decoded = sum(tokenizer.decode(ids) == text for ids, text in zip(ours, chosen, strict=True))
    gaps, likeliest = [], []
    for ids, (values, best) in zip(ours[-arguments.prompts :], theirs["rows"], strict=True):
        own_values, own_best = scored(model, ids)
        gaps += [abs(own - other) for own, other in zip(own_values, values, strict=True)]
        likeliest += [own == other for own, other in zip(own_best, best, strict=True)]
    print(f"texts with equal tokens: {equal} of {len(chosen)}; decoded to the same text: {decoded}")
    print(
        f"log-probabilities of {len(gaps)} tokens: mean difference {np.mean(gaps):.3f}, most {max(gaps):.3f}"
    )
    print(f"same likeliest token: {100 * np.mean(likeliest):.1f} %")


if __name__ == "__main__":
    main()
