"""Content of files as short names, each file read once: the basis of every "is this the same?".

What was read is kept in ``HARNESS_HOME/digests``, a line a file, under its resolved path and its state on
disk. A file that changed within the last SETTLED seconds may change again within the same tick of the file
system's clock, so its digest is not kept: it is read again the next time.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path
from zlib import crc32

from tasks.common import files
from tasks.common.errors import DataError
from tasks.common.file_state import state
from tasks.common.terminal import say
from tasks.spec import home

SETTLED = 2.0
"""Seconds for which a file must have been left alone before its digest is kept."""
PROGRESS_SECONDS = 2.0
"""Reading that takes longer says so on stderr."""
LENGTH = 16
"""Hex digits of a short digest."""
_BLOCK = 2**24


def digest_of(*parts: object) -> str:
    """A short digest of plain data: equal for equal values, whatever the order of the keys of a mapping."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits. Raises OSError."""
    return _store(str(home() / "digests")).digest(path)


def files_digest(files: Iterable[tuple[str, Path]]) -> str:
    """One short digest of several files, each under a name that does not depend on where it is."""
    return digest_of([[name, file_digest(path)] for name, path in sorted(files)])


@cache
def _store(place: str) -> _Digests:
    return _Digests(Path(place))


class _Digests:
    """The digests that are known, and the file that keeps them: the last line of a path counts."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._known: dict[str, tuple[str, str]] = {}
        """Path -> state and digest."""
        try:
            lines = files.read(place).decode("utf-8", "surrogateescape").split("\n")
        except (OSError, ValueError):
            lines = []
        for line in lines:
            check, _, kept = line.partition("\t")
            parts = kept.split("\t")
            if len(parts) == 3 and check == _check(kept):
                digest, found, path = parts
                self._known[path] = found, digest
        if len(lines) > 2 * len(self._known) + 1000:
            self._rewrite()

    def digest(self, path: Path) -> str:
        """SHA-256 of the file's content. Raises OSError."""
        where = json.dumps(os.path.realpath(path))
        before = state(path)
        kept = self._known.get(where)
        if kept and kept[0] == before:
            return kept[1]
        began = time.time()
        found = _read(path)
        if state(path) == before and began - path.stat().st_ctime > SETTLED:
            self._known[where] = before, found
            self._append(_line(found, before, where))
        return found

    def _append(self, line: str) -> None:
        """Keep a line. A home that cannot be written costs time at the next start, not this run."""
        if self._place.exists() and not self._place.is_file():
            return
        try:
            self._place.parent.mkdir(parents=True, exist_ok=True)
            with self._place.open("ab", buffering=0) as file:
                file.write(line.encode("utf-8", "surrogateescape"))
        except OSError:
            return

    def _rewrite(self) -> None:
        lines = [_line(digest, found, path) for path, (found, digest) in self._known.items()]
        with suppress(DataError):
            files.write(self._place, "".join(lines).encode("utf-8", "surrogateescape"), durable=False)


def _line(digest: str, found: str, path: str) -> str:
    """A line of the file, with a checksum in front: damage to it must not pass for other content."""
    kept = f"{digest}\t{found}\t{path}"
    return f"{_check(kept)}\t{kept}\n"


def _check(kept: str) -> str:
    return f"{crc32(kept.encode('utf-8', 'surrogateescape')):08x}"


def _read(path: Path) -> str:
    """SHA-256 of the file's bytes; a large file's progress goes to stderr."""
    sha, done, total = hashlib.sha256(), 0, path.stat().st_size
    told = time.monotonic()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            sha.update(block)
            done += len(block)
            if time.monotonic() - told > PROGRESS_SECONDS:
                told = time.monotonic()
                say(f"reading {path}: {done / 1e9:.1f} of {total / 1e9:.1f} GB")
    return sha.hexdigest()
