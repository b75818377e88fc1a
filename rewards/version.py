"""The version of the scorer: a digest of the code that decides verdicts and of the libraries' versions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import rewards
import tasks
from tasks.types import Engine

LENGTH = 12
"""Hex digits of a version."""
_TASK_FILES = ("given.py", "types.py", "terms.py", "thoughts.py", "translation.py")
"""Files of the package ``tasks`` that decide verdicts, beside ``tasks/databases`` and ``tasks/common``."""

_PACKAGES: dict[Engine, str] = {"duckdb": "duckdb", "postgres": "psycopg", "mariadb": "PyMySQL"}
"""The package of an engine. The version of a server is part of its databases' digest."""


def sources() -> list[Path]:
    """The files that decide verdicts: ``rewards``, ``tasks/databases``, ``tasks/common`` and _TASK_FILES."""
    scorers, task_files = Path(rewards.__path__[0]), Path(tasks.__path__[0])
    folders = (scorers, task_files / "databases", task_files / "common")
    paths = [path for folder in folders for path in folder.rglob("*.py")]
    return sorted([*paths, *(task_files / name for name in _TASK_FILES)])


@cache
def code_version() -> str:
    """Changes with every byte of ``sources()``."""
    return digest_of_files(sources())


def digest_of_files(files: Iterable[Path]) -> str:
    """A digest of the content of files in this order, with their names and those of their folders."""
    sha = sha256()
    for file in files:
        sha.update(f"{file.parent.name}/{file.name}\0".encode() + sha256(file.read_bytes()).digest())
    return sha.hexdigest()[:LENGTH]


@cache
def scorer_version(engine: Engine) -> str:
    """A digest of all that can change a score on this engine: the code, sqlglot and the engine's version."""
    release = sqlite3.sqlite_version if engine == "sqlite" else version(_PACKAGES[engine])
    return sha256(f"{code_version()} {version('sqlglot')} {engine} {release}".encode()).hexdigest()[:LENGTH]


def versions() -> dict[str, str]:
    """The versions of what decides verdicts, by name; those of servers and their clients left out."""
    packages = {name: version(name) for name in ("sqlglot", "duckdb")}
    return {"code": code_version(), "sqlite": sqlite3.sqlite_version, **packages}
