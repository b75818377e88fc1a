"""Reword questions by a model: a wording counts only if every value of the question is still in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace

from harness.generation.types import Pair
from runners.open import open_runner
from runners.types import Request, Sampling
from tasks.types import Message, Sample

PROMPT = (
    "Reword this question about a database as another person would ask it. Keep its meaning and every name,"
    " number and quoted value exactly. Answer with the question only.\n\n{question}"
)
SAMPLING = Sampling(temperature=0.8, max_new_tokens=96, top_p=0.95)
LONGEST = 3
"""How many times as long as the question a wording may be."""
SHARED = 1 / 3
"""The least share of a question's words that are in a wording, by their first letters."""
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def paraphrased(pairs: Sequence[Pair], model: str, seed: int) -> Iterator[Pair]:
    """The pairs, each with the model's wording where that keeps the values. Raises ModelError."""
    requests = [
        Request(
            Sample(str(index), pair.question, pair.database, (pair.sql,)),
            (Message(role="user", content=PROMPT.format(question=pair.question)),),
        )
        for index, pair in enumerate(pairs)
    ]
    wordings = {}
    with closing(open_runner(model)) as runner:
        for index, completions in runner.generate(requests, replace(SAMPLING, seed=seed)):
            wordings[index] = completions[0].text
    for index, pair in enumerate(pairs):
        text = cleaned(wordings.get(index, ""))
        yield replace(pair, question=text) if keeps_values(pair, text) else pair


def cleaned(text: str) -> str:
    """A model's answer as one question: its only line, without quotes and labels around it."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if len(lines) != 1:
        return ""
    line = re.sub(r"^(reworded |rephrased )?question:\s*", "", lines[0], flags=re.IGNORECASE)
    return line[1:-1] if len(line) > 2 and line[0] == line[-1] and line[0] in "\"'`" else line


def keeps_values(pair: Pair, text: str) -> bool:
    """Whether a wording has all values of the pair's question, the same numbers and some of its words."""
    if not text or len(text) > LONGEST * len(pair.question) or "select " in text.lower():
        return False
    kept = _stems(text)
    asked = _stems(pair.question)
    if len(asked & kept) < SHARED * len(asked):
        return False
    found = sorted(_NUMBER.findall(text))
    return found == sorted(_NUMBER.findall(pair.question)) and all(
        re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text) for value in pair.values
    )


def _stems(text: str) -> set[str]:
    """The first letters of each word of a text that has at least four."""
    return {word[:4] for word in re.findall(r"[^\W\d_]{4,}", text.lower())}
