"""How often a built model is right on databases that it has never seen."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tools.nano.corpus import pages
from tools.nano.questions import Pair
from tools.nano.schemas import World

SEED = 90_000
BATCH = 32


@dataclass(frozen=True, slots=True)
class Answered:
    """One held-out question and the model's greedy answer to it."""

    world: World
    pair: Pair
    text: str

    @property
    def exact(self) -> bool:
        return self.text == self.pair.sql

    @property
    def runs(self) -> bool:
        """Whether it runs on the empty database."""
        return runs(self.world, self.text)


def runs(world: World, sql: str) -> bool:
    """Whether a query runs on the empty database of a schema."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(world.ddl)
        try:
            connection.execute(sql)
        except (sqlite3.Error, sqlite3.Warning):
            return False
    return True


def held_out(count: int) -> list[tuple[World, Pair]]:
    """Questions on databases that training never sees, one question from each."""
    return [(page.world, page.pairs[0]) for page in islice(pages(SEED, 1), count)]


def answer(folder: Path, asked: Sequence[tuple[World, Pair]]) -> Iterator[Answered]:
    """The model's greedy answers, those to the shortest prompts first."""
    tokens: Any = AutoTokenizer.from_pretrained(folder)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.eval()
    ordered = sorted(asked, key=lambda item: len(item[0].text))
    for start in range(0, len(ordered), BATCH):
        part = ordered[start : start + BATCH]
        chats = [[{"role": "user", "content": f"{world.text}\n\n{pair.question}"}] for world, pair in part]
        inputs = tokens.apply_chat_template(chats, padding=True, return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            generated = model.generate(**inputs, do_sample=False, max_new_tokens=128)
        texts = tokens.batch_decode(generated[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for (world, pair), text in zip(part, texts, strict=True):
            yield Answered(world, pair, text)


def print_accuracy(folder: Path, questions: int, show: int = 0) -> None:
    """Print the shares of exact and of executable answers by difficulty, after ``show`` wrong answers."""
    answers = list(answer(folder, held_out(questions)))
    for wrong in [item for item in answers if not item.exact][:show]:
        print(f"{wrong.pair.question}\n  expected {wrong.pair.sql}\n  got      {wrong.text}")
    for level in ("easy", "medium", "hard", "extra", ""):
        part = [item for item in answers if level in ("", item.pair.shape.level)]
        exact = sum(item.exact for item in part) / max(len(part), 1)
        running = sum(item.runs for item in part) / max(len(part), 1)
        print(f"{level or 'all':7} {len(part):5} questions  exact {exact:6.1%}  runs {running:6.1%}")
