"""Digests of files and data, by which their contents are compared.

Each file is read once: its digest is cached in ``HARNESS_HOME/digests``, one line a file, under the file's
resolved path and its state on disk. A file that changed within the last SETTLED seconds may change again
within the same tick of the file system's clock, so its digest is not cached.
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

from tasks.common import files
from tasks.common.errors import DataError
from tasks.common.home import home
from tasks.common.terminal import say

SETTLED = 2.0
"""Seconds for which a file must be unchanged before its digest is cached."""
PROGRESS_SECONDS = 2.0
"""Seconds of reading between two lines of progress on stderr."""
LENGTH = 16
"""Hex digits of a short digest."""
_BLOCK = 2**24


def expect_sha256(path: Path, expected: str) -> None:
    """Compare a file's content with the SHA-256 that was noted of it; "" where none was noted.

    Raises OSError; ValueError: it has changed, or is no regular file, which other readers might wait for.
    """
    files.expect_regular(path)
    if expected and hashlib.sha256(files.read(path)).hexdigest() != expected:
        raise ValueError("changed since it was written")


def digest_of(*parts: object) -> str:
    """A short digest of plain data. The order of a mapping's keys does not matter."""
    text = json.dumps(parts, sort_keys=True, default=str, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, 64 hex digits. Raises OSError."""
    return _store(str(home() / "digests")).digest(path)


def files_digest(files: Iterable[tuple[str, Path]]) -> str:
    """One short digest of several files, each with a name that does not depend on its folder."""
    return digest_of([[name, file_digest(path)] for name, path in sorted(files)])


@cache
def _store(place: str) -> _Digests:
    return _Digests(Path(place))


class _Digests:
    """The digests that are cached, and the file that holds them. The last line of a path counts."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._known: dict[str, tuple[str, str]] = {}
        """Path -> state and digest."""
        try:
            lines = files.read(cache).decode("utf-8", "surrogateescape").split("\n")
        except (OSError, ValueError):
            lines = []
        for line in lines:
            parts = line.partition("\t")[2].split("\t")
            if len(parts) == 3 and line + "\n" == _line(*parts):
                digest, file_state, path = parts
                self._known[path] = file_state, digest
        if len(lines) > 2 * len(self._known) + 1000:
            self._rewrite()

    def digest(self, path: Path) -> str:
        """SHA-256 of the file's content. Raises OSError."""
        key = json.dumps(os.path.realpath(path))
        before = files.state(path)
        cached = self._known.get(key)
        if cached and cached[0] == before:
            return cached[1]
        began = time.time()
        digest = _read(path)
        if files.state(path) == before and began - path.stat().st_ctime > SETTLED:
            self._known[key] = before, digest
            self._append(_line(digest, before, key))
        return digest

    def _append(self, line: str) -> None:
        """Add a line to the cache. If it cannot be written, the file is read again at the next start."""
        if self._cache.exists() and not self._cache.is_file():
            return
        with suppress(OSError):
            self._cache.parent.mkdir(parents=True, exist_ok=True)
            with self._cache.open("ab", buffering=0) as file:
                file.write(line.encode("utf-8", "surrogateescape"))

    def _rewrite(self) -> None:
        lines = [_line(digest, file_state, path) for path, (file_state, digest) in self._known.items()]
        with suppress(DataError):
            files.write(self._cache, "".join(lines).encode("utf-8", "surrogateescape"), durable=False)


def _line(digest: str, file_state: str, path: str) -> str:
    """A line of the cache. Its checksum keeps a damaged line from passing for another digest."""
    text = f"{digest}\t{file_state}\t{path}"
    return f"{files.checksum(text.encode('utf-8', 'surrogateescape'))}\t{text}\n"


def _read(path: Path) -> str:
    """SHA-256 of the file's bytes; the progress of a large file goes to stderr."""
    digest, done, total = hashlib.sha256(), 0, path.stat().st_size
    reported = time.monotonic()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            if time.monotonic() - reported > PROGRESS_SECONDS:
                reported = time.monotonic()
                say(f"reading {path}: {done / 1e9:.1f} of {total / 1e9:.1f} GB")
    return digest.hexdigest()
