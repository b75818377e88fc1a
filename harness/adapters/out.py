"""The folder that ``harness export PROGRAM --out DIR`` writes: whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tasks.common import files
from tasks.common.errors import SpecError
from tasks.databases.state import COMPANIONS, companions
from tasks.types import Engine


@contextmanager
def new_out(program: str, out: str) -> Iterator[Path]:
    """A folder to fill, which becomes ``out`` when the block ends without an error.

    Raises SpecError: ``out`` is not given, or there is a file or a filled folder; DataError: the disk fails.
    """
    if not out:
        raise SpecError(f"{program}: name the folder to write with --out DIR")
    path = Path(out)
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise SpecError(f"--out {out} is a file: name a new folder")
    if path.resolve() == Path.cwd():
        raise SpecError(f"--out {out} is the current folder: name a new one")
    if path.is_dir() and any(path.iterdir()):
        raise SpecError(f"--out {out} is a folder that is not empty: name a new one")
    with files.writing(path), files.new_folder(path) as folder:
        yield folder


class Copies:
    """Copies of files in one new folder. A file's further copies are hard links to its first one."""

    def __init__(self) -> None:
        self._first: dict[Path, Path] = {}

    def add(self, source: Path, target: Path) -> None:
        """Copy a file. Raises OSError."""
        target.parent.mkdir(parents=True, exist_ok=True)
        first = self._first.setdefault(source, target)
        if first != target:
            try:
                os.link(first, target)
                return
            except OSError:  # a file system without hard links
                pass
        shutil.copyfile(source, target)

    def add_database(self, source: Path, engine: Engine, target: Path) -> None:
        """Copy a database's file and those beside it that hold changes. Raises OSError."""
        self.add(source, target)
        for ending, file in zip(COMPANIONS[engine], companions(source, engine), strict=True):
            if file.is_file() and file.stat().st_size:
                self.add(file, target.with_name(target.name + ending))
