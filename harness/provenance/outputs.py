"""Where a command writes (``--out``), looked at before anything is spent: no foreign file is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from leaderboards import store
from runners.training import distributed
from tasks.common import files
from tasks.common.errors import DataError

COPIED = ("run.json", "records.parquet", "scores.json", "curve.jsonl")
"""The files of a finished run."""
KEYS = {"sample": {"prompt", "completion"}, "check": {"id", "question", "database", "gold"}}
"""Verb -> keys of every row that it writes."""


@contextmanager
def training_into(out: Path) -> Iterator[None]:
    """Keep other trainings out of a folder, which is made if it is missing, while the block runs.

    Raises DataError: another process trains there, it cannot be written, or it holds no training.
    """
    if not distributed.is_main():
        yield
        return
    refuse_foreign(out)
    with files.writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with files.only_writer(out, "training"):
        yield


def refuse_foreign(out: Path) -> None:
    """Raise DataError where a folder holds something and no training began there."""
    with files.writing(out):
        found = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    if set(found) - {"lock"} and not {"settings.json", "identity.json"} & set(found):
        raise DataError(f"--out {out}: it holds '{found[0]}' and no training: name another folder")


@contextmanager
def rows_into(out: Path, verb: str = "sample") -> Iterator[None]:
    """Keep other processes from writing a file of ``harness sample``, or of ``check``, while the block runs.

    Raises DataError: another process writes it, or what stands there is no such file.
    """
    if out.exists() and not _written_by(verb, out):
        raise DataError(f"{out} exists and harness {verb} did not write it: name another file")
    with files.writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with files.only_writer(out, f"harness {verb}"):
        yield


def _written_by(verb: str, out: Path) -> bool:
    """Whether a file is empty, or its first line is a row of this verb's."""
    try:
        first = files.read(out).split(b"\n", 1)[0]
        return not first or json.loads(first).keys() >= KEYS[verb]
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def copy_into(out: Path) -> None:
    """Make the folder of ``eval --out``. Raises DataError: it holds what is no copy of a run."""
    with files.writing(out):
        out.mkdir(parents=True, exist_ok=True)
        found = [path.name for path in out.iterdir()]
    foreign = sorted(set(found) - set(COPIED))
    if foreign or (found and "run.json" not in found):
        name = foreign[0] if foreign else found[0]
        raise DataError(f"--out {out}: it holds '{name}', which is no copy of a run: name another folder")


def copy_run(run_id: str, out: Path) -> None:
    """Copy a finished run into a folder of ``copy_into``."""
    copy_into(out)
    for name in COPIED:
        file = store.folder(run_id) / name
        if file.exists():
            files.write(out / name, files.read(file))
        else:
            (out / name).unlink(missing_ok=True)
