"""Databases on the nodes of a cluster: a file of the same content at the same path, else one that was sent.

A node compares the content, so that another file at the same path never decides a verdict. Files are sent
once to a node and kept in its ``HARNESS_HOME/received``, in a folder named after their content.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache, lru_cache
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from urllib.parse import urlsplit

from harness.cluster.types import File, Missing, Sent, Unfit
from rewards.version import scorer_version
from tasks.common import files
from tasks.common.digests import file_digest
from tasks.common.errors import DataError
from tasks.common.home import home
from tasks.databases.state import (
    content_of,
    database_files,
    file_of,
    on_server,
    stamped,
    without_sources,
)
from tasks.types import Database, Engine, Server

PIECE = 32 * 2**20
"""Bytes of a file that are sent at once."""


@cache
def machine() -> str:
    """What two processes have in common that see the same loopback address and the same sockets."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return " ".join([boot, *(os.readlink(f"/proc/self/ns/{kind}") for kind in ("net", "mnt"))])


def sent(database: Database) -> Sent:
    """A database as it is described to a node."""
    if on_server(database):
        return Sent(database, scorer=scorer_version(database.engine))
    paths = [file_of(database, place) for place in range(len(database.instances))]
    described = tuple(_file(path, database.engine) for path in paths)
    return Sent(without_sources(database), described)


def pieces(file: File) -> Iterator[Iterator[bytes]]:
    """The content of each part of a file. Raises OSError."""
    for ending, _ in file.parts:
        yield _pieces(_beside(Path(file.path), ending))


def receive(file: File, parts: Iterable[Iterable[bytes]]) -> None:
    """Keep a file that was sent. Raises DataError: it cannot be written, or its content is another one."""
    target = _received(file)
    with files.alone(target.parent.parent / "lock"), files.writing(target):
        if _parts(target, file.engine) == file.parts:
            return  # another actor has kept it
        with files.new_folder(target.parent, replace=True) as building:
            for (ending, expected), content in zip(file.parts, parts, strict=True):
                if _written(building / f"{target.name}{ending}", content) != expected:
                    raise DataError(f"{file.path} has changed while it was sent")


def _written(path: Path, content: Iterable[bytes]) -> str:
    """Write a new file; returns its SHA-256."""
    digest = hashlib.sha256()
    with path.open("xb") as target:
        for piece in content:
            digest.update(piece)
            target.write(piece)
    return digest.hexdigest()


def local(given: Sent, owner: str) -> Database | Missing | Unfit:
    """The database as this node has it. ``owner``: the machine that has sent it."""
    database = given.database
    if on_server(database):
        return _fault(given, owner) or database
    found = [(file, _found(file)) for file in given.files]
    missing = tuple(file for file, path in found if path is None)
    if missing:
        return Missing(missing)
    return stamped(replace(database, instances=tuple(path for _, path in found if path)))


@lru_cache(maxsize=4096)
def _fault(given: Sent, owner: str) -> Unfit | None:
    """Why this node cannot ask the server of a database; None where it can. It is asked once."""
    database = given.database
    servers = [instance for instance in database.instances if isinstance(instance, Server)]
    try:
        if scorer_version(database.engine) != given.scorer:
            return Unfit(f"the client of {database.engine} has another version there")
        if any(map(_is_of_one_machine, servers)) and machine() != owner:
            return Unfit(f"{servers[0]} is a server of the machine that has the jobs")
        if not content_of(database.engine).exists(database):
            return Unfit(f"{servers[0]} is not found there")
    except PackageNotFoundError as error:
        return Unfit(f"{error.name} is not installed there")
    except DataError as error:
        return Unfit(str(error))
    return None


def _is_of_one_machine(server: Server) -> bool:
    """Whether the address of a server means another one on every machine."""
    place = urlsplit(server.login)
    host = place.hostname or ""
    return not host or host in ("localhost", "::1") or host.startswith("127.") or "socket" in place.query


def _file(path: Path, engine: Engine) -> File:
    return File(os.path.abspath(path), engine, _parts(path, engine))


def _found(file: File) -> Path | None:
    """The path at which this node has a file's content."""
    received = _received(file)
    if not file.parts:
        return received  # its owner cannot read it, so nobody can
    for path in (Path(file.path), received):
        if _parts(path, file.engine) == file.parts:
            return path
    return None


def _parts(path: Path, engine: Engine) -> tuple[tuple[str, str], ...]:
    """The parts of the file at a path; none where it cannot be read."""
    target = path.resolve() if path.is_symlink() else path
    try:
        first, *beside = database_files(path, engine)
        endings = [file.name.removeprefix(target.name) for file in beside]
        return (("", file_digest(first)), *zip(endings, map(file_digest, beside), strict=True))
    except OSError:
        return ()


def _beside(path: Path, ending: str) -> Path:
    target = path.resolve() if path.is_symlink() else path
    return target.with_name(target.name + ending)


def _received(file: File) -> Path:
    return home() / "received" / file.digest / Path(file.path).name


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while piece := source.read(PIECE):
            yield piece
