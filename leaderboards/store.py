"""Run directories: ``<home>/runs/<id>/``, one for each run, so that no run can damage another.

``run.json``         the ``Run``; ``ended`` is set only after everything else is on disk
``partial.jsonl``    records so far, one on a line, while an evaluation runs; a torn last line is dropped
``records.parquet``  the records of a finished run
``scores.json``      its summary
``curve.jsonl``      one row for each logged training step
``lock``             locked by the process that writes the run
``shards-of-N/``     what several processes have so far (``leaderboards.shards``), until the run is finished
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

SHARDS = "shards-of-"
"""What the name of a folder of shards begins with; their number follows."""


def folder(run_id: str) -> Path:
    """The directory of a run. Raises DataError where the id is not a plain name."""
    if run_id in ("", ".", "..") or any(character in run_id for character in "/\0"):
        raise DataError(f"'{run_id}' is no id of a run")
    return home() / "runs" / run_id


def new_id(model: str, task: str) -> str:
    """A new id that a person can type: ``<model>-<task>-<six hex digits>``."""
    name = re.sub(r"[^a-z0-9.]+", "-", f"{label(model)[-40:]}-{task}".lower()).strip("-.")
    return f"{name}-{secrets.token_hex(3)}"


def open_run(run: Run) -> RunWriter:
    """Start this run, or continue an unfinished one with the same kind, digest and modes.

    Runs that another process is writing are not continued. The writer's ``run`` is the run that it writes.
    Raises DataError: the directory cannot be written.
    """
    for other in runs():
        if other.finished or not continues(run, other) or _has_shards(folder(other.id)):
            continue
        try:
            if writer := _resumed(folder(other.id)):
                return writer
        except (DataError, OSError, ValueError) as error:
            leave_out(other.id, error)
    return _begin(replace(run, started=run.started or now()))


def continues(run: Run, other: Run) -> bool:
    """Whether a run has the properties of another, unfinished run, which it therefore can continue."""
    same = (run.kind, run.digest, run.spec.get("modes"))
    return same == (other.kind, other.digest, other.spec.get("modes"))


def _has_shards(path: Path) -> bool:
    return any(path.glob(f"{SHARDS}*"))


def being_written(run_id: str) -> bool:
    """Whether a process writes a run, or a shard of it, now."""
    path = folder(run_id)
    return any(map(files.is_locked, [path / "lock", *path.glob(f"{SHARDS}*/*/lock")]))


def _resumed(path: Path) -> RunWriter | None:
    """A writer of the unfinished run in a directory; None if another process writes or finished it."""
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


def _remove_stale(runs_folder: Path) -> None:
    """Remove the unfinished directories of processes that were killed while they created one."""
    for leftover in runs_folder.glob(".*.??????") if runs_folder.is_dir() else ():
        with suppress(DataError, OSError, ValueError):
            stale = time.time() - leftover.stat().st_mtime > files.STALE_SECONDS
            if stale and (lock := files.lock(leftover / "lock")):
                with lock:
                    files.remove(leftover)


def finished(run: Run) -> Run | None:
    """The latest finished run with the kind and digest of ``run``; None if there is none."""
    key = run.kind, run.digest
    same = [other for other in runs() if other.finished and (other.kind, other.digest) == key]
    return same[-1] if same else None


def runs() -> list[Run]:
    """All runs, finished or not, oldest first. Damaged directories are named on stderr and left out."""
    readable = []
    for path in _run_folders():
        try:
            readable.append(validation.run(path))
        except (OSError, ValueError) as error:
            leave_out(path.name, error)
    return sorted(readable, key=lambda run: (run.started, run.id))


def _run_folders() -> list[Path]:
    """The directories of runs; hidden ones, which are still being created, are left out."""
    parent = home() / "runs"
    try:
        return [parent / name for name in sorted(os.listdir(parent)) if not name.startswith(".")]
    except FileNotFoundError:
        return []
    except OSError as error:
        say(f"no runs can be read from {parent}: {error.strerror}")
        return []


def fingerprint() -> list[tuple[str, str, int, int]]:
    """Run, name, size and time in nanoseconds of every file of all runs: it changes when a run does."""
    found = []
    for path in _run_folders():
        try:
            with os.scandir(path) as entries:
                facts = [(entry.name, entry.stat(follow_symlinks=_leads(entry))) for entry in entries]
        except OSError:
            continue  # removed since, or no directory
        found += [(path.name, name, stat.st_size, stat.st_mtime_ns) for name, stat in sorted(facts, key=str)]
    return found


def _leads(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is no link, or one that leads somewhere."""
    return not entry.is_symlink() or os.path.exists(entry.path)


