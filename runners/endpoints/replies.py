"""What stands in a chat completion, in the forms in which servers give one."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple

from runners.types import Finish

REASONING = ("reasoning_content", "reasoning", "thinking")
"""Where servers put the thoughts that they cut out of the content."""
MOST_TOKENS = 2**40
"""A count above it is no count."""


class NoAnswer(Exception):
    """A chat completion in which no answer stands."""


class Choice(NamedTuple):
    """One answer of a reply."""

    text: str
    finish: Finish
    logprob: float | None
    reasoned: bool = False
    """Whether the server gave thoughts beside the content."""


class Reply(NamedTuple):
    """What is used of a reply."""

    choices: list[Choice]
    prompt_tokens: int
    tokens: int


def read(reply: Any) -> Reply:
    """A chat completion.

    Raises ValueError, TypeError, LookupError or AttributeError where it is none, NoAnswer where it has no
    choice with a message.
    """
    found = reply["choices"]
    if not isinstance(found, list):
        raise TypeError("choices are no list")
    if not found:
        raise NoAnswer("a reply without choices")
    choices = [
        Choice(
            _said(choice.get("message")),
            "length" if choice.get("finish_reason") == "length" else "stop",
            _logprob(choice.get("logprobs")),
            any(choice["message"].get(name) for name in REASONING),
        )
        for choice in found
    ]
    usage = reply.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return Reply(choices, _count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens")))


def _count(tokens: Any) -> int:
    """A number of tokens; 0 where it is none: an answer is not lost for it."""
    known = isinstance(tokens, int | float) and 0 <= tokens <= MOST_TOKENS
    return int(tokens) if known else 0


def _said(message: Any) -> str:
    """What a message says: its content, else its refusal.

    "" where it says nothing: all tokens went to thinking (``reasoning_content`` is no part of an answer), a
    content filter took it, or the model called a tool. Raises NoAnswer where it is no message.
    """
    if not isinstance(message, dict):
        raise NoAnswer("a reply without a message")
    text = _text(message.get("content")) or _text(message.get("refusal"))
    return text.encode("utf-8", "replace").decode()


def _text(content: Any) -> str:
    """The text of a content or refusal: a string, nothing, or parts of which only text counts."""
    if content is None or content is False:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return _part(content)
    if isinstance(content, list):
        return "".join(_text(one) for one in content)
    raise NoAnswer(f"content is a {type(content).__name__}")


def _part(part: Mapping[str, Any]) -> str:
    kind = part.get("type", "text")
    if kind == "refusal":
        return _text(part.get("refusal"))
    return _text(part.get("text", part.get("value"))) if kind in ("text", "output_text") else ""


def _logprob(logprobs: Any) -> float | None:
    """The sum of the tokens' log-probabilities; None where one is missing: an answer is not lost for it."""
    try:
        total = float(sum(token["logprob"] for token in logprobs["content"]))
    except (TypeError, LookupError, ValueError, OverflowError):
        return None
    return total if isfinite(total) and logprobs["content"] else None
