"""Answers without a model: the ceiling and the floor of every board."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from runners.types import Completion, Request, Sampling


class GoldRunner:
    """Answers with the dataset's own SQL: what a perfect model would score."""

    name = "gold"

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield the first gold answer of each request, ``n`` times."""
        for index, request in enumerate(requests):
            yield index, [Completion(request.sample.gold[0])] * sampling.n

    def close(self) -> None:
        """Nothing to release."""


class EmptyRunner:
    """Answers with nothing: what scoring must give no credit for."""

    name = "empty"

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield empty answers."""
        for index in range(len(requests)):
            yield index, [Completion("")] * sampling.n

    def close(self) -> None:
        """Nothing to release."""
