"""The database that ``--db`` names: a file, or the URL of a database on a server."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from tasks.common.errors import SpecError
from tasks.databases.file_engine import engine_of_file
from tasks.databases.servers.address import ENGINES, EXAMPLE, engine_of, has_written_password, server_at
from tasks.prompts import render_schema
from tasks.spec import SchemaSpec, shipped
from tasks.types import Database, Engine, Schema

LONG_SCHEMA = 6_000
"""Characters of a schema above which a small model cannot read all of it and answer."""
SCHEMA_TOKENS = 1_000
"""Tokens that a prompt shows of a longer schema: the part that fits the question."""
_UP = 2
"""From so many folders above the spec on, a path in it is absolute."""
_PLACEHOLDER = re.compile(r"\{\w+\}")


@dataclass(frozen=True, slots=True)
class Place:
    """A database and the name of a task for it. ``path`` or ``url`` is set.

    ``variable``: the environment variable that holds the password, which ``url`` names in its place; "" if
    the URL was given without a written password.
    """

    name: str
    engine: Engine
    path: Path | None = None
    url: str = ""
    variable: str = ""

    def __str__(self) -> str:
        return str(self.path) if self.path else self.url

    def database(self) -> Database:
        """The database itself. Raises SpecError, DataError, MissingExtra: of a URL."""
        return Database(self.name, self.engine, (self.path or server_at(self.url),))

    def section(self, folder: Path | None = None) -> Mapping[str, str]:
        """The section ``databases`` of a spec in a folder; None: of one that is in no file."""
        if self.path is None:
            return {"url": self.url}
        return {
            "engine": self.engine,
            "path": spelled(self.path, folder) if folder else str(self.path.absolute()),
        }


def place_of(text: str, name: str = "") -> Place:
    """The database of a file name or URL. ``name`` "": a name is made from that of the database.

    A password written in a URL is put into the environment of this process, and does not occur in the
    result. Raises SpecError, DataError: there is no such database, or a name cannot stand in a spec.
    """
    if name:
        _expect_name(name)
    if "://" not in text:
        path = Path(text)
        if text.startswith("~/") and not path.exists():
            path = path.expanduser()
        engine = engine_of_file(path)
        expect_plain(path)
        return Place(name or _name_of(path.stem), engine, path)
    if not (url_engine := engine_of(text)):
        known = ", ".join(f"{scheme}://" for scheme in ENGINES)
        raise SpecError(f"not the URL of a database: it begins with one of {known}, as in {EXAMPLE}")
    _, _, rest = _divided(text)
    address = urlsplit(f"//{rest.removeprefix('@')}")
    database = unquote(address.netloc if text.startswith("embedded:") else address.path.lstrip("/"))
    if not database or "{" in database:
        raise SpecError(f"--db: write the name of the database at the end of the URL: {EXAMPLE}")
    name = name or _name_of(database)
    url, variable = _without_password(text, name)
    return Place(name, url_engine, url=url, variable=variable)


def schema_tokens(schema: Schema) -> int:
    """``prompt.schema.max_tokens`` of a new task for a database; 0: its whole schema is shown."""
    return SCHEMA_TOKENS if len(render_schema(SchemaSpec(), schema)) > LONG_SCHEMA else 0


def spelled(path: Path, folder: Path) -> str:
    """A path as a spec in ``folder`` has it: relative where it is near, else absolute."""
    absolute = path.parent.resolve() / path.name
    relative = os.path.relpath(absolute, folder.resolve())
    if relative.split(os.sep).count("..") > _UP:
        return str(absolute)
    return f"./{relative}" if relative.startswith(("~", "$")) else relative


def expect_plain(path: Path, pattern: bool = False) -> None:
    """Raise SpecError where a path has characters that mean something else in a spec.

    ``pattern``: the spec takes it as the pattern of a dataset's files.
    """
    whole = str(path.absolute())
    if found := _PLACEHOLDER.search(whole):
        raise SpecError(f"{path}: {found[0]} in a path is a placeholder in a task: rename the file or folder")
    if pattern and set("*?") & set(path.name):
        raise SpecError(f"{path}: * and ? in the name of a file stand for several files: rename it")
    if not whole.isprintable():
        raise SpecError(f"{path}: the path has characters that cannot be printed: rename it")


def _expect_name(name: str) -> None:
    if not re.fullmatch(r"[\w.-]+", name) or not name.strip("."):
        raise SpecError(f"--name {name}: use letters, digits, '_', '-' and '.'")
    if name in shipped():
        raise SpecError(f"--name {name}: a task that ships has this name: choose another")


def _name_of(database: str) -> str:
    """A name for the task of a database, of which no shipped task has one."""
    name = re.sub(r"[^\w-]+", "_", database).strip("_") or "own"
    return f"my_{name}" if name in shipped() else name


def _without_password(url: str, name: str) -> tuple[str, str]:
    """A URL with a variable in place of its password, and the variable's name; the password is put there.

    Raises SpecError: a part of the password is elsewhere in the URL.
    """
    if not has_written_password(url):
        return url, ""
    scheme, login, rest = _divided(url)
    user, _, password = login.partition(":")
    plain = re.sub(r"\W", "_", name, flags=re.ASCII).upper().strip("_")
    variable = f"{plain}_PASSWORD" if plain[:1].isalpha() else f"DB_{plain}_PASSWORD".replace("__", "_")
    hidden = f"{scheme}{user}:${{{variable}}}{rest}"
    if "$" in password or has_written_password(hidden):
        raise SpecError(f"--db: the password of the URL must come from the environment: {EXAMPLE}")
    os.environ[variable] = unquote(password)
    return hidden, variable


def _divided(url: str) -> tuple[str, str, str]:
    """The scheme with ``://``, the user with the password, and the rest, which then begins with ``@``."""
    scheme, separator, place = url.partition("://")
    login = re.split(r"[/?#]", place, maxsplit=1)[0].rpartition("@")[0] or place.rpartition("@")[0]
    return scheme + separator, login, place[len(login) :]
