"""Read the stored runs for the page; a run that did not change is read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.page.views import Evaluated, Page, Unfinished, group_of
from leaderboards import store
from leaderboards.board import BoardRow, board
from leaderboards.compare import answers_of
from leaderboards.pairs import AnswersByQuestion
from leaderboards.seeds import Recipe, recipes
from leaderboards.types import Run
from tasks.common.digests import digest_of
from tasks.common.errors import DataError

MOST = 20
"""Runs whose answers the page holds: the newest ones."""


class Collector:
    """Makes the page from the store, again and again while runs go on."""

    def __init__(self, task: str = "", most: int = MOST) -> None:
        self._task = task
        self._most = most
        self._answers: dict[str, AnswersByQuestion | None] = {}
        """Run id and digest of its records -> its answers; None where they are damaged."""

    def page(self) -> Page:
        """The page. A run whose records are damaged is left out, with a line on stderr."""
        read_at = version()  # before the runs are read: a later change gives another version
        stored = store.runs()
        listed = board(task=self._task, runs=stored)
        rows = [row for rows in listed.groups.values() for row in rows]
        newest = sorted(rows, key=lambda row: row.run.started, reverse=True)[: self._most]
        chosen = {row.run.id for row in newest}
        groups = []
        for key, ranked in reversed(listed.groups.items()):
            runs = [run for row in ranked if (run := self._evaluated(row, row.run.id in chosen))]
            if runs:
                seeded = listed.recipes.get(key, ()) if len(runs) == len(ranked) else _recipes(runs, stored)
                groups.append(group_of(key, runs, seeded))
        unfinished = [
            Unfinished(run, curve(run.id))
            for run in stored
            if not run.finished and self._task in ("", run.task)
        ]
        return Page(groups, unfinished, listed.hidden, read_at)

    def _evaluated(self, row: BoardRow, opened: bool) -> Evaluated | None:
        if not opened:
            return Evaluated(row)
        answers = self._read(row)
        return None if answers is None else Evaluated(row, answers, curve(row.run.trained_by))

    def _read(self, row: BoardRow) -> AnswersByQuestion | None:
        key = f"{row.run.id} {row.run.records_sha256}"
        if key not in self._answers:
            try:
                self._answers[key] = answers_of(row.run)
            except DataError as error:
                store.leave_out(row.run.id, error)
                self._answers[key] = None
        return self._answers[key]


def _recipes(runs: Sequence[Evaluated], stored: Sequence[Run]) -> Sequence[Recipe]:
    """The recipes among the runs that could be read. ``stored``: all runs."""
    trainings = [run for run in stored if run.kind == "train"]
    return recipes([(run.run, run.summary) for run in runs], trainings)


def curve(run_id: str) -> Sequence[Mapping[str, Any]]:
    """The curve of a training; empty where there is none."""
    try:
        return store.curve(run_id) if run_id else []
    except (DataError, OSError, ValueError) as error:
        store.leave_out(run_id, error)
        return []


def version() -> str:
    """A text that changes when a stored run does: the names, sizes and times of its files."""
    return digest_of(store.fingerprint())
