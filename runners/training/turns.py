"""Several turns in GRPO: an answer that the database speaks against is told so, and answered again.

A conversation is one completion to the trainer: answer, feedback, answer, ... Feedback tokens are masked out
of the loss; the last answer is rewarded. ``runners.dialogue`` decides who is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from runners.decoding.texts import answer_text
from runners.dialogue import converse, previous_answer
from tasks.types import Message

MARK = "THE-ANSWER-BEFORE"
"""Stands for an answer while its template is looked at."""


@dataclass(slots=True)
class Talk:
    """A conversation behind its prompt. ``own[i]`` is 1 where ``tokens[i]`` is the model's."""

    index: int
    asked: Sequence[Message]
    """The prompt's messages."""
    prompt: list[int]
    tokens: list[int]
    own: list[int]
    messages: list[Message]
    logprobs: list[float | None] = field(default_factory=list)
    """Of its own tokens, where who draws them says so."""

    @property
    def text(self) -> str:
        """The last answer."""
        return self.messages[-1]["content"]

    @property
    def history(self) -> Sequence[Message]:
        """The turns between the prompt and the last answer."""
        return self.messages[:-1]

    @property
    def before(self) -> str:
        """The answer before it; "" where it is the first."""
        return previous_answer(self.history)

    def spread(self) -> list[float | None]:
        """The log-probability of each token; 0 for feedback."""
        own = iter(self.logprobs)
        return [next(own) if mine else 0.0 for mine in self.own]


@dataclass(frozen=True, slots=True)
class Turns:
    """What a conversation goes on by."""

    most: int
    room: int
    """Tokens that prompt and conversation may have, with the answer to come."""
    tokenizer: Any
    ends: tuple[int, ...]
    """Tokens that end an answer."""
    feedback: Callable[[Sequence[Talk]], list[str]]
    """What is said to the last answers; "" where one stands."""
    draw: Callable[[int, list[Talk]], list[list[int]]]
    """(turn, conversations so far) -> the tokens of the next answers."""

    def go_on(self, talks: Sequence[Talk]) -> None:
        """Ask again, in place, until each answer stands, the turns end or the room does."""
        for _ in converse(talks, self._draw, self.feedback, self._hear, self.most):
            pass

    def _draw(self, turn: int, talks: Sequence[Talk]) -> Iterator[Sequence[Talk]]:
        """The conversations with their next answers; the first ones have been drawn."""
        drawn = zip(talks, self.draw(turn, list(talks)), strict=True) if turn else ()
        for talk, tokens in drawn:
            text = answer_text(self.tokenizer, talk.prompt + talk.tokens, tokens)
            talk.tokens += tokens
            talk.own += [1] * len(tokens)
            talk.messages.append({"role": "assistant", "content": text})
        yield talks

    def _hear(self, talk: Talk, more: Sequence[Message]) -> Talk | None:
        """Add the feedback to a conversation; None, and nothing added, where there is no room."""
        answer, complaint = more
        tokens = between(self.tokenizer, complaint["content"])
        if tokens is None or answer["content"] != talk.text:
            return self._renew(talk, more)
        if talk.tokens and talk.tokens[-1] in self.ends and tokens[0] in self.ends:
            del tokens[0]  # the model has ended its turn itself
        if len(talk.prompt) + len(talk.tokens) + len(tokens) > self.room:
            return None
        talk.tokens += tokens
        talk.own += [0] * len(tokens)
        talk.messages.append(complaint)
        return talk

    def _renew(self, talk: Talk, more: Sequence[Message]) -> Talk | None:
        """Go on without earlier thoughts: the conversation so far, rendered anew, becomes the prompt.

        Only the answers to come are trained then, behind what they were drawn behind.
        """
        messages = [*talk.messages[:-1], *more]
        rendered = self.tokenizer.apply_chat_template(
            [*talk.asked, *messages], add_generation_prompt=True, return_dict=True
        )
        prompt = list(rendered["input_ids"])
        if len(prompt) > self.room:
            return None
        talk.prompt, talk.tokens, talk.own, talk.logprobs = prompt, [], [], []
        talk.messages = messages
        return talk


def between(tokenizer: Any, complaint: str) -> list[int] | None:
    """The tokens from the end of an answer to the beginning of the next, as the chat template has them.

    None where the template shows an earlier answer behind other words than those it was drawn behind, such
    as an empty thought that it opens and closes: then a longer conversation does not extend a shorter one.
    """
    asked = [{"role": "user", "content": "?"}]
    said = [{"role": "assistant", "content": MARK}, {"role": "user", "content": complaint}]
    prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    text = tokenizer.apply_chat_template([*asked, *said], add_generation_prompt=True, tokenize=False)
    before, _, after = text.partition(MARK)
    if before.split() != prompt.split():
        return None
    ids: list[int] = tokenizer(after, add_special_tokens=False)["input_ids"]
    return ids
