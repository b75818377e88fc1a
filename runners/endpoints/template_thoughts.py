"""Thoughts that a server's chat template opens: its replies lack the opening tag.

A reply that the limit of tokens cut inside such a thought has no tag at all, and a draft in it would be read
as the answer. Whether a template opens thoughts is known from a setting, else seen from other replies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from threading import Lock

from runners.endpoints.replies import Choice
from runners.types import Completion
from tasks.thoughts import ends_alone, has_tag

ENOUGH = 8
"""Replies that ended, none with a closing tag alone, after which a template is taken to open no thought."""
TAG = "<think>"
"""Stands in front of a cut answer: it has no closing tag, so any opening tag does."""


class Unseen:
    """What the replies of one server have shown so far; safe to use from many threads."""

    def __init__(self, tag: str) -> None:
        """``tag``: what the template is known to open thoughts with, "" where that is not known."""
        self.tag = tag
        self.ended = 0
        """Replies that came to their end."""
        self._lock = Lock()
        self._apart = self._opens = False

    def note(self, choice: Choice) -> None:
        """Learn from a reply. A server that gives thoughts apart has none in its content."""
        with self._lock:
            self._apart = self._apart or choice.reasoned
            self._opens = self._opens or ends_alone(choice.text)
            self.ended += choice.finish == "stop" and choice.text != ""

    @property
    def undecided(self) -> bool:
        """Whether further replies may show that the template opens thoughts."""
        return not (self.tag or self._apart or self._opens or self.ended >= ENOUGH)

    def may_be_thought(self, answer: Completion) -> bool:
        """Whether an answer was cut, and further replies may show that it is a thought."""
        return self.undecided and answer.finish == "length" and _untagged(answer)

    def shown(self, answers: Sequence[Completion]) -> list[Completion]:
        """The answers, those behind an opening tag that are thoughts as far as is known by now."""
        return [replace(one, text=self._before(one) + one.text) for one in answers]

    def _before(self, answer: Completion) -> str:
        if self._apart or not _untagged(answer):
            return ""
        return self.tag or (TAG if self._opens and answer.finish == "length" else "")


def _untagged(answer: Completion) -> bool:
    return answer.finish in ("stop", "length") and answer.text != "" and not has_tag(answer.text)
