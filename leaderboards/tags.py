"""Tags of runs: empty files ``runs/<id>/tags/<tag>``, so that a tag changes no file that has a checksum."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from leaderboards import store
from tasks.common import files
from tasks.common.errors import DataError, nearest

TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")
"""A tag: it can be typed in a shell, and is the name of a file on every system."""


def read(run_id: str) -> tuple[str, ...]:
    """The tags of a run, sorted. Other files among them are ignored."""
    try:
        names = os.listdir(store.folder(run_id) / "tags")
    except OSError:
        return ()
    return tuple(sorted(name for name in names if TAG.fullmatch(name)))


def add(run_id: str, tags: Sequence[str]) -> None:
    """Add tags to a run. Raises DataError: no valid tag, or one that is the name of a run or a model."""
    runs = store.runs()
    for tag in tags:
        if not TAG.fullmatch(tag):
            raise DataError(
                f"'{tag}' is no tag: a tag has at most 40 letters, digits, '.', '_', '+' and '-',"
                " and begins with a letter or a digit"
            )
        if taken := next((run for run in runs if tag in (run.id, run.model, run.label)), None):
            what = "id" if tag == taken.id else "model"
            raise DataError(f"'{tag}' is the {what} of run {taken.id}: choose another tag")
    folder = store.folder(run_id) / "tags"
    with files.writing(folder):
        folder.mkdir(exist_ok=True)
        for tag in tags:
            (folder / tag).touch()


def remove(run_id: str, tags: Sequence[str]) -> None:
    """Remove tags from a run. Raises DataError: it does not have one of them; then none is removed."""
    present = read(run_id)
    for tag in tags:
        if tag not in present:
            raise DataError(f"run {run_id} has no tag '{tag}': {nearest(tag, present)}")
    folder = store.folder(run_id) / "tags"
    with files.writing(folder):
        for tag in tags:
            (folder / tag).unlink(missing_ok=True)
