"""Run directories: ``<home>/runs/<id>/``, one for each run, so that no run can corrupt another.

``run.json``         the ``Run``; ``ended`` is set only after everything else is on disk
``partial.jsonl``    records so far, one on a line, while an evaluation runs; a torn last line is dropped
``records.parquet``  the records of a finished run
``scores.json``      its summary
``curve.jsonl``      one row for each logged training step
``lock``             held by the process that writes the run
"""

from __future__ import annotations

import glob
import os
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from leaderboards import validation
from leaderboards.types import Record, Run, Summary, label
from leaderboards.writer import RunWriter, now, run_json
from tasks.common import files
from tasks.common.digests import expect_sha256
from tasks.common.errors import DataError
from tasks.common.home import home
from tasks.common.terminal import one_line, say


def folder(run_id: str) -> Path:
    """The directory of a run. Raises DataError where the id is not a plain name."""
    if run_id in ("", ".", "..") or any(character in run_id for character in "/\0"):
        raise DataError(f"'{run_id}' is no id of a run")
    return home() / "runs" / run_id


def new_id(model: str, task: str) -> str:
    """A fresh id that a person can type: ``<model>-<task>-<six hex digits>``."""
    name = re.sub(r"[^a-z0-9.]+", "-", f"{label(model)[-40:]}-{task}".lower()).strip("-.")
    return f"{name}-{secrets.token_hex(3)}"


def open_run(run: Run) -> RunWriter:
    """Start this run, or continue an unfinished one of its kind, digest and modes that no process writes.

    The writer's ``run`` is the one that it writes. Raises DataError: the directory cannot be written.
    """
    for other in runs():
        if other.finished or _continued(other) != _continued(run):
            continue
        try:
            if handle := _resumed(folder(other.id)):
                return handle
        except (DataError, OSError, ValueError) as error:
            leave_out(other.id, error)
    return _begin(replace(run, started=run.started or now()))


def _continued(run: Run) -> tuple[object, ...]:
    """What an unfinished run must share with a run that continues it."""
    return run.kind, run.digest, run.spec.get("modes")


def _resumed(path: Path) -> RunWriter | None:
    """A writer of the unfinished run in a directory; None where another process writes or finished it."""
    lock = files.lock(path / "lock")
    if lock is None:
        return None
    try:
        current = validation.run(path)
        if not current.finished:
            return RunWriter(current, path, lock)
    except BaseException:
        lock.close()
        raise
    lock.close()
    return None


def _begin(run: Run) -> RunWriter:
    path = folder(run.id)
    _remove_stale(path.parent)
    with files.writing(path), files.new_folder(path) as building:
        lock = files.lock(building / "lock")
        assert lock is not None, "nobody else knows this directory yet"
        files.write(building / "run.json", run_json(run))
    return RunWriter(run, path, lock)


def _remove_stale(place: Path) -> None:
    """Remove the unnamed directories of processes that were killed while they created one."""
    for left in place.glob(".*.??????") if place.is_dir() else ():
        with suppress(DataError, OSError, ValueError):
            stale = time.time() - left.stat().st_mtime > files.STALE_SECONDS
            if stale and (lock := files.lock(left / "lock")):
                with lock:
                    files.remove(left)


def finished(run: Run) -> Run | None:
    """The latest finished run of this kind and digest."""
    same = [one for one in runs() if one.finished and (one.kind, one.digest) == (run.kind, run.digest)]
    return same[-1] if same else None


def runs() -> list[Run]:
    """All runs, finished or not, oldest first. Damaged directories are named on stderr and left out."""
    found = []
    for path in _places():
        try:
            found.append(validation.run(path))
        except (OSError, ValueError) as error:
            leave_out(path.name, error)
    return sorted(found, key=lambda run: (run.started, run.id))


def _places() -> list[Path]:
    """Everything in the folder of runs but hidden directories, which are being created."""
    place = home() / "runs"
    try:
        return [place / name for name in sorted(os.listdir(place)) if not name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        say(f"no runs can be read from {place}: {error.strerror}")
        return []


def leave_out(run_id: str, error: Exception) -> None:
    """Report on stderr, in one line, that a run's files are damaged."""
    reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
    say(f"left out run {run_id}: {one_line(reason)[:200]}")


def query(sql: str, run_ids: Sequence[str], **values: object) -> list[dict[str, Any]]:
    """Rows of a DuckDB query over ``records``: those of finished runs, with their run's id in ``run``.

    ``values`` fill the query's ``$name``s.

    Raises DataError where a records file is missing or broken.
    """
    import duckdb

    if not run_ids:
        return []
    paths = [_records_file(run_id) for run_id in run_ids]
    source = "read_parquet($paths, union_by_name=true, filename=true)"
    with duckdb.connect() as connection:
        try:
            result = connection.execute(
                f"WITH records AS (SELECT *, parse_path(filename)[-2] AS run FROM {source}) {sql}",
                {"paths": [glob.escape(str(path)) for path in paths], **values},
            )
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        except (duckdb.Error, ValueError) as error:  # ValueError: text that is not UTF-8
            raise DataError(f"records of {', '.join(run_ids)}: {' '.join(str(error).split())}") from None


def _records_file(run_id: str) -> Path:
    path = folder(run_id) / "records.parquet"
    try:
        expect_sha256(path, validation.run(path.parent).records_sha256)
    except (OSError, ValueError) as error:
        raise DataError(f"records of {run_id}: {error}") from None
    return path


def records(run_id: str) -> list[Record]:
    """The records of a finished run, in the order of their keys. Raises DataError: missing or broken."""
    rows = query("SELECT * FROM records", [run_id])
    try:
        return sorted(validation.records(rows), key=lambda record: record.key)
    except ValueError as error:
        raise DataError(f"records of {run_id}: {error}") from None


def first_readable(runs: Sequence[Run]) -> tuple[Run, list[Record]]:
    """The first run whose records can be read, with its records; runs before it are named on stderr.

    Raises the DataError of the first run where no run can be read.
    """
    broken: list[tuple[Run, DataError]] = []
    for run in runs:
        try:
            found = records(run.id)
        except DataError as error:
            broken.append((run, error))
            continue
        for other, why in broken:
            leave_out(other.id, why)
        return run, found
    raise broken[0][1]


def scores(run_id: str) -> Mapping[str, Any]:
    """The content of ``scores.json`` of a finished run. Raises DataError, OSError, ValueError."""
    return validation.read_json(folder(run_id) / "scores.json")


def summary(run_id: str) -> Summary:
    """The summary of an evaluation, with checked types. Raises DataError, OSError, ValueError."""
    return validation.summary(folder(run_id))


def curve(run_id: str) -> list[dict[str, Any]]:
    """The training curve of a run, finished or not, by step; damaged lines are left out.

    Raises OSError, ValueError: no regular file.
    """
    found, _ = validation.lines(folder(run_id) / "curve.jsonl", validation.curve_line)
    rows = {row["step"]: row for row in found}
    return [rows[step] for step in sorted(rows)]
