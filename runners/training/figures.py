"""Figures of a training step that no division into passes and processes changes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from runners.training import processes

TOKEN_MEANS = ("entropy", "kl", "mean_token_accuracy")
"""TRL's figures that are means over the predicted tokens of a pass."""


class TokenMeans:
    """Stands before a trainer of TRL's, which takes the mean over passes, however few tokens one has."""

    _metrics: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._counts: list[int] = []
        """Predicted tokens of each pass of the running step, in this process."""
        super().__init__(*args, **kwargs)

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """TRL's loss; the pass's predicted tokens are counted."""
        self._counts.append(int(predicted(inputs)))
        return super().compute_loss(model, inputs, *args, **kwargs)  # type: ignore[misc]

    def log(self, logs: dict[str, float], *args: Any) -> None:
        """TRL's log, with means over the tokens of all passes and processes."""
        counts = [sum(each) for each in zip(*processes.gathered([self._counts]), strict=True)]
        self._counts = []
        figures = self._metrics["train"]
        for name in TOKEN_MEANS:
            if (values := figures.pop(name, [])) and any(counts):
                figures[name] = [weighted(values, counts)]
        super().log(logs, *args)  # type: ignore[misc]


def predicted(inputs: Any) -> Any:
    """How many tokens of a pass are predicted for the loss, as a tensor."""
    if "labels" in inputs:
        return (inputs["labels"][:, 1:] != -100).sum()
    return (inputs["completion_mask"] * inputs.get("tool_mask", 1)).sum()


def weighted(values: Sequence[float], counts: Sequence[int]) -> float:
    """The mean of ``values``, each of so many tokens."""
    return sum(value * count for value, count in zip(values, counts, strict=True) if count) / sum(counts)


def of_answers(
    own: Sequence[Sequence[int]], tokens: Sequence[Sequence[int]], ends: set[int]
) -> dict[str, float]:
    """``length``, the mean number of tokens that the model wrote in a conversation, all turns together, and
    ``clipped``, the share of conversations with an answer that no end token ends; over all processes.

    ``own`` is 1 where the token of a conversation is the model's. All processes must ask together.
    """
    found = [(sum(mask), cut(mask, ids, ends)) for mask, ids in zip(own, tokens, strict=True)]
    everywhere = processes.gathered(found)
    return {
        "length": fmean(length for length, _ in everywhere),
        "clipped": fmean(clipped for _, clipped in everywhere),
    }


def cut(own: Sequence[int], tokens: Sequence[int], ends: set[int]) -> bool:
    """Is there an answer, a run of the model's tokens, whose last token is none of ``ends``?"""
    last = [mine and not after for mine, after in zip(own, [*own[1:], 0], strict=True)]
    return any(token not in ends for token, is_last in zip(tokens, last, strict=True) if is_last)
