"""Stop strings: where an answer ends besides its end-of-sequence token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from runners.decoding.tokens import decode


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
