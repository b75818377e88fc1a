"""Answers without a model: from a file of predictions, the gold SQL, or none.

``runners.answer_files`` reads the files; the folder of a finished run is one too. An id that appears again
holds another answer to the same question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from runners import answer_files
from runners.types import Completion, Request, Sampling
from tasks.common.errors import ModelError

RECORDS = "records.parquet"


class ReplayRunner:
    """The answers of a file."""

    def __init__(self, path: Path, column: str = "") -> None:
        """Read the file. Raises ModelError: missing, unreadable, an object without its keys."""
        self.name = path.name if path.is_dir() else path.stem
        self.path = path / RECORDS if path.is_dir() else path
        if not self.path.is_file():
            why = f"no finished run: it has no {RECORDS}" if path.is_dir() else "no such file"
            raise ModelError(f"replay:{path}: {why}")
        self.stored = answer_files.read(self.path, column)
        self._answers: Mapping[str, list[str]] | None = None

    @property
    def samples(self) -> int:
        """How many answers every question that has any has at least."""
        return min(map(len, self.stored.by_id.values()), default=1)

    def expect(self, rows: Sequence[tuple[str, str]]) -> None:
        """Match the answers with the dataset's rows, each by its id and its database.

        Raises ModelError: more or fewer lines than rows, an id that no row has.
        """
        self._answers = answer_files.by_id(self.stored, self.path, rows)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield each request's stored answers. Raises ModelError where a question has none."""
        answers = self._answers
        if answers is None:
            rows = [(request.sample.id, request.sample.database) for request in requests]
            answers = answer_files.by_id(self.stored, self.path, rows)
        lacking = [request.sample.id for request in requests if not answers.get(request.sample.id)]
        if lacking:
            more = f" and {len(lacking) - 1} more of {len(requests)}" if lacking[1:] else ""
            raise ModelError(
                f"{self.path}: no answer to question '{lacking[0]}'{more}: give each one, empty if none"
            )
        for index, request in enumerate(requests):
            found = answers[request.sample.id][: sampling.n]
            count = (
                f"{self.path.name} has {len(found)} of {sampling.n} answers to question {request.sample.id}"
            )
            missing = Completion("", finish="error", error=count)
            yield index, [*map(Completion, found)] + [missing] * (sampling.n - len(found))

    def close(self) -> None:
        """Nothing to release."""


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
