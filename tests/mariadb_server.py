"""Debian's MariaDB on a Unix socket, with a temporary data folder."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.databases.engines.session import ServerLost
from tasks.databases.servers.roles import PRIVATE_READER, READER
from tasks.types import Server

PROGRAM = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin:/usr/local/sbin")
SCRIPTS = Path("/usr/share/mysql")
SYSTEM = (
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
)
"""What mariadb-install-db runs, without the help texts; it needs programs of another package."""
PASSWORD = "a word of the tests"
SETTINGS = (
    "--no-defaults",
    "--skip-networking",
    "--lower-case-table-names=1",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=8M",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-doublewrite=0",
    "--performance-schema=0",
)
"""``lower-case-table-names``: cases of table names do not count, as in SQLite."""
_NOBODY = 65534


class MariaServer:
    """A server that a test may kill and start again."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "socket"
        self._data = folder / "data"
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(self._data, _NOBODY, _NOBODY)
            os.chown(folder, _NOBODY, _NOBODY)
        texts = ["create database mysql;", "use mysql;", "SET @auth_root_socket=NULL;"]
        texts += [(SCRIPTS / name).read_text() for name in SYSTEM]
        self._run(["--bootstrap", "--net_buffer_length=16K"], "\n".join(texts).encode())

    def start(self) -> None:
        """Start it and wait until it answers."""
        from tasks.databases.engines.mariadb_open import connect

        self._process = subprocess.Popen(self._command([f"--socket={self.socket}"]), **self._options())
        end = time.monotonic() + 60
        while True:
            try:
                connect(self.server("")).close()
                return
            except ServerLost:
                assert time.monotonic() < end and self._process.poll() is None, self._log.read_text()[-2000:]
                time.sleep(0.05)

    def stop(self, by: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for its end."""
        assert self._process
        self._process.send_signal(by)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def runs(self) -> bool:
        """Whether the process has not ended."""
        return self._process is not None and self._process.poll() is None

    def signal(self, by: signal.Signals) -> None:
        """Send the process a signal; to stop takes its threads a moment, which is waited for."""
        assert self._process
        self._process.send_signal(by)
        if by is signal.SIGSTOP:
            os.waitid(os.P_PID, self._process.pid, os.WSTOPPED)

    def server(self, database: str, user: str = "root") -> Server:
        """The database by a user: root has no password, our accounts have that of the tests."""
        word = f":{PASSWORD.replace(' ', '%20')}" if user in (READER, PRIVATE_READER) else ""
        place = f"localhost/{database}?unix_socket={self.socket}"
        return Server(f"mariadb://{user}@{place}", f"mariadb://{user}{word}@{place}")

    def execute(self, *statements: str, database: str = "") -> list[tuple[Any, ...]]:
        """The rows of the last of these statements, by root."""
        from tasks.databases.engines.mariadb_open import connect

        connection = connect(self.server(database))
        try:
            return [connection.execute(statement).fetchall() for statement in statements][-1]
        finally:
            connection.close()

    def _command(self, options: Sequence[str]) -> list[str]:
        assert PROGRAM
        return [PROGRAM, *SETTINGS, f"--datadir={self._data}", *options]

    def _options(self) -> dict[str, Any]:
        log = self._log.open("ab")
        owner = {"user": _NOBODY, "group": _NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        return {"stdout": log, "stderr": log, "cwd": "/", **owner}

    def _run(self, options: Sequence[str], text: bytes) -> None:
        done = subprocess.run(self._command(options), input=text, check=False, **self._options())
        assert done.returncode == 0, self._log.read_text()[-2000:]
