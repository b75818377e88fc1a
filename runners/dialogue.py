"""The one rule for asking again: evaluation, training and the verifiers environment all go by it.

A conversation goes on where the database says something to an answer and answers are left. What a model is
shown of its earlier answers is what it said, without what it thought: chat templates differ in what they drop
of earlier thoughts, so it is dropped here, before any template.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.thoughts import without_thoughts
from tasks.types import Message

_BEGINS = re.compile(r"\s*(```|\(*\s*(select|with|values|from|table|pivot)\b)", re.IGNORECASE)


def spoken(answer: str) -> str:
    """An answer without its thoughts, as later turns show it."""
    kept = without_thoughts(answer, lambda text: _BEGINS.match(text) is not None)
    return answer if kept == answer else kept.strip()


def shown(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of a conversation as the model is shown it."""
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(content, str):
        return dict(message)
    return {"role": "assistant", "content": spoken(content)}


def asked_again(said: Sequence[Message], answer: str, complaint: str, most: int) -> tuple[Message, ...]:
    """The messages that follow on an answer: what was said of it, and what is asked now; () where it stands.

    ``said`` stands between the prompt and this answer, ``complaint`` is what the database says to it ("":
    nothing), ``most`` the answers that a question may take.
    """
    if not complaint or len(said) // 2 + 1 >= most:
        return ()
    return Message(role="assistant", content=spoken(answer)), Message(role="user", content=complaint)


def answer_before(said: Sequence[Message]) -> str:
    """The answer before the one that follows on ``said``; "" where that is the first."""
    return said[-2]["content"] if said else ""
