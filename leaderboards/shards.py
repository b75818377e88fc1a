"""One evaluation by several processes: each judges a shard of the questions, and the last makes the run.

``<run>/shards-of-<n>/<i>/`` has the files of an unfinished run (``leaderboards.store``) with the records of
shard i, and ``done.json`` after its last record: what the shard needed. The run itself has no records until
all shards have theirs. The processes share nothing but this folder, so they may be on several machines.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TypeVar

from typing_extensions import TypedDict

from leaderboards import store, validation
from leaderboards.summary import summary
from leaderboards.types import Record, Run
from leaderboards.writer import RunWriter, now, run_json
from tasks.common import files, memory
from tasks.common.errors import DataError
from tasks.common.home import home

T = TypeVar("T")
DONE = "done.json"
_COUNT = re.compile(r"[1-9][0-9]{0,5}")


@dataclass(frozen=True, slots=True)
class Shard:
    """Shard ``index`` of ``count``, counted from 1."""

    index: int
    count: int

    def of(self, items: Sequence[T]) -> Sequence[T]:
        """Its part of some items: neighbours stay together, because questions on one database share work."""
        return items[len(items) * (self.index - 1) // self.count : len(items) * self.index // self.count]

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


class Needed(TypedDict):
    """The records of a shard, and what it needed for them."""

    records: int
    seconds: float
    memory: int
    gpu_memory: int | None


def open_shard(run: Run, shard: Shard, questions: int) -> RunWriter:
    """Start this shard of a run with so many questions, or continue it; the first shard makes the run.

    The writer's ``run`` is that of all shards. Raises DataError: another process judges this shard, there are
    fewer questions than shards, or the directory cannot be written.
    """
    if shard.count > questions:
        raise DataError(f"{questions} questions cannot be divided into {shard.count} shards")
    with files.alone(home() / "shards.lock"):
        shared = _shared(run, shard.count) or _created(run, shard.count)
    path = _part(shared.id, shard)
    with files.writing(path):
        path.mkdir(parents=True, exist_ok=True)
    lock = files.lock(path / "lock")
    if lock is None:
        raise DataError(f"another process judges shard {shard} of {shared.id}")
    files.write(path / "run.json", run_json(shared))
    return RunWriter(shared, path, lock)


def complete(writer: RunWriter) -> None:
    """Note that a shard has all its records, and what it needed. Raises DataError."""
    needed = Needed(
        records=len(writer.done),
        seconds=writer.seconds,
        memory=memory.peak(),
        gpu_memory=memory.gpu_peak(),
    )
    files.write(writer.path / DONE, files.as_json(files.with_checksum(needed)))


def is_complete(run_id: str, shard: Shard) -> bool:
    """Whether a shard of an unfinished run has all its records."""
    return (_part(run_id, shard) / DONE).is_file()


def missing(run_id: str) -> list[Shard]:
    """The shards of a run that are not complete; none once it is finished.

    Raises DataError: it is unfinished, and has no shards.
    """
    shards = _shards(run_id)
    left = [shard for shard in shards if not is_complete(run_id, shard)]
    if (left or not shards) and _is_finished(run_id):  # another process has put it together meanwhile
        return []
    if not shards:
        raise DataError(f"run {run_id} has no shards")
    return left


def merge(run_id: str) -> Run:
    """Make the run of its shards, which are removed then, if all of them are complete.

    A run that is finished, or whose shards are not, is returned as it is. Raises DataError: a shard is
    damaged, or it has none.
    """
    path = store.folder(run_id)
    with files.alone(path / "lock") as lock:
        try:
            run = validation.run(path)
            return run if run.finished or missing(run_id) else _merged(run, path, lock)
        except (OSError, ValueError) as error:
            raise DataError(f"run {run_id}: {error}") from None


def _merged(run: Run, path: Path, lock: IO[bytes]) -> Run:
    shards = _shards(run.id)
    folder = _folder(run.id, len(shards))
    records: list[Record] = []
    needed: list[Needed] = []
    for shard in shards:
        part = _part(run.id, shard)
        found, _ = validation.lines(part / "partial.jsonl", validation.record_line)
        by_key = {record.key: record for record, _ in found}
        needed.append(validation.checked(Needed, validation.read_json(part / DONE)))
        if len(by_key) != needed[-1]["records"]:
            (part / DONE).unlink()
            raise DataError(f"run {run.id}: the records of shard {shard} are damaged: run that command again")
        records += by_key.values()
    if len({record.key for record in records}) < len(records):
        raise DataError(
            f"run {run.id}: two shards hold the same answers: remove {folder}, and run them again"
        )
    sampling = validation.run(_part(run.id, shards[0])).sampling
    with RunWriter(replace(run, sampling=sampling), path, lock) as writer:
        writer.append(records)
        finished = writer.finish(summary(writer.records), needed)
    files.remove(folder)
    return finished


def _shared(run: Run, count: int) -> Run | None:
    """The unfinished run of the same inputs that is cut into so many shards."""
    same = [
        other
        for other in store.runs()
        if not other.finished and store.continues(run, other) and _folder(other.id, count).is_dir()
    ]
    return same[-1] if same else None


def _created(run: Run, count: int) -> Run:
    run = replace(run, started=run.started or now())
    path = store.folder(run.id)
    with files.writing(path), files.new_folder(path) as building:
        (building / _folder(run.id, count).name).mkdir()
        files.write(building / "run.json", run_json(run))
    return run


def _folder(run_id: str, count: int) -> Path:
    return store.folder(run_id) / f"{store.SHARDS}{count}"


def _part(run_id: str, shard: Shard) -> Path:
    return _folder(run_id, shard.count) / str(shard.index)


def _shards(run_id: str) -> list[Shard]:
    """All shards of a run; empty if it has none."""
    for path in store.folder(run_id).glob(f"{store.SHARDS}*"):
        if _COUNT.fullmatch(count := path.name.removeprefix(store.SHARDS)):
            return [Shard(index, int(count)) for index in range(1, int(count) + 1)]
    return []


def _is_finished(run_id: str) -> bool:
    try:
        return validation.run(store.folder(run_id)).finished
    except (OSError, ValueError) as error:
        raise DataError(f"run {run_id}: {error}") from None
