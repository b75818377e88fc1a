"""What the process that has the jobs and the nodes that do them send each other."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tasks.types import Database, Engine


@dataclass(frozen=True, slots=True)
class File:
    """The file of an instance, and the files beside it that hold changes."""

    path: str
    """Where the owner of the jobs has it."""
    engine: Engine
    parts: tuple[tuple[str, str], ...]
    """Ending of the name ("" for the file itself, "-wal") and SHA-256; none: the owner cannot read it."""

    @property
    def digest(self) -> str:
        """The name of its content, 32 hex digits."""
        return sha256(repr(self.parts).encode()).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Sent:
    """A database of a batch, by which a node finds its own copy."""

    database: Database
    files: tuple[File, ...] = ()
    """One for each instance; none for databases of a server or in memory."""
    scorer: str = ""
    """The scorer's version on the engine of a server, whose client may be missing on a node."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Jobs that one worker of a node does, one after the other."""

    work: str
    machine: str
    """The machine of the owner: some addresses of servers are valid only there."""
    databases: tuple[Sent, ...]
    jobs: tuple[tuple[int, int, tuple[Any, ...]], ...]
    """Index of the job, place of its database, and the rest of the job."""


@dataclass(frozen=True, slots=True)
class Missing:
    """The answer of a node that has to be sent files first."""

    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Unfit:
    """The answer of a node that cannot do the jobs, with the cause."""

    reason: str


Reply = list[tuple[int, Any]] | Missing | Unfit
"""The answer to a batch: index and result of each job that was done, or why none was."""
