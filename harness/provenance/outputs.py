"""Check and lock the output of a command (``--out``) before any work, so that no other file is lost."""

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
    """Lock a training folder while the block runs; it is created if it is missing.

    Raises DataError: another process trains there, it cannot be written, or it holds other files.
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
    """Raise DataError if a folder has files and a training wrote none of them."""
    with files.writing(out):
        names = sorted(path.name for path in out.iterdir()) if out.is_dir() else []
    if set(names) - {"lock"} and not {"settings.json", "identity.json"} & set(names):
        raise DataError(f"--out {out}: it holds '{names[0]}' and no training: choose another folder")


@contextmanager
def rows_into(out: Path, verb: str = "sample") -> Iterator[None]:
    """Lock a file of ``harness sample`` or ``harness check`` while the block runs.

    Raises DataError: another process writes it, or it exists and another program wrote it.
    """
    if out.exists() and not _written_by(verb, out):
        raise DataError(f"{out} exists and harness {verb} did not write it: choose another file")
    with files.writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
    with files.only_writer(out, f"harness {verb}"):
        yield


def _written_by(verb: str, out: Path) -> bool:
    """Whether a file is empty, or its first line is a row that this verb writes."""
    try:
        first = files.read(out).split(b"\n", 1)[0]
        return not first or json.loads(first).keys() >= KEYS[verb]
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


@contextmanager
def evaluation_into(out: Path) -> Iterator[None]:
    """Lock the folder of ``eval --out`` for one run while the block runs; it is created if it is missing.

    Raises DataError: another process writes there, or it holds other files than a copy of a run.
    """
    with files.writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with files.only_writer(out / "run.json", "evaluation"):
        names = {path.name for path in out.iterdir()} - {".run.json.lock"}
        foreign = sorted(names - set(COPIED))
        if foreign or (names and "run.json" not in names):
            name = (foreign or sorted(names))[0]
            raise DataError(
                f"--out {out}: it holds '{name}', which is no copy of a run: choose another folder"
            )
        yield


def copy_run(run_id: str, out: Path) -> None:
    """Copy the files of a finished run into a folder, over an earlier copy."""
    with files.writing(out):
        out.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        file = store.folder(run_id) / name
        if file.exists():
            files.write(out / name, files.read(file))
        else:
            (out / name).unlink(missing_ok=True)
