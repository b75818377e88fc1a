"""Start the server, and end it: SIGTERM and Ctrl-C let requests in flight finish."""

from __future__ import annotations

import os
import resource
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address

import uvicorn
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from harness.service.access import Access
from harness.service.app import Service, application
from harness.service.connection import Connection
from harness.service.metrics import Metrics
from harness.service.served_task import ServedTask
from harness.service.types import ServiceLimits
from tasks.common.errors import DataError, SpecError
from tasks.common.terminal import say
from tasks.task import Task

TOKEN = "HARNESS_TOKEN"
SHORTEST_TOKEN = 16
DRAIN_SECONDS = 30
"""Seconds that requests in flight have to finish when the server ends."""
IDLE_SECONDS = 30
"""Seconds that a connection may be open between two requests."""
OWN_FILES = 512
"""File descriptors that are left for workers and databases."""
BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Settings:
    """Where and how the server listens. ``splits``: only these of each task. ``workers`` are of each task."""

    host: str
    port: int
    splits: Sequence[str]
    workers: int
    limits: ServiceLimits


def serve(settings: Settings, tasks: Sequence[Task]) -> None:
    """Serve until SIGTERM, or Ctrl-C (KeyboardInterrupt). Raises SpecError, DataError."""
    token = _token(settings.host)
    if twice := {task.name for task in tasks if [one.name for one in tasks].count(task.name) > 1}:
        raise SpecError(f"--task: two tasks are named '{min(twice)}'")
    with _listening(settings.host, settings.port) as listener:
        port = listener.getsockname()[1]
        served: dict[str, ServedTask] = {}
        try:
            for task in tasks:
                served[task.name] = ServedTask(task, settings.splits, settings.workers)
            with _ended_by_sigterm():
                _run(_app(settings, served, token, port), settings, listener)
        finally:
            for one in served.values():
                one.queue.close()


def _run(app: ASGIApp, settings: Settings, listener: socket.socket) -> None:
    """Run uvicorn on the socket until a signal ends it."""
    host, port = listener.getsockname()[:2]
    limits = replace(settings.limits, connections=_with_files(settings.limits.connections))
    config = uvicorn.Config(
        app,
        http=type("LimitedConnection", (Connection,), {"limits": limits}),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # hostile requests would fill the log; errors of our own are printed
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    listener.listen(BACKLOG)
    shown = f"[{host}]" if ":" in host else host
    say(f"scoring at http://{shown}:{port}/ until Ctrl-C")
    uvicorn.Server(config).run([listener])


def _app(settings: Settings, served: Mapping[str, ServedTask], token: str, port: int) -> ASGIApp:
    names = ("127.0.0.1", "localhost", "[::1]", f"[{settings.host}]", settings.host)
    hosts = {f"{name}:{port}" for name in names} if _is_loopback(settings.host) else set()
    metrics = Metrics()
    access = Middleware(Access, token=token, hosts=hosts, count=metrics.refusal)
    return application(Service(served, settings.limits, metrics), access)


def _token(host: str) -> str:
    """The token that clients must send. Raises SpecError: the address needs one, or it is too weak."""
    token = os.environ.get(TOKEN, "")
    if not token and not _is_loopback(host):
        raise SpecError(
            f"--host {host}: other machines can reach it: set {TOKEN} to the token that clients must send,"
            " such as what `openssl rand -hex 32` prints"
        )
    if token and (
        len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token
    ):
        raise SpecError(f"{TOKEN}: use at least {SHORTEST_TOKEN} ASCII characters without spaces")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket bound to the address. Raises DataError: it cannot be."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError):
        raise DataError(f"--host {host}: no such address") from None
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise DataError(f"--host {host} --port {port}: {error.strerror}: choose another") from None
        yield listener


def _with_files(connections: int) -> int:
    """Allow this process as many open files as it may have; the most connections that fit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return max(1, connections if hard == resource.RLIM_INFINITY else min(connections, hard - OWN_FILES))


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """uvicorn raises the signal that ended it again: let SIGTERM be an end like any other."""
    before = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
