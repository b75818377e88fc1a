"""Encode messages as prompt tokens and decode answers, alike in evaluation, training and verifiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from runners.batching import INTERRUPTS, error_line
from runners.types import Request, TrainingExample
from tasks.common.errors import ModelError
from tasks.thoughts import MARKERS, opening_tag
from tasks.types import Message

CONTEXT_NAMES = (
    *("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "seq_length"),
    *("context_length", "n_ctx"),
)
"""Names of the context length in models' configurations."""
NO_LIMIT = 2**31 - 1
"""The context length of a model that has no limit, such as a state-space model."""
TAIL = 64
"""Number of tokens at the end of a prompt that are searched for the tag of an open thought."""

Tokens = tuple[int, ...]


def context_length(config: Any) -> int:
    """The most tokens that a model takes, from its configuration; ``NO_LIMIT`` if it names none.

    A dynamic rotary embedding extends ``max_position_embeddings`` by its factor; the other kinds of
    embeddings have theirs in it.
    """
    text = config.get_text_config()
    lengths = (getattr(text, name, None) for name in CONTEXT_NAMES)
    length = next((length for length in lengths if isinstance(length, int) and length > 0), NO_LIMIT)
    rotary = getattr(text, "rope_parameters", None) or {}
    return int(length * rotary["factor"]) if rotary.get("rope_type") == "dynamic" else length


def encode(tokenizer: Any, requests: Sequence[Request | TrainingExample]) -> list[Tokens]:
    """The prompt tokens of each request, up to the beginning of the answer.

    Raises ModelError: the chat template or the tokenizer fails on a request, or the template leaves out the
    system message.
    """
    conversations = [list(request.messages) for request in requests]
    try:
        encoded = tokenizer.apply_chat_template(conversations, add_generation_prompt=True, return_dict=True)
    except BaseException as error:  # of the template, or a panic of the tokenizers library
        if isinstance(error, INTERRUPTS):
            raise
        roles = ", ".join(dict.fromkeys(m["role"] for messages in conversations for m in messages))
        reason = f"the chat template or tokenizer does not take the messages ({roles}): {error_line(error)}"
        raise ModelError(f"{tokenizer.name_or_path}: {reason}{_advice(conversations)}") from None
    _expect_system(tokenizer, conversations)
    return [tuple(ids) for ids in encoded["input_ids"]]


def _advice(conversations: Sequence[Sequence[Message]]) -> str:
    """What to do about a template without a system role, if one of the messages has it."""
    asked = any(message["role"] == "system" for messages in conversations for message in messages)
    return "; if it takes no system message, move the text of prompt.system into prompt.template" * asked


def _expect_system(tokenizer: Any, conversations: Sequence[list[Message]]) -> None:
    """Raise ModelError where the template leaves out the system message without an error.

    A template may read the message without showing it: SmolLM3's takes ``/no_think`` as a switch.
    """
    first = conversations[0] if conversations else []
    others = [message for message in first if message["role"] != "system"]
    if len(others) == len(first):
        return
    shown = tokenizer.apply_chat_template(first, tokenize=False)
    if first[0]["content"].strip() not in shown and shown == tokenizer.apply_chat_template(
        others, tokenize=False
    ):
        raise ModelError(
            f"{tokenizer.name_or_path}: its chat template leaves out the system message: move the text of"
            " prompt.system into prompt.template"
        )


def encode_each(tokenizer: Any, requests: Sequence[Request], context: int) -> list[Tokens | str]:
    """For each request its prompt tokens, or the reason why the model cannot take it.

    A text that would exceed the context even in the longest tokens is not tokenized. Raises ModelError: the
    tokenizer fails on every request.
    """
    longest_token = max(map(len, tokenizer.get_vocab()), default=1)
    prompts: list[Tokens | str] = []
    for request in requests:
        least = sum(len(message["content"]) for message in request.messages) // longest_token
        prompts.append(_too_long(least, context, "at least ") if least >= context else "")
    indices = [i for i, reason in enumerate(prompts) if not reason]
    try:
        encoded: list[Tokens | str] = [*encode(tokenizer, [requests[i] for i in indices])] if indices else []
    except ModelError as error:
        encoded = [_encode_one(tokenizer, requests[i]) for i in indices]
        if all(isinstance(prompt, str) for prompt in encoded):
            raise error
    for i, prompt in zip(indices, encoded, strict=True):
        fits = isinstance(prompt, str) or len(prompt) < context
        prompts[i] = prompt if fits else _too_long(len(prompt), context)
        prompts[i] = prompts[i] or "the chat template renders the messages as an empty prompt"
    return prompts


