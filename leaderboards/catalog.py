"""All runs under HARNESS_HOME with their state, size and tags; and how a run is removed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from leaderboards import store, tags
from leaderboards.find import expect_task, find, is_model, named
from leaderboards.types import Run
from tasks.common import files
from tasks.common.errors import DataError, nearest

State = Literal["finished", "running", "unfinished"]
"""``running``: a process writes it now; ``unfinished``: none does, and the same command continues it."""


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """A stored run. ``ex`` and ``n`` are None for a training, and before the end of an evaluation."""

    run: Run
    state: State
    tags: tuple[str, ...]
    bytes: int
    """Bytes of all its files."""
    age: float
    """Seconds since it ended; since it began, if it has not."""
    ex: float | None = None
    n: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON can hold it."""
        names = ("id", "kind", "model", "task", "split", "method", "started", "ended")
        figures = {name: getattr(self, name) for name in ("state", "ex", "n", "age", "bytes")}
        return {name: getattr(self.run, name) for name in names} | figures | {"tags": list(self.tags)}


@dataclass(frozen=True, slots=True)
class Catalog:
    """Runs, the oldest first."""

    rows: Sequence[CatalogRow]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"runs": [row.as_dict() for row in self.rows]}


def catalog(task: str = "", model: str = "", tag: str = "", unfinished: bool = False) -> Catalog:
    """The runs that match all filters; "" matches every run. ``model``: its name, label or folder.

    Raises DataError: no run has this task, model or tag.
    """
    runs = store.runs()
    if task:
        expect_task(task)
    if model and not any(is_model(run, model) for run in runs):
        raise DataError(f"no run of a model '{model}': {nearest(model, {run.label for run in runs})}")
    known_tags = {name for run in runs for name in tags.read(run.id)} if tag else set()
    if tag and tag not in known_tags:
        raise DataError(f"no run has the tag '{tag}': {nearest(tag, known_tags)}")
    rows = (_row(run) for run in runs if task in ("", run.task) and not (unfinished and run.finished))
    return Catalog(
        [row for row in rows if (not model or is_model(row.run, model)) and (not tag or tag in row.tags)]
    )


def _row(run: Run) -> CatalogRow:
    path = store.folder(run.id)
    state: State = "running" if not run.finished and store.being_written(run.id) else "unfinished"
    figures: Mapping[str, Any] = {}
    if run.finished:
        state = "finished"
        if run.kind == "eval":
            with suppress(DataError, OSError, ValueError):  # ``harness board`` names what is damaged
                figures = store.summary(run.id)
    return CatalogRow(
        run, state, tags.read(run.id), _bytes(path), _age(run), figures.get("ex"), figures.get("n")
    )


def _bytes(folder: Path) -> int:
    """Bytes of all files below a folder; links are not followed, nor is the folder if it is one."""
    if not folder.is_dir() or folder.is_symlink():
        return os.lstat(folder).st_size if os.path.lexists(folder) else 0
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size
    return total


def _age(run: Run) -> float:
    try:
        moment = datetime.fromisoformat(run.ended or run.started)
    except ValueError:
        return 0.0
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (datetime.now(UTC) - known).total_seconds())


def chosen(name: str) -> Run:
    """The one run, finished or not, that a name refers to, as ``leaderboards.find`` reads names.

    Raises DataError: it refers to none, or to several.
    """
    runs = named(name, list(reversed(store.runs())), "run")
    if len(runs) > 1:
        ids = ", ".join(run.id for run in runs[:4]) + ", ..." * (len(runs) > 4)
        raise DataError(f"'{name}' names {len(runs)} runs: {ids}: give an id")
    return runs[0]


def taggable(name: str) -> Run:
    """The newest finished evaluation with this name, as every verb reads names; else the one run with it.

    Raises DataError: it refers to none, or to several that are no finished evaluations.
    """
    try:
        return find(name)
    except DataError:
        return chosen(name)


def removable(name: str) -> str:
    """The id of the run that a name refers to, or of a damaged directory with exactly this name.

    Raises DataError: it refers to none, or to several, or a process writes the run.
    """
    is_id = name not in ("", ".", "..") and not set("/\0") & set(name) and not name.startswith(".")
    damaged = is_id and os.path.lexists(store.folder(name)) and name not in {run.id for run in store.runs()}
    run_id = name if damaged else chosen(name).id
    if store.being_written(run_id):
        raise _being_written(run_id)
    return run_id


def remove(run_id: str) -> None:
    """Remove the directory of a run. Raises DataError: a process writes it, or it cannot be removed."""
    path = store.folder(run_id)
    if path.is_symlink() or not path.is_dir():
        with files.writing(path):
            path.unlink()  # of a link, what it leads to is not under HARNESS_HOME
        return
    try:
        lock = files.lock(path / "lock")
    except ValueError as error:
        raise DataError(f"run {run_id}: {error}") from None
    if lock is None:
        raise _being_written(run_id)
    with lock:
        files.discard(path)


def _being_written(run_id: str) -> DataError:
    return DataError(f"run {run_id} is being written: end that process first")


def size(run_id: str) -> int:
    """Bytes of all files of a run."""
    return _bytes(store.folder(run_id))
