"""Run directories: ``<home>/runs/<id>/``, one a run, so that no run can corrupt another.

``run.json``         the ``Run``; it says ``ended`` only once everything else is on disk
``partial.jsonl``    records so far, a line each, while an evaluation runs; a torn last line is dropped
``records.parquet``  the records of a finished run
``scores.json``      its summary
``curve.jsonl``      one row a logged training step
``lock``             held by the process that writes the run
"""

from __future__ import annotations

import io
import json
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from leaderboards import files
from leaderboards.types import Record, Run, label
from tasks.errors import DataError
from tasks.spec import home
from tasks.terminal import one_line, say

if TYPE_CHECKING:
    import pyarrow as pa


def folder(run_id: str) -> Path:
    """The directory of a run."""
    return home() / "runs" / run_id


def new_id(model: str, task: str) -> str:
    """A fresh id that a person can type: ``<model>-<task>-<six hex digits>``."""
    name = re.sub(r"[^a-z0-9.]+", "-", f"{label(model)[-40:]}-{task}".lower()).strip("-.")
    return f"{name}-{secrets.token_hex(3)}"


class Handle:
    """A run being written by this process. Made by ``open_run``; closing it unfinished keeps what is there.

    Attributes: ``run``, ``path`` (its directory), ``done`` (key -> record, for all records so far).
    """

    def __init__(self, run: Run, path: Path, lock: IO[bytes]) -> None:
        self.run = run
        self.path = path
        self._lock = lock
        self._partial = path / "partial.jsonl"
        self._curve = path / "curve.jsonl"
        for file in (self._partial, self._curve):
            files.cut_torn_line(file)
        kept = files.read_lines(self._partial)
        records = [Record(**line["record"]) for line in kept]
        self.done = {record.key: record for record in records}
        before = max((line["elapsed"] for line in kept + files.read_lines(self._curve)), default=0.0)
        self._began = time.monotonic() - before

    @property
    def seconds(self) -> float:
        """Time spent on this run, with the sessions before this one."""
        return time.monotonic() - self._began

    def append(self, records: Sequence[Record]) -> None:
        """Keep these records; a record with the key of an earlier one replaces it."""
        clean = [_encodable(record) for record in records]
        elapsed = self.seconds
        files.append_lines(self._partial, [{"record": asdict(r), "elapsed": elapsed} for r in clean])
        self.done.update((record.key, record) for record in clean)

    def append_curve(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep rows of a training curve, each with its ``step``; a step logged again replaces itself."""
        elapsed = self.seconds
        files.append_lines(self._curve, [{**row, "elapsed": elapsed} for row in rows])

    def finish(self, summary: Mapping[str, Any]) -> Run:
        """Write everything, then mark the run as finished, and close it."""
        records = sorted(self.done.values(), key=lambda record: record.key)
        files.write(self.path / "records.parquet", _parquet(records))
        files.write(self.path / "scores.json", files.as_json(summary))
        self.run = replace(self.run, ended=_now(), seconds=round(self.seconds, 3))
        files.write(self.path / "run.json", files.as_json(asdict(self.run)))
        self._partial.unlink(missing_ok=True)
        self.close()
        return self.run

    def close(self) -> None:
        """Let another process go on with this run."""
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_run(run: Run) -> Handle:
    """Begin this run, or go on with an unfinished one of its kind and digest that nobody is writing.

    The handle's ``run`` says which. Raises DataError where the disk does not let it.
    """
    for other in runs():
        if other.finished or (other.kind, other.digest) != (run.kind, run.digest):
            continue
        path = folder(other.id)
        lock = files.lock(path)
        if lock is None:
            continue
        current = _read(path)
        if not current.finished:
            return Handle(current, path, lock)
        lock.close()
    return _begin(replace(run, started=run.started or _now()))


def _begin(run: Run) -> Handle:
    path = folder(run.id)
    building = path.with_name(f".{run.id}.{secrets.token_hex(3)}")
    with files.writing(path):
        building.mkdir(parents=True)
        lock = files.lock(building)
        assert lock is not None, "nobody else knows this directory yet"
        files.write(building / "run.json", files.as_json(asdict(run)))
        building.rename(path)
    return Handle(run, path, lock)


def finished(run: Run) -> Run | None:
    """The latest finished run of this kind and digest."""
    same = [one for one in runs() if one.finished and (one.kind, one.digest) == (run.kind, run.digest)]
    return same[-1] if same else None


def runs() -> list[Run]:
    """All runs, finished or not, oldest first. A broken one is named on stderr and left out."""
    found = []
    for path in sorted((home() / "runs").glob("[!.]*/run.json")):
        try:
            found.append(_read(path.parent))
        except (OSError, ValueError, TypeError) as error:
            leave_out(path.parent.name, error)
    return sorted(found, key=lambda run: (run.started, run.id))


def leave_out(run_id: str, error: Exception) -> None:
    """Say on stderr, in one line, that a run's files are broken."""
    say(f"left out run {run_id}: {one_line(str(error))[:200]}")


def query(sql: str, run_ids: Sequence[str], **values: object) -> list[dict[str, Any]]:
    """Rows of a DuckDB query over ``records``: those of finished runs, with their run's id in ``run``.

    ``values`` fill the query's ``$name``s.

    Raises DataError where a records file is missing or broken.
    """
    import duckdb

    if not run_ids:
        return []
    paths = [str(folder(run_id) / "records.parquet") for run_id in run_ids]
    source = "read_parquet($paths, union_by_name=true, filename=true)"
    with duckdb.connect() as connection:
        try:
            result = connection.execute(
                f"WITH records AS (SELECT *, parse_path(filename)[-2] AS run FROM {source}) {sql}",
                {"paths": paths, **values},
            )
            names = [column[0] for column in result.description]
            return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
        except duckdb.Error as error:
            raise DataError(f"records of {', '.join(run_ids)}: {' '.join(str(error).split())}") from None


def records(run_id: str) -> list[Record]:
    """The records of a finished run, in the order of their keys."""
    names = ", ".join(field.name for field in fields(Record))
    rows = query(f"SELECT {names} FROM records ORDER BY sample_id, sample_index", [run_id])
    return [Record(**row) for row in rows]


def scores(run_id: str) -> dict[str, Any]:
    """The summary that a finished run was closed with."""
    return dict(json.loads((folder(run_id) / "scores.json").read_text(encoding="utf-8")))


def curve(run_id: str) -> list[dict[str, Any]]:
    """The training curve of a run, finished or not, by step."""
    rows = {row["step"]: row for row in files.read_lines(folder(run_id) / "curve.jsonl")}
    return [rows[step] for step in sorted(rows)]


def _read(path: Path) -> Run:
    return Run(**json.loads((path / "run.json").read_text(encoding="utf-8")))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _encodable(record: Record) -> Record:
    """The record with lone surrogates, which no file can hold, replaced by ``?``."""
    values = asdict(record)
    for name, value in values.items():
        if isinstance(value, str):
            values[name] = value.encode("utf-8", "replace").decode()
    return Record(**values)


def _parquet(records: Sequence[Record]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([asdict(record) for record in records], schema=_schema())
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()


def _schema() -> pa.Schema:
    """The columns of ``records.parquet``: the fields of ``Record``, in their order."""
    import pyarrow as pa

    types = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}
    return pa.schema([(f.name, types[str(f.type).removesuffix(" | None")]) for f in fields(Record)])
