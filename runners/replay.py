"""Answers read from a file, so that published predictions are judged like any model.

Four forms: ``.jsonl`` with an object a line (``id``, and the answer as ``completion``, ``text`` or
``sql``; an id that comes back is another answer to the same question), ``.json`` with a mapping of id to
answer (BIRD's form), the folder of a finished run (its ``records.parquet``), and one SQL a line in dataset
order (Spider's form), where line i (from 0) answers the sample with id i. In BIRD's and Spider's form, text
after a tab is the database, and dropped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from runners.types import Completion, Request, Sampling
from tasks.errors import ModelError

RECORDS = "records.parquet"
TEXT_KEYS = ("completion", "text", "sql")


class ReplayRunner:
    """The answers of a file."""

    def __init__(self, path: Path) -> None:
        """Read the file. Raises ModelError: missing, unreadable, an object without its keys."""
        self.name = path.name if path.is_dir() else path.stem
        self.path = path / RECORDS if path.is_dir() else path
        if not self.path.is_file():
            why = f"no finished run: it has no {RECORDS}" if path.is_dir() else "no such file"
            raise ModelError(f"replay:{path}: {why}")
        path = self.path
        self.numbered = path.suffix not in _READERS
        try:
            self.answers = _READERS.get(path.suffix, _lines)(path)
        except (ValueError, RecursionError) as error:  # not UTF-8, no JSON, or nested without end
            raise ModelError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None

    @property
    def samples(self) -> int:
        """How many answers every question that has any has at least."""
        return min(map(len, self.answers.values()), default=1)

    def generate(
        self, requests: Sequence[Request], sampling: Sampling
    ) -> Iterator[tuple[int, list[Completion]]]:
        """Yield each request's stored answers; one that the file lacks is an error, never wrong.

        Raises ModelError where a file of lines is shorter than the dataset.
        """
        if self.numbered:
            self._expect_lines(requests)
        for index, request in enumerate(requests):
            stored = self.answers.get(request.sample.id, [])[: sampling.n]
            lacking = sampling.n - len(stored)
            why = (
                f"{self.path.name} has {len(stored)} of {sampling.n} answers to question {request.sample.id}"
            )
            missing = Completion("", finish="error", error=why)
            yield index, [Completion(text) for text in stored] + [missing] * lacking

    def _expect_lines(self, requests: Sequence[Request]) -> None:
        for request in requests:
            if not request.sample.id.isdecimal():
                raise ModelError(
                    f"{self.path} has a line a question, but this dataset names its questions"
                    f' (such as \'{request.sample.id}\'): give a .jsonl of {{"id", "completion"}} lines'
                )
        needed = 1 + max((int(request.sample.id) for request in requests), default=-1)
        if needed > len(self.answers):
            raise ModelError(
                f"{self.path} has {len(self.answers)} lines, the dataset has at least {needed} rows:"
                " a line for each row, in order, empty where there is no answer"
            )

    def close(self) -> None:
        """Nothing to release."""


def _lines(path: Path) -> dict[str, list[str]]:
    text = path.read_text(encoding="utf-8-sig")
    lines = text.removesuffix("\n").split("\n") if text else []
    return {str(number): [line.partition("\t")[0].strip()] for number, line in enumerate(lines)}


def _mapping(path: Path) -> dict[str, list[str]]:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, dict):
        raise ModelError(f"{path}: expected a mapping of id to answer, found a {type(data).__name__}")
    return {str(key): [str(answer).partition("\t")[0].strip()] for key, answer in data.items()}


def _objects(path: Path) -> dict[str, list[str]]:
    answers: dict[str, list[str]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            key, text = _object(json.loads(line), f"{path}, line {number}")
            answers.setdefault(key, []).append(text)
    return answers


def _object(row: Any, where: str) -> tuple[str, str]:
    if not isinstance(row, dict) or "id" not in row:
        raise ModelError(f'{where}: expected an object with "id"')
    for key in TEXT_KEYS:
        if key in row:
            return str(row["id"]), str(row[key] if row[key] is not None else "")
    raise ModelError(f"{where}: expected one of the keys {', '.join(TEXT_KEYS)}")


def _records(path: Path) -> dict[str, list[str]]:
    import duckdb

    answers: dict[str, list[str]] = {}
    try:
        with duckdb.connect() as connection:
            rows = connection.execute(
                "SELECT sample_id, completion FROM read_parquet($path) WHERE finish != 'error'"
                " ORDER BY sample_id, sample_index",
                {"path": str(path)},
            ).fetchall()
    except duckdb.Error as error:
        raise ValueError(error) from None
    for key, text in rows:
        answers.setdefault(key, []).append(text)
    return answers


_READERS = {".jsonl": _objects, ".json": _mapping, ".parquet": _records}
