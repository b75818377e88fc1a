"""The text of an answer, from its tokens: the same in evaluation, training, turns and verifiers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from tasks.thoughts import MARKERS, opened

TAIL = 64
"""Tokens at the end of a prompt among which the tag of an open thought is looked for."""


def answer_text(tokenizer: Any, prompt: Sequence[int], tokens: Sequence[int]) -> str:
    """What the model wrote, behind the tag of the thought that its prompt opened.

    Special tokens are left out, but for those that delimit thoughts.
    """
    return thought_tag(tokenizer, prompt) + written(tokenizer, tokens)


def thought_tag(tokenizer: Any, prompt: Sequence[int]) -> str:
    """The tag that opens a thought at the end of the prompt, "" where none does."""
    return opened(tokenizer.decode(prompt[-TAIL:], skip_special_tokens=False))


def written(tokenizer: Any, tokens: Sequence[int]) -> str:
    """The tokens as text, without special tokens, but for those that delimit thoughts."""
    special, delimiters = special_tokens(tokenizer)
    if delimiters.isdisjoint(tokens):
        return str(tokenizer.decode(tokens, skip_special_tokens=True))
    kept = [token for token in tokens if token not in special or token in delimiters]
    return str(tokenizer.decode(kept, skip_special_tokens=False))


@lru_cache(maxsize=8)
def special_tokens(tokenizer: Any) -> tuple[frozenset[int], frozenset[int]]:
    """The ids of all special tokens, and of those among them that delimit thoughts."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    special = {id: str(token) for id, token in added.items() if token.special}
    special |= dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=False))
    ends = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    delimiters = {id for id, text in special.items() if MARKERS.fullmatch(text) and id not in ends}
    return frozenset(special), frozenset(delimiters)
