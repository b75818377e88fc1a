"""Recognize the engine of a database file by its first bytes, as a user names it on the command line."""

from __future__ import annotations

from pathlib import Path

from tasks.common.errors import DataError, nearest
from tasks.types import Engine

_BYTES = 32
_SQLITE = b"SQLite format 3\0"
_DUCKDB = slice(8, 12), b"DUCK"
"""DuckDB's mark follows a checksum of 8 bytes."""
_LISTED = 5
_ENDINGS = frozenset({".sqlite", ".sqlite3", ".db", ".db3", ".duckdb", ".ddb"})
_OTHERS = {
    b"\x1f\x8b": "a gzip archive: unpack it first",
    b"PK\x03\x04": "a zip archive or an Excel file: unpack it, or load its tables into a database first",
    b"PAR1": "a parquet file: load it into a database first (duckdb NEW.duckdb)",
    b"PGDMP": "a dump of PostgreSQL: restore it with pg_restore, and name the database by its URL",
    b"\x00\x01\x00\x00Standard": "an Access file: load its tables into a database first",
}
"""The first bytes of other files -> what they are, and what to do."""
_SCRIPT = ("create ", "insert ", "pragma ", "begin", "--", "/*", "drop ", "set ")


def engine_of_file(path: Path) -> Engine:
    """``sqlite`` or ``duckdb``. An empty file is a SQLite database without tables, as for SQLite.

    Raises DataError: there is no such file, or it is no database that can be read; the message has the fix.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder: name the database file{_inside(path)}")
    if not path.exists():
        raise DataError(f"no such database: {path}{_similar(path)}")
    if not path.is_file():
        raise DataError(f"{path} is no plain file: name a database file")
    try:
        with path.open("rb") as file:
            start = file.read(_BYTES)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    if not start or start.startswith(_SQLITE):
        return "sqlite"
    place, mark = _DUCKDB
    if start[place] == mark:
        return "duckdb"
    raise DataError(f"{path} is no SQLite or DuckDB database: {_what_it_is(start)}")


def _what_it_is(start: bytes) -> str:
    for mark, description in _OTHERS.items():
        if start.startswith(mark):
            return description
    text = start.removeprefix(b"\xef\xbb\xbf").decode("latin-1").lower()
    if text.lstrip().startswith(_SCRIPT):
        return "an SQL script: load it first (sqlite3 NEW.sqlite < FILE)"
    if all(char.isprintable() or char.isspace() for char in text):
        return (
            "a text file: load it into a database first (duckdb NEW.duckdb \"CREATE TABLE t AS FROM 'FILE'\")"
        )
    return "it is encrypted or damaged, or of another program"


def _inside(folder: Path) -> str:
    """The databases in a folder, by their endings, as the end of a message."""
    names = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in _ENDINGS)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f" in it: {', '.join(names[:_LISTED])}{more}" if names else ""


def _similar(path: Path) -> str:
    names = [file.name for file in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = nearest(path.name, names[:1000]) if names else ""
    return f": {hint}" if hint.startswith("did") else ""
