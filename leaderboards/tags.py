"""Tags of runs: empty files ``runs/<id>/tags/<tag>``, so that a tag changes no file that has a checksum."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from leaderboards import store
from tasks.common import files
from tasks.common.errors import DataError, nearest

TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,39}")
"""A tag: it can be typed in a shell, and is the name of a file on every system."""


def read(run_id: str) -> tuple[str, ...]:
    """The tags of a run, sorted. Other files among them are ignored, and a link in place of the folder."""
    folder = _folder(run_id)
    if folder.is_symlink():
        return ()
    try:
        names = os.listdir(folder)
    except OSError:
        return ()
    return tuple(sorted(name for name in names if TAG.fullmatch(name)))


def add(run_id: str, tags: Sequence[str]) -> None:
    """Add tags to a run. Raises DataError: no valid tag, or one that is the name of a run or a model.

    Also raised where the folder of tags is a link, which may lead out of the run's directory.
    """
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
    folder = _own_folder(run_id)
    with files.writing(folder):
        folder.mkdir(exist_ok=True)
        for tag in tags:
            if not os.path.lexists(folder / tag):
                (folder / tag).touch()


def remove(run_id: str, tags: Sequence[str]) -> None:
    """Remove tags from a run. Raises DataError: it does not have one of them; then none is removed.

    Also raised where the folder of tags is a link, which may lead out of the run's directory.
    """
    folder = _own_folder(run_id)
    present = read(run_id)
    for tag in tags:
        if tag not in present:
            raise DataError(f"run {run_id} has no tag '{tag}': {nearest(tag, present)}")
    with files.writing(folder):
        for tag in tags:
            (folder / tag).unlink(missing_ok=True)


def _folder(run_id: str) -> Path:
    return store.folder(run_id) / "tags"


def _own_folder(run_id: str) -> Path:
    folder = _folder(run_id)
    if folder.is_symlink():
        raise DataError(f"{folder} is a link: remove it")
    return folder
