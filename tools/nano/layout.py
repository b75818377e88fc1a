"""Pack a page (one schema, several questions) into one sequence that is exactly equal to separate ones.

``[schema | question 1, SQL 1 | question 2, SQL 2 | ...]``: position ids start again after the schema for
each question, and a question attends to the schema and itself only. So the schema is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from tools.nano.corpus import Page
from tools.nano.tokenizer import ASSISTANT, END, USER

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Packed:
    """One page as tokens. Block 0 is the schema, block i its i-th question with its SQL."""

    ids: list[int]
    positions: list[int]
    blocks: list[int]
    targets: list[int]
    """The next token where that one belongs to an answer, else ``IGNORED``."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Pages padded on the right: (batch, length); the mask (batch, 1, length, length), True: attended."""

    ids: Tensor
    positions: Tensor
    mask: Tensor
    targets: Tensor


def pack(pages: Sequence[Page], tokenizer: PreTrainedTokenizerBase, limit: int) -> list[Packed]:
    """Each page as one sequence of at most ``limit`` tokens; questions that do not fit are left out."""
    texts = [text for page in pages for text in _texts(page)]
    encoded = iter(tokenizer(texts, add_special_tokens=False)["input_ids"])
    return [_pack([next(encoded) for _ in _texts(page)], tokenizer, limit) for page in pages]


def _texts(page: Page) -> list[str]:
    """The schema, then the question and the SQL of each pair, as the chat template writes them."""
    parts = [f"{USER}{page.world.text}\n\n"]
    for pair in page.pairs:
        parts += [f"{pair.question}{END}{ASSISTANT}", f"{pair.sql}{END}"]
    return parts


def _pack(parts: list[list[int]], tokenizer: PreTrainedTokenizerBase, limit: int) -> Packed:
    prefix = parts[0][:limit]
    packed = Packed(prefix[:], list(range(len(prefix))), [0] * len(prefix), [IGNORED] * len(prefix))
    for block, (question, answer) in enumerate(zip(parts[1::2], parts[2::2], strict=True), start=1):
        length = len(question) + len(answer)
        if len(packed.ids) + length > limit:
            continue
        packed.ids.extend(question + answer)
        packed.positions.extend(range(len(prefix), len(prefix) + length))
        packed.blocks.extend([block] * length)
        packed.targets.extend([IGNORED] * (len(question) - 1) + answer + [IGNORED])
    return packed


def collate(rows: Sequence[Packed], pad: int, length: int) -> Batch:
    """Pad to that length. Padding is a block of its own, so no attention row is empty."""

    def tensor(values: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([value + [fill] * (length - len(value)) for value in values])

    blocks = tensor([row.blocks for row in rows], -1)
    seen = (blocks[:, None, :] == blocks[:, :, None]) | (blocks[:, None, :] == 0)
    return Batch(
        ids=tensor([row.ids for row in rows], pad),
        positions=tensor([row.positions for row in rows], 0),
        mask=(seen & torch.ones(length, length, dtype=torch.bool).tril())[:, None],
        targets=tensor([row.targets for row in rows], IGNORED),
    )
