"""How long a prompt may be, and the tokens of prompts that a tokenizer or chat template may not take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runners.endpoints.failures import STOPS, line
from runners.types import Request
from tasks.common.errors import ModelError

NAMES = (
    *("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length"),
    *("context_length", "n_ctx"),
)
"""What configurations call the most tokens that a model takes."""
NO_LIMIT = 2**31 - 1
"""The context of a model that has none, such as a state-space model."""

Tokens = tuple[int, ...]


def context_of(config: Any) -> int:
    """The most tokens that a model takes, by its configuration; ``NO_LIMIT`` where it names none."""
    text = config.get_text_config()
    found = (getattr(text, name, None) for name in NAMES)
    return next((value for value in found if isinstance(value, int) and value > 0), NO_LIMIT)


def encode(tokenizer: Any, requests: Sequence[Request]) -> list[Tokens]:
    """The prompt tokens of each request, up to where the answer begins.

    Raises ModelError where the chat template or the tokenizer does not take one.
    """
    rendered = [list(request.messages) for request in requests]
    try:
        encoded = tokenizer.apply_chat_template(rendered, add_generation_prompt=True, return_dict=True)
    except BaseException as error:  # a template's own, or a panic of the tokenizer's library
        if isinstance(error, STOPS):
            raise
        roles = ", ".join(dict.fromkeys(one["role"] for messages in rendered for one in messages))
        why = f"the chat template or tokenizer does not take the messages ({roles}): {line(error)}"
        raise ModelError(f"{tokenizer.name_or_path}: {why}") from None
    return [tuple(ids) for ids in encoded["input_ids"]]


def encode_each(tokenizer: Any, requests: Sequence[Request], context: int) -> list[Tokens | str]:
    """As ``encode``, for each request its tokens or why it has none.

    A text that must be longer than the context, even of the longest tokens, is not tokenized. Raises
    ModelError where none that is tokenized is taken.
    """
    longest = max(map(len, tokenizer.get_vocab()), default=1)
    found: list[Tokens | str] = []
    for request in requests:
        least = sum(len(one["content"]) for one in request.messages) // longest
        found.append(over(least, context, "at least ") if least >= context else "")
    places = [i for i, why in enumerate(found) if not why]
    try:
        tokens: list[Tokens | str] = [*encode(tokenizer, [requests[i] for i in places])] if places else []
    except ModelError as error:
        tokens = [_alone(tokenizer, requests[i]) for i in places]
        if all(isinstance(one, str) for one in tokens):
            raise error
    for i, one in zip(places, tokens, strict=True):
        found[i] = one if isinstance(one, str) or len(one) < context else over(len(one), context)
        found[i] = found[i] or "the chat template makes nothing of the messages"
    return found


def over(tokens: int, context: int, about: str = "") -> str:
    """What is said of a prompt that leaves no room for an answer."""
    return f"the prompt has {about}{tokens} tokens, the model's context is {context}"


def _alone(tokenizer: Any, request: Request) -> Tokens | str:
    try:
        return encode(tokenizer, [request])[0]
    except ModelError as error:
        return str(error)
