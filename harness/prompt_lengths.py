"""How long a task's prompts are for a model: in its tokens, against its context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from runners.types import Request
from tasks.task import Task
from tasks.types import Sample

MOST = 2**18
"""Tokens that are counted of a prompt where no model was named: nothing longer is tokenized to its end."""


@dataclass(frozen=True, slots=True)
class PromptCounter:
    """A tokenizer, and the context of its model; 0: no model was named."""

    tokenizer: Any
    context: int

    def lengths(self, task: Task, samples: Sequence[Sample]) -> list[int]:
        """Tokens of each prompt. One that is over the context, or is not taken, counts as the context's.

        Raises ModelError where the chat template takes none.
        """
        from runners.decoding.context import encode_each

        requests = [Request(sample, task.messages(sample)) for sample in samples]
        limit = self.context or MOST
        found = encode_each(self.tokenizer, requests, limit)
        return [limit if isinstance(one, str) else len(one) for one in found]

    def over(self, lengths: Sequence[int]) -> int:
        """How many of these leave no room for an answer."""
        return sum(length >= self.context for length in lengths) if self.context else 0


def counter(name: str | None) -> PromptCounter | None:
    """Of a model's name; without one nano's tokenizer. None where none was named and none can be loaded."""
    if name is None and find_spec("transformers") is None:
        return None
    from runners.weights.loading import context, load_tokenizer
    from runners.weights.source import resolve

    source = resolve(name or "nano", weights=False)
    return PromptCounter(load_tokenizer(source), context(source) if name else 0)
