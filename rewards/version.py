"""The version of the scorer: derived from the code that decides verdicts and the libraries it runs on."""

from __future__ import annotations

import sqlite3
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import rewards
import tasks
from tasks.types import Engine

LENGTH = 12
"""Hex digits of a version."""
ALSO = ("types.py", "terms.py", "thoughts.py")
"""Of the package ``tasks``, beside all of ``tasks/databases`` and ``tasks/common``."""


def sources() -> list[Path]:
    """What decides verdicts: ``rewards``, ``tasks/databases``, ``tasks/common`` and what they import."""
    scorers, ground = Path(rewards.__path__[0]), Path(tasks.__path__[0])
    found = [*scorers.rglob("*.py"), *(ground / "databases").rglob("*.py")]
    found += [*(ground / "common").rglob("*.py"), *(ground / name for name in ALSO)]
    return sorted(found)


@cache
def code_version() -> str:
    """Changes with every byte of ``sources()``."""
    sha = sha256()
    for file in sources():
        sha.update(f"{file.parent.name}/{file.name}\0".encode() + sha256(file.read_bytes()).digest())
    return sha.hexdigest()[:LENGTH]


@cache
def scorer_version(engine: Engine) -> str:
    """Changes when any score of any answer on this engine can: the code, sqlglot, or the engine itself."""
    release = sqlite3.sqlite_version if engine == "sqlite" else version(engine)
    return sha256(f"{code_version()} {version('sqlglot')} {engine} {release}".encode()).hexdigest()[:LENGTH]
