"""The tokens of SFT's rows: the prompt as evaluation shows it, then the answer as the model is to write it.

TRL renders prompt and answer together. Where a chat template renders an answered prompt differently, such as
one that opens a thought in the prompt and leaves it out of answers, TRL drops the difference from the row:
the model would learn to answer another prompt than it is asked. Here the prompt is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runners.decoding.tokens import encode, special_tokens
from runners.types import TrainingExample
from tasks.thoughts import closing_tag, opening_tag

PLACEHOLDER = "THE-ANSWER-TO-LEARN"
"""The text of an answer while the end of the template's turn is read."""


def sft_rows(tokenizer: Any, examples: Sequence[TrainingExample]) -> list[dict[str, list[int]]]:
    """``input_ids`` of each row, and its ``completion_mask``: 1 for the answer's tokens.

    Raises ModelError: the chat template fails.
    """
    prompts = encode(tokenizer, examples)
    answered = [[*row.messages, {"role": "assistant", "content": row.answer}] for row in examples]
    together = tokenizer.apply_chat_template(answered, return_dict=True)["input_ids"]
    special = special_tokens(tokenizer)[0]
    made = []
    for example, prompt, whole in zip(examples, prompts, together, strict=True):
        answer = _after(prompt, whole) or _tokens_after(tokenizer, example, prompt)
        if special.isdisjoint(answer) and tokenizer.eos_token_id is not None:
            answer = [*answer, tokenizer.eos_token_id]  # a template that ends no turn
        mask = [0] * len(prompt) + [1] * len(answer)
        made.append({"input_ids": [*prompt, *answer], "completion_mask": mask})
    return made


def _after(prompt: Sequence[int], whole: Sequence[int]) -> list[int]:
    """The tokens of ``whole`` after those of the prompt; [] where it does not begin with them."""
    return list(whole[len(prompt) :]) if tuple(whole[: len(prompt)]) == tuple(prompt) else []


def _tokens_after(tokenizer: Any, example: TrainingExample, prompt: Sequence[int]) -> list[int]:
    """The tokens of the answer to a prompt that the template renders differently once it is answered."""
    question = list(example.messages)
    asked = tokenizer.apply_chat_template(question, add_generation_prompt=True, tokenize=False)
    text = _text_after(tokenizer, question, example.answer, asked)
    whole = tokenizer(asked + text, add_special_tokens=False)["input_ids"]
    return _after(prompt, whole) or list(tokenizer(text, add_special_tokens=False)["input_ids"])


def _text_after(tokenizer: Any, question: list[Any], answer: str, asked: str) -> str:
    """What follows the prompt: a thought that it opened is closed, unless the answer has one itself."""

    def rendered(content: str) -> str:
        turn = {"role": "assistant", "content": content}
        return str(tokenizer.apply_chat_template([*question, turn], tokenize=False))

    if (whole := rendered(answer)).startswith(asked):
        return whole[len(asked) :]
    end = rendered(PLACEHOLDER).rpartition(PLACEHOLDER)[2]
    opened = opening_tag(asked)
    if opened and answer.lstrip().startswith(opened):
        return answer.lstrip().removeprefix(opened).lstrip() + end
    return (f"\n{closing_tag(opened)}\n\n" if opened else "") + answer + end
