"""How good a built model is on databases it has never seen: ``python -m tools.nano.evaluate``."""

from __future__ import annotations

import argparse
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from runners.nano import FOLDER
from tools.nano.corpus import pages
from tools.nano.questions import Pair
from tools.nano.schemas import World

SEED = 90_000
BATCH = 32


@dataclass(frozen=True, slots=True)
class Answered:
    """One held-out question, and what the model wrote (greedy)."""

    world: World
    pair: Pair
    text: str

    @property
    def exact(self) -> bool:
        return self.text == self.pair.sql

    @property
    def runs(self) -> bool:
        """Does it run on the empty database?"""
        return runs(self.world, self.text)


def runs(world: World, sql: str) -> bool:
    """Does this SQL run on the empty database of this schema?"""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(world.ddl)
        try:
            connection.execute(sql)
        except (sqlite3.Error, sqlite3.Warning):
            return False
    return True


def held_out(count: int) -> list[tuple[World, Pair]]:
    """Questions on databases that training never sees, one from each."""
    return [(page.world, page.pairs[0]) for page in islice(pages(SEED, 1), count)]


def answer(folder: Path, asked: Sequence[tuple[World, Pair]]) -> Iterator[Answered]:
    """The model's greedy answers, shortest prompts first."""
    tokens: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.eval()
    ordered = sorted(asked, key=lambda item: len(item[0].text))
    for start in range(0, len(ordered), BATCH):
        part = ordered[start : start + BATCH]
        chats = [[{"role": "user", "content": f"{world.text}\n\n{pair.question}"}] for world, pair in part]
        inputs = tokens.apply_chat_template(chats, padding=True, return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            made = model.generate(**inputs, do_sample=False, max_new_tokens=128)
        texts = tokens.batch_decode(made[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for (world, pair), text in zip(part, texts, strict=True):
            yield Answered(world, pair, text)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.nano.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, default=FOLDER)
    parser.add_argument("--questions", type=int, default=500)
    parser.add_argument("--show", type=int, default=0, help="print this many wrong answers")
    options = parser.parse_args()
    answers = list(answer(options.model, held_out(options.questions)))
    for wrong in [item for item in answers if not item.exact][: options.show]:
        print(f"{wrong.pair.question}\n  want {wrong.pair.sql}\n  made {wrong.text}")
    for level in ("easy", "medium", "hard", "extra", ""):
        part = [item for item in answers if level in ("", item.pair.shape.level)]
        exact = sum(item.exact for item in part) / max(len(part), 1)
        running = sum(item.runs for item in part) / max(len(part), 1)
        print(f"{level or 'all':7} {len(part):5} questions  exact {exact:6.1%}  runs {running:6.1%}")


if __name__ == "__main__":
    main()
