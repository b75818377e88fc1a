"""Write a run: records and curve line by line while it runs, and the final files at its end."""

from __future__ import annotations

import hashlib
import io
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from leaderboards import validation
from leaderboards.types import Record, Run
from tasks.common import files, memory
from tasks.common.secrets import without_secrets
from tasks.common.terminal import say

if TYPE_CHECKING:
    import pyarrow as pa


def now() -> str:
    """The current time as ISO 8601 in UTC, with microseconds, because runs are ordered by it."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def run_json(run: Run) -> bytes:
    """The content of ``run.json``: the run without the secrets of its settings."""
    settings = asdict(run)
    digests = {name: settings.pop(name) for name in ("identity", "versions")}  # of what may have any name
    public = without_secrets(settings) | digests
    return files.as_json(files.with_checksum({name: public[name] for name in asdict(run)}))


class RunWriter:
    """A run that this process writes, from ``store.open_run``. An unfinished run can be continued later.

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
        stored, bad = validation.lines(self._partial, validation.record_line)
        rows, bad_rows = validation.lines(self._curve, validation.curve_line)
        if bad or bad_rows:
            say(f"run {run.id}: {bad + bad_rows} damaged lines are left out")
        self.done = {record.key: record for record, _ in stored}
        spent = [elapsed for _, elapsed in stored] + [row.get("elapsed", 0.0) for row in rows]
        before = max((seconds for seconds in spent if 0 <= seconds < math.inf), default=0.0)
        self._began = time.monotonic() - before
        memory.reset_peaks()

    @property
    def seconds(self) -> float:
        """Time spent on this run, in all processes that wrote it."""
        return time.monotonic() - self._began

    @property
    def records(self) -> list[Record]:
        """All records so far, in the order of their keys: sums do not depend on the order of writing."""
        return sorted(self.done.values(), key=lambda record: record.key)

    def append(self, records: Sequence[Record]) -> None:
        """Write records; a record replaces an earlier one with the same key."""
        clean = [_encodable(record) for record in records]
        elapsed = self.seconds
        lines = [files.with_checksum({"record": asdict(record), "elapsed": elapsed}) for record in clean]
        files.append_lines(self._partial, lines)
        self.done.update((record.key, record) for record in clean)

    def append_curve(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write rows of a training curve; a row replaces an earlier one with the same ``step``."""
        elapsed = self.seconds
        files.append_lines(self._curve, [files.with_checksum({**row, "elapsed": elapsed}) for row in rows])

    def note_sampling(self, sampling: Mapping[str, Any]) -> None:
        """Record the settings with which answers were drawn, if they differ from the planned ones."""
        if sampling != self.run.sampling:
            self.run = replace(self.run, sampling=dict(sampling))
            files.write(self.path / "run.json", run_json(self.run))

    def finish(self, summary: Mapping[str, Any], needed: Sequence[Mapping[str, Any]] = ()) -> Run:
        """Write the final files, then mark the run as finished, and close it.

        ``needed``: seconds, memory and gpu_memory of the other processes that judged parts of it.
        """
        content = _parquet(self.records)
        files.write(self.path / "records.parquet", content)
        files.write(self.path / "scores.json", files.as_json(files.with_checksum(summary)))
        digest = hashlib.sha256(content).hexdigest()
        self.run = replace(
            self.run,
            ended=now(),
            seconds=round(self.seconds + sum(one["seconds"] for one in needed), 3),
            memory=max([memory.peak(), *(one["memory"] for one in needed)]),
            gpu_memory=max([memory.gpu_peak() or 0, *(one["gpu_memory"] or 0 for one in needed)]) or None,
            records_sha256=digest,
        )
        files.write(self.path / "run.json", run_json(self.run))
        self._partial.unlink(missing_ok=True)
        self.close()
        return self.run

    def close(self) -> None:
        """Release the lock, so that another process can continue this run.

        A run without any record or curve is removed, because there is nothing to continue.
        """
        if not (self.run.finished or self.done or self._curve.exists()):
            files.remove(self.path)
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, error_type: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


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
