"""Comments on tables and columns: in a SQLite database's DDL, and in files beside a database as in BIRD.

DuckDB and PostgreSQL keep comments in their catalogues, from which ``describe`` reads them. BIRD's files are
``database_description/TABLE.csv`` beside the database file, with a row for each column.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path

from tasks.common.caches import cached_by_identity
from tasks.common.errors import DataError
from tasks.common.files import state
from tasks.databases.sql_text import one_line
from tasks.databases.state import file_of, on_server
from tasks.types import Database, Schema, Table

FOLDER = "database_description"
LARGEST = 2**20
"""Bytes of a description file that are read."""
_TOKEN = re.compile(
    r"""--(?P<line>[^\n]*) | /\*(?P<block>.*?)(?:\*/|\Z) | (?P<mark>[(),\n])
      | '[^']*(?:'|\Z) | "(?P<double>[^"]*)(?:"|\Z) | `(?P<tick>[^`]*)(?:`|\Z) | \[(?P<square>[^\]]*)(?:\]|\Z)
      | (?P<word>[\w$]+) | \s+ | .""",
    re.DOTALL | re.VERBOSE,
)


def with_comments(database: Database, schema: Schema) -> Schema:
    """The schema with the comments of a SQLite database's DDL and of the files beside a database.

    A file's text replaces the DDL's. Raises DataError: such a file cannot be read.
    """
    files = description_files(database)
    return Schema(_commented(schema.tables, tuple((file, state(file)) for file in files)), schema.values)


def description_files(database: Database) -> list[Path]:
    """The files that describe the tables of a database, by name."""
    if not database.instances or on_server(database):
        return []
    return sorted((file_of(database, 0).parent / FOLDER).glob("*.csv"))


@cached_by_identity(256)
def _commented(tables: tuple[Table, ...], files: tuple[tuple[Path, str], ...]) -> tuple[Table, ...]:
    described = {file.stem.strip().lower(): _described(file) for file, _ in files}
    return tuple(_with(table, described.get(table.name.lower(), {})) for table in tables)


def _with(table: Table, described: Mapping[str, str]) -> Table:
    """The table with its comments: of the file, else of the DDL, else those that it has."""
    written = ddl_comments(table.ddl) if "--" in table.ddl or "/*" in table.ddl else {}
    columns = []
    for column in table.columns:
        name = column.name.lower()
        comment = described.get(name) or column.comment or written.get(name, "")
        columns.append(replace(column, comment=comment) if comment != column.comment else column)
    return replace(table, columns=tuple(columns), comment=table.comment or written.get("", ""))


def ddl_comments(ddl: str) -> dict[str, str]:
    """Column, in lower case -> the comments on it in a CREATE TABLE; "" -> the comments on the table.

    A comment belongs to the column before it on the same line, else to the next column; those before the
    first column's line, to the table.
    """
    comments: dict[str, list[str]] = {}
    depth, name, waiting, ended = 0, "", list[str](), False
    expects_name = fresh_line = False
    for token in _TOKEN.finditer(ddl):
        text = next((part for part in (token["line"], token["block"]) if part is not None), None)
        if text is not None:
            if name and not fresh_line:
                comments.setdefault(name, []).append(text)
            elif depth == 0 or (not name and expects_name and not fresh_line):
                comments.setdefault("", []).append(text)
            else:
                waiting.append(text)
            continue
        mark = token["mark"]
        if mark == "\n":
            fresh_line = True
            name = "" if ended else name
        elif mark == "(":
            depth += 1
            expects_name, fresh_line = expects_name or depth == 1, fresh_line and depth > 1
        elif mark == ")":
            depth -= 1
        elif mark == "," and depth == 1:
            expects_name = ended = True
        elif expects_name and (found := _name(token)) is not None:
            name, expects_name, fresh_line, ended = found.lower(), False, False, False
            comments.setdefault(name, []).extend(waiting)
            waiting = []
        elif not token[0].isspace():
            fresh_line = False
    return {name: joined for name, texts in comments.items() if (joined := one_line(" ".join(texts)))}


def _name(token: re.Match[str]) -> str | None:
    """The name that a token writes; None for a token that writes none."""
    return next((part for key in ("double", "tick", "square", "word") if (part := token[key])), None)


def _described(file: Path) -> dict[str, str]:
    """Column, in lower case -> what a description file says of it."""
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    rows = csv.DictReader(StringIO(_decoded(content), newline=""))
    try:
        return {
            name.strip().lower(): text
            for row in rows
            if (name := row.get("original_column_name")) and (text := one_line(". ".join(_texts(row, name))))
        }
    except csv.Error as error:
        raise DataError(f"{file}: {error}") from None


def _texts(row: Mapping[str, str | None], name: str) -> Iterator[str]:
    """The texts of a row, without those that repeat what comes before them."""
    before = " ".join(re.findall(r"\w+", name.lower().replace("_", " ")))
    for key in ("column_name", "column_description", "value_description"):
        text = (row.get(key) or "").strip().rstrip(".")
        words = " ".join(re.findall(r"\w+", text.lower().replace("_", " ")))
        if words and words not in before:
            yield text
            before += " " + words


def _decoded(content: bytes) -> str:
    """The text of a file, which in BIRD is UTF-8 or Windows' Latin-1."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")
