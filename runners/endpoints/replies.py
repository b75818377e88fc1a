"""Read chat completions in the forms in which servers send them, with thoughts that the chat template opened.

If a server's chat template opens a thought, its replies lack the opening tag. If the token limit cuts such a
reply inside the thought, it has no tag at all, and a query drafted in it would be taken for the answer.
``TemplateThoughts`` determines from a setting, or from other replies, whether a template opens thoughts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from threading import Lock
from typing import Any, NamedTuple

from runners.types import Completion, Finish
from tasks.thoughts import closes_first, has_tag

REASONING = ("reasoning_content", "reasoning", "thinking")
"""Fields in which servers return thoughts that they removed from the content."""
MAX_TOKENS = 2**40
"""A larger token count is taken for an error of the server."""
ENOUGH_REPLIES = 8
"""After this many complete replies without a lone closing tag, the template is taken to open no thought."""
TAG = "<think>"
"""Put before a reply that was cut inside a thought; any opening tag works, as there is no closing tag."""


class NoAnswer(Exception):
    """A chat completion without an answer."""


class Choice(NamedTuple):
    """One answer of a reply."""

    text: str
    finish: Finish
    logprob: float | None
    reasoned: bool = False
    """Whether the server returned thoughts beside the content."""


class Reply(NamedTuple):
    """The parts of a reply that are used."""

    choices: list[Choice]
    prompt_tokens: int
    tokens: int


def read(reply: Any) -> Reply:
    """Read a chat completion, or a completion of text.

    Raises ValueError, TypeError, LookupError or AttributeError: it is no chat completion; NoAnswer: it has no
    choice with a message.
    """
    choices = reply["choices"]
    if not isinstance(choices, list):
        raise TypeError("choices are no list")
    if not choices:
        raise NoAnswer("a reply without choices")
    answers = [
        Choice(
            _message_text(choice.get("message") if "text" not in choice else {"content": choice["text"]}),
            "length" if choice.get("finish_reason") == "length" else "stop",
            _logprob(choice.get("logprobs")),
            any((choice.get("message") or {}).get(name) for name in REASONING),
        )
        for choice in choices
    ]
    usage = reply.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return Reply(answers, _count(counts.get("prompt_tokens")), _count(counts.get("completion_tokens")))


def _count(tokens: Any) -> int:
    """A number of tokens; 0 if it is invalid, so that the answer is not lost."""
    valid = isinstance(tokens, int | float) and 0 <= tokens <= MAX_TOKENS
    return int(tokens) if valid else 0


def _message_text(message: Any) -> str:
    """The content of a message, or its refusal.

    It is "" if all tokens were reasoning (``reasoning_content`` is no part of an answer), a content filter
    removed it, or the model called a tool. Raises NoAnswer: it is no message.
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
        return _part_text(content)
    if isinstance(content, list):
        return "".join(_text(part) for part in content)
    raise NoAnswer(f"content is a {type(content).__name__}")


def _part_text(part: Mapping[str, Any]) -> str:
    part_type = part.get("type", "text")
    if part_type == "refusal":
        return _text(part.get("refusal"))
    return _text(part.get("text", part.get("value"))) if part_type in ("text", "output_text") else ""


def _logprob(logprobs: Any) -> float | None:
    """The sum of the tokens' log-probabilities; None if one is missing, so that the answer is not lost."""
    try:
        values = logprobs.get("token_logprobs") or [token["logprob"] for token in logprobs["content"]]
        total = float(sum(values))
    except (AttributeError, TypeError, LookupError, ValueError, OverflowError):
        return None
    return total if isfinite(total) and values else None


class TemplateThoughts:
    """Whether one server's chat template opens thoughts, as far as its replies show; safe in many threads."""

    def __init__(self, tag: str) -> None:
        """``tag``: the tag with which the template opens thoughts; "" if that is unknown."""
        self.tag = tag
        self.complete_replies = 0
        self._lock = Lock()
        self._separate = self._opens = False

    def observe(self, choice: Choice) -> None:
        """Update from a reply. The content of a server that returns thoughts separately has none."""
        with self._lock:
            self._separate = self._separate or choice.reasoned
            self._opens = self._opens or closes_first(choice.text)
            self.complete_replies += choice.finish == "stop" and choice.text != ""

    @property
    def undecided(self) -> bool:
        """Whether further replies may show that the template opens thoughts."""
        return not (self.tag or self._separate or self._opens or self.complete_replies >= ENOUGH_REPLIES)

    def may_be_thought(self, answer: Completion) -> bool:
        """Whether an answer was cut, and further replies may show that it is a thought."""
        return self.undecided and answer.finish == "length" and _has_no_tag(answer)

    def with_tags(self, answers: Sequence[Completion]) -> list[Completion]:
        """The answers; those that are thoughts get an opening tag."""
        return [replace(answer, text=self._missing_tag(answer) + answer.text) for answer in answers]

    def _missing_tag(self, answer: Completion) -> str:
        if self._separate or not _has_no_tag(answer):
            return ""
        return self.tag or (TAG if self._opens and answer.finish == "length" else "")


def _has_no_tag(answer: Completion) -> bool:
    return answer.finish in ("stop", "length") and answer.text != "" and not has_tag(answer.text)
