"""How many tokens a step of SFT computes, by ``train.same_prefix``: the order of rows decides what is shared.

    python benchmarks/same_prefix.py [--model smollm2] [--task spider_small] [--rows 960]

Prints, for a step of 32 rows in passes of 16, the mean tokens of the texts and the mean slots of their token
trees (``runners/training/layout.py``). Nothing is trained.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from statistics import fmean

from runners.decoding.tokens import Tokens
from runners.training.config import SftConfig
from runners.training.layout import Text, pack
from runners.training.sft import order
from runners.weights.loading import load_tokenizer
from runners.weights.source import resolve
from tasks.task import Task

PASS = 16


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--task", default="spider_small")
    parser.add_argument("--rows", type=int, default=960)
    options = parser.parse_args()
    texts = tokenized(options.model, Task.named(options.task), options.rows)
    print("| same_prefix | tokens of the texts of a step | slots computed | share |\n|---|---|---|---|")
    for together in (0, 2, 4, 8, 16):
        config = SftConfig(same_prefix=together)
        rows = order(texts, len(texts) // config.batch_size, config)
        passes = [[texts[row] for row in rows[start : start + PASS]] for start in range(0, len(rows), PASS)]
        all_tokens, slots = fmean(map(tokens_of, passes)), fmean(map(slots_of, passes))
        factor = config.batch_size // PASS
        print(
            f"| {together} | {all_tokens * factor:,.0f} | {slots * factor:,.0f} | {slots / all_tokens:.0%} |"
        )


def tokenized(model: str, task: Task, rows: int) -> list[Tokens]:
    """The texts that SFT trains on: prompt and gold as a chat."""
    tokenizer = load_tokenizer(resolve(model))
    chats = [
        [*task.messages(sample), {"role": "assistant", "content": sample.gold[0]}]
        for sample in task.samples("train", rows, 0)
    ]
    return [tuple(ids) for ids in tokenizer.apply_chat_template(chats, return_dict=True)["input_ids"]]


def tokens_of(texts: Sequence[Tokens]) -> int:
    """Tokens without sharing."""
    return sum(map(len, texts))


def slots_of(texts: Sequence[Tokens]) -> int:
    """Slots of the trees of one pass."""
    return sum(len(layout.counts) for layout in pack(Text(text, ((1, text[1], 0),)) for text in texts))


if __name__ == "__main__":
    main()