def leave_out(run_id: str, error: Exception) -> None:
    """Report on stderr, in one line, that a run's files are damaged."""
    reason = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
    say(f"left out run {run_id}: {one_line(reason)[:200]}")


_RECORDS = """
    WITH records AS (
        SELECT COLUMNS(lambda name: lower(name) NOT IN ('run', 'filename')),
            parse_path(filename, 'forward_slash')[-2] AS run
        FROM read_parquet($paths, union_by_name=true, filename=true)
    )
"""
"""The run is that of the folder: a column with this name in the file does not count."""


def query(sql: str, run_ids: Sequence[str], **values: object) -> list[dict[str, Any]]:
    """The rows of a DuckDB query over ``records``: records of finished runs, with the run's id as ``run``.

    ``values``: name -> value of the query's parameters ``$name``.

    Raises DataError where a records file is missing or damaged.
    """
    import duckdb

    if not run_ids:
        return []
    paths = [_records_file(run_id) for run_id in run_ids]
    with duckdb.connect() as connection:
        try:
            result = connection.execute(
                _RECORDS + sql,
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


def records(run_id: str, names: Sequence[str] = (), sample_id: str | None = None) -> list[Record]:
    """The records of a finished run, in the order of their keys.

    ``names``: read these fields alone; all others have their defaults, or "". ``sample_id``: read the answers
    to this question alone. Raises DataError: missing or damaged.
    """
    read = {"sample_id", "sample_index", *names}
    empty = "".join(f", '' AS {name}" for name in validation.REQUIRED if name not in read)
    columns = f"COLUMNS(lambda name: name IN {tuple(sorted(read))}){empty}" if names else "*"
    where, values = ("", {}) if sample_id is None else ("WHERE sample_id = $id", {"id": sample_id})
    rows = query(
        f"SELECT {columns} FROM records {where} ORDER BY sample_id, sample_index", [run_id], **values
    )
    try:
        return validation.records(rows)
    except ValueError as error:
        raise DataError(f"records of {run_id}: {error}") from None


def first_readable(runs: Sequence[Run], sample_id: str | None = None) -> tuple[Run, list[Record]]:
    """The first run whose records can be read, with its records; runs before it are named on stderr.

    ``sample_id``: as for ``records``. Raises the DataError of the first run where no run can be read.
    """
    damaged: list[tuple[Run, DataError]] = []
    for run in runs:
        try:
            run_records = records(run.id, sample_id=sample_id)
        except DataError as error:
            damaged.append((run, error))
            continue
        for other, damage in damaged:
            leave_out(other.id, damage)
        return run, run_records
    raise damaged[0][1]


def scores(run_id: str) -> Mapping[str, Any]:
    """The content of ``scores.json`` of a finished run. Raises DataError, OSError, ValueError."""
    return validation.read_json(folder(run_id) / "scores.json")


def summary(run_id: str) -> Summary:
    """The summary of an evaluation, with checked types. Raises DataError, OSError, ValueError."""
    return validation.summary(folder(run_id))


def curve(run_id: str) -> list[dict[str, Any]]:
    """The training curve of a run, finished or not, by step; damaged lines are left out.

    Raises OSError, ValueError: it is no regular file.
    """
    lines, _ = validation.lines(folder(run_id) / "curve.jsonl", validation.curve_line)
    rows = {row["step"]: row for row in lines}
    return [rows[step] for step in sorted(rows)]