def _encode_one(tokenizer: Any, request: Request) -> Tokens | str:
    try:
        return encode(tokenizer, [request])[0]
    except ModelError as error:
        return str(error)


def _too_long(tokens: int, context: int, qualifier: str = "") -> str:
    """The reason why a prompt that leaves no room for an answer is not asked."""
    return f"the prompt has {qualifier}{tokens} tokens, the model's context is {context}"


def end_tokens(model: Any, tokenizer: Any) -> tuple[int, ...]:
    """The end-of-sequence tokens: those of the model's generation config, and the tokenizer's."""
    declared = model.generation_config.eos_token_id
    declared = declared if isinstance(declared, list) else [declared]
    return tuple({token for token in [*declared, tokenizer.eos_token_id] if token is not None})


def answer_text(tokenizer: Any, prompt: Sequence[int], tokens: Sequence[int]) -> str:
    """The text of an answer, with the tag of a thought that its prompt opened.

    Special tokens are left out, except those that delimit thoughts.
    """
    return thought_tag(tokenizer, prompt) + decode(tokenizer, tokens)


def thought_tag(tokenizer: Any, prompt: Sequence[int]) -> str:
    """The tag that opens a thought at the end of the prompt; "" if there is none."""
    return opening_tag(tokenizer.decode(prompt[-TAIL:], skip_special_tokens=False))


def decode(tokenizer: Any, tokens: Sequence[int]) -> str:
    """The tokens as text, without special tokens, except those that delimit thoughts."""
    special, delimiters = special_tokens(tokenizer)
    if delimiters.isdisjoint(tokens):
        return str(tokenizer.decode(tokens, skip_special_tokens=True))
    kept = [token for token in tokens if token not in special or token in delimiters]
    return str(tokenizer.decode(kept, skip_special_tokens=False))


@lru_cache(maxsize=8)
def special_tokens(tokenizer: Any) -> tuple[frozenset[int], frozenset[int]]:
    """The ids of all special tokens, and of those that delimit thoughts."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    special = {id: str(token) for id, token in added.items() if token.special}
    special |= dict(zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=False))
    excluded = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    delimiters = {id for id, text in special.items() if MARKERS.fullmatch(text) and id not in excluded}
    return frozenset(special), frozenset(delimiters)


@dataclass(frozen=True, slots=True)
class Stops:
    """The stop strings of a sampling; ``texts`` may be empty. The answer's text ends before the first."""

    tokenizer: Any
    texts: tuple[str, ...]

    def end(self, tokens: Sequence[int]) -> bool:
        """Whether a stop string is in the end of an answer's tokens."""
        if not self.texts:
            return False
        tail = max(map(len, self.texts)) + 4  # a character can take up to four tokens of one byte
        text = self.tokenizer.decode(tokens[-tail:], skip_special_tokens=True)
        return any(stop in text for stop in self.texts)

    def before(self, text: str) -> str:
        """The text before the first stop string."""
        for stop in self.texts:
            text = text.partition(stop)[0]
        return text

    def length(self, tokens: Sequence[int]) -> int:
        """The number of tokens of an answer up to the one that completes a stop string."""
        whole = decode(self.tokenizer, tokens)
        if self.before(whole) == whole:
            return len(tokens)
        return next((i for i in range(1, len(tokens)) if self.end(tokens[:i])), len(tokens))

    def cut(
        self, answers: Sequence[list[int]], logprobs: Sequence[list[float]] | None
    ) -> tuple[list[list[int]], list[list[float]] | None]:
        """Answers of a sampler that knows no stop strings, and their tokens' log-probabilities, cut."""
        lengths = [self.length(tokens) for tokens in answers]
        kept = [tokens[:length] for tokens, length in zip(answers, lengths, strict=True)]
        if logprobs is None:
            return kept, None
        return kept, [values[:length] for values, length in zip(logprobs, lengths, strict=True)]
