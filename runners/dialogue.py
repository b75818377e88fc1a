"""Multi-turn dialogue: when a question is asked again, in evaluation, training and verifiers alike.

A question is asked again if the database has feedback on its answer and fewer than ``max_turns`` answers have
been drawn. The model sees its earlier answers without their thoughts. Chat templates differ in which earlier
thoughts they drop, so all of them are removed here, before a template is applied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from tasks.thoughts import without_thoughts
from tasks.types import Message

PLACEHOLDER = "THE-ANSWER-BEFORE"
"""The text of an answer while the chat template around it is examined."""
_SQL_BEGINS = re.compile(r"\s*(```|\(*\s*(select|with|values|from|table|pivot)\b)", re.IGNORECASE)


class ConversationLike(Protocol):
    """A question with its turns so far and its newest answer."""

    @property
    def history(self) -> Sequence[Message]:
        """The turns between the prompt and the newest answer: answer, feedback, answer, feedback, ..."""
        ...

    @property
    def text(self) -> str:
        """The newest answer."""
        ...


C = TypeVar("C", bound=ConversationLike)


def converse(
    conversations: Sequence[C],
    draw: Callable[[int, Sequence[C]], Iterable[Sequence[C]]],
    feedback: Callable[[Sequence[C]], list[str]],
    extend: Callable[[C, tuple[Message, Message]], C | None],
    max_turns: int,
) -> Iterator[C]:
    """Ask until each conversation has its final answer; yield the conversations as they end.

    ``draw(turn, conversations)`` yields batches of them with their new answers. ``feedback(batch)`` returns
    the database's feedback on each answer, "" if the answer is final. ``extend(conversation, messages)``
    returns the conversation with the messages that ask again, None if they do not fit the context.
    """
    unfinished = list(conversations)
    for turn in range(max_turns):
        continued: list[C] = []
        for batch in draw(turn, unfinished) if unfinished else ():
            comments = feedback(batch) if turn + 1 < max_turns else [""] * len(batch)
            for conversation, comment in zip(batch, comments, strict=True):
                messages = follow_up(conversation.history, conversation.text, comment, max_turns)
                longer = extend(conversation, messages) if messages else None
                if longer is None:
                    yield conversation
                else:
                    continued.append(longer)
        unfinished = continued


def follow_up(
    history: Sequence[Message], answer: str, feedback: str, max_turns: int
) -> tuple[Message, Message] | tuple[()]:
    """The messages that ask again: the answer and the feedback on it; () if the answer is final.

    ``history`` holds the turns between the prompt and this answer.
    """
    if not feedback or len(history) // 2 + 1 >= max_turns:
        return ()
    return Message(role="assistant", content=visible(answer)), Message(role="user", content=feedback)


def previous_answer(history: Sequence[Message]) -> str:
    """The last answer in ``history``; "" if it has none."""
    return history[-2]["content"] if history else ""


def visible(answer: str) -> str:
    """An answer as later turns show it: without its thoughts."""
    kept = without_thoughts(answer, lambda text: _SQL_BEGINS.match(text) is not None)
    return answer if kept == answer else kept.strip()


def visible_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of a conversation as later turns show it."""
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(content, str):
        return dict(message)
    return {"role": "assistant", "content": visible(content)}


def between(tokenizer: Any, feedback: str) -> list[int] | None:
    """The tokens from the end of an answer to the beginning of the next, as the chat template has them.

    None if the template puts an earlier answer after other text than that after which it was drawn, such as
    an empty thought: then a longer conversation does not extend a shorter one.
    """
    question = [{"role": "user", "content": "?"}]
    following = [{"role": "assistant", "content": PLACEHOLDER}, {"role": "user", "content": feedback}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
    text = tokenizer.apply_chat_template([*question, *following], add_generation_prompt=True, tokenize=False)
    before, _, after = text.partition(PLACEHOLDER)
    if before.split() != prompt.split():
        return None
    ids: list[int] = tokenizer(after, add_special_tokens=False)["input_ids"]
    return ids
