"""Several servers with the same model, asked as one: the least loaded first, without those that fail.

A server that is busy or gone, or fails for three requests in a row, is left out for a growing time. Its
requests go to the others. It is then tried with one request at a time, until it answers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Lock
from typing import Any, TypeVar

from runners.endpoints.client import MAX_PAUSE, Endpoint, Refused, Temporary, Unanswered, Unreachable
from runners.endpoints.config import EndpointConfig
from runners.endpoints.replies import NoAnswer
from tasks.common.errors import ModelError
from tasks.common.terminal import say

Read = TypeVar("Read")
MOST_FAILURES = 3
"""Failures in a row, of requests that may be their own cause, after which a server is left out."""


@dataclass(slots=True)
class Server:
    """One of the servers."""

    endpoint: Endpoint
    running: int = 0
    """Requests that it has at the moment."""
    failed: int = 0
    """Failures in a row."""
    out: bool = False
    until: float = 0.0
    """Where it is out: the time (``time.monotonic``) from which on it is tried again."""

    @property
    def usable(self) -> bool:
        return not self.out or (not self.running and time.monotonic() >= self.until)


class Endpoints:
    """Servers with the same model; like ``Endpoint``, safe to use from many threads."""

    def __init__(self, config: EndpointConfig, path: str) -> None:
        """Raises ModelError: a URL cannot be used."""
        self._config = config
        self._servers = [
            Server(Endpoint(config.model_copy(update={"base_url": url, "replicas": ()}), path))
            for url in config.urls
        ]
        self.url = ", ".join(config.urls)
        self._lock = Lock()
        self._closed = Event()

    def ask(self, body: Mapping[str, Any], read: Callable[[Any], Read]) -> Read:
        """As ``Endpoint.ask``. A failure of one server is no failure of the request while others answer."""
        tries = (self._config.retries + 1) * len(self._servers)
        refusals = 0
        for number in range(tries):
            server = self._take()
            try:
                answer = server.endpoint.ask_once(body, read)
            except NoAnswer as error:
                self._release(server)
                refusals += 1
                if refusals > self._config.retries:
                    raise Refused(f"{error} (asked {refusals} times)") from None
            except (Temporary, ModelError) as error:
                self._fail(server, error)
                if number + 1 == tries or self._closed.is_set():
                    raise Unanswered(f"{error} (asked {number + 1} times)", _is_busy(error)) from None
            except BaseException:
                self._release(server)
                raise
            else:
                self._release(server)
                return answer
        raise AssertionError("the last try returns or raises")

    def _take(self) -> Server:
        """A server that is due to be tried again, else the least loaded; waits where none can be asked."""
        while True:
            with self._lock:
                if usable := [server for server in self._servers if server.usable]:
                    chosen = min(usable, key=lambda server: (not server.out, server.running))
                    chosen.running += 1
                    return chosen
                pause = min(server.until for server in self._servers) - time.monotonic()
            if self._closed.wait(min(max(pause, 0.01), MAX_PAUSE)):
                raise Unanswered("closed before it was asked", busy=True)

    def _release(self, server: Server) -> None:
        """Note that a server has replied."""
        with self._lock:
            server.running -= 1
            server.failed = 0
            returned, server.out = server.out, False
        if returned:
            say(f"{server.endpoint.url} answers again")

    def _fail(self, server: Server, error: Temporary | ModelError) -> None:
        """Note a failure. Raises the error where it is one of the settings, or all servers are missing."""
        with self._lock:
            server.running -= 1
            server.failed += 1
            before = server.out
            if _is_busy(error) or server.failed >= MOST_FAILURES:
                asked = error.pause if isinstance(error, Temporary) else 0.0
                pause = max(asked, self._config.backoff * 2 ** min(server.failed, 10))
                server.out, server.until = True, time.monotonic() + min(pause, MAX_PAUSE)
            left_out = server.out and not before
            missing = all(one.out and not one.endpoint.answered for one in self._servers)
        never = isinstance(error, ModelError) and not server.endpoint.answered
        if never and (missing or not isinstance(error, Unreachable)):
            raise error
        if left_out:
            say(f"{server.endpoint.url} is left out for a while: {error}")

    def close(self) -> None:
        """End the pauses, and close all connections."""
        self._closed.set()
        for server in self._servers:
            server.endpoint.close()


def _is_busy(error: Temporary | ModelError) -> bool:
    """Whether the server is the cause, and not the request."""
    return isinstance(error, ModelError) or error.busy
