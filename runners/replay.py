"""Runners without a model: stored answers, the gold SQL, or empty answers.

``runners.answer_files`` reads the file, which may also be the folder of a finished run. A repeated id holds a
further answer to the same question.
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
        """Read the file. Raises ModelError: missing, unreadable, or an object without id or answer."""
        self.name = path.name if path.is_dir() else path.stem
        self.path = path / RECORDS if path.is_dir() else path
        if not self.path.is_file():
            problem = f"no finished run: it has no {RECORDS}" if path.is_dir() else "no such file"
            raise ModelError(f"replay:{path}: {problem}")
        self.stored = answer_files.read(self.path, column)
        self._answers: Mapping[str, list[str]] | None = None

    @property
    def samples(self) -> int:
        """The smallest number of answers to a question that has any."""
        return min(map(len, self.stored.by_id.values()), default=1)

    def expect(self, rows: Sequence[tuple[str, str]]) -> None:
        """Match the answers with the rows of the dataset, given as (id, database).

        Raises ModelError: the numbers of lines and rows differ, or no row has an id.
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
        missing = [request.sample.id for request in requests if not answers.get(request.sample.id)]
        if missing:
            others = f" and {len(missing) - 1} more of {len(requests)}" if missing[1:] else ""
            raise ModelError(
                f"{self.path}: no answer to question '{missing[0]}'{others}:"
                " add an answer to each question, empty if there is none"
            )
        for index, request in enumerate(requests):
            id = request.sample.id
            stored = answers[id][: sampling.n]
            reason = f"{self.path.name} has {len(stored)} of {sampling.n} answers to question {id}"
            missing_answer = Completion("", finish="error", error=reason)
            yield index, [*map(Completion, stored)] + [missing_answer] * (sampling.n - len(stored))

    def close(self) -> None:
        """Nothing to release."""


class GoldRunner:
    """The gold baseline: answers with the dataset's own SQL, as a perfect model would."""

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
    """The empty baseline: empty answers, which must score 0."""

    name = "empty"

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield empty answers."""
        for index in range(len(requests)):
            yield index, [Completion("")] * sampling.n

    def close(self) -> None:
        """Nothing to release."""
