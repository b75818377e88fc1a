"""Several servers with the same model, asked as one: the least loaded first, without those that fail.

A server that is busy or gone, or fails for three requests in a row, is left out for a growing time. Its
requests go to the others. It is then tried with one request at a time, until it answers. A request is refused
only where all servers that are asked refuse it: one may have a shorter context than the others.
"""

from __future__ import annotations

import time
from collections import Counter
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


@dataclass(slots=True, eq=False)
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
        each = self._config.retries + 1
        tries = each * len(self._servers)
        refusals: Counter[Server] = Counter()
        errors: dict[Server, Exception] = {}
        for number in range(tries):
            server = self._take(refusals)
            try:
                answer = server.endpoint.ask_once(body, read)
            except (NoAnswer, Refused) as error:
                refusals[server] += each if isinstance(error, Refused) else 1
                if self._all_refuse(server, refusals) or number + 1 == tries:
                    raise Refused(f"{error} (asked {number + 1} times)" if number else str(error)) from None
                errors[server] = error
            except (Temporary, ModelError) as error:
                self._fail(server, error)
                if number + 1 == tries or self._closed.is_set():
                    raise Unanswered(f"{error} (asked {number + 1} times)", _is_busy(error)) from None
            except BaseException:
                self._release(server)
                raise
            else:
                self._release(server)
                for other, refusal in errors.items():
                    if other is not server:
                        self._note_refusal(other, refusal)
                return answer
        raise AssertionError("the last try returns or raises")

    def _take(self, refusals: Counter[Server]) -> Server:
        """A server that is due to be tried again, else the least loaded; waits where none can be asked.

        ``refusals``: how often each has refused this request; the one that did so least comes first.
        """
        while True:
            with self._lock:
                if usable := [server for server in self._servers if server.usable]:
                    chosen = min(usable, key=lambda one: (refusals[one], not one.out, one.running))
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

    def _all_refuse(self, server: Server, refusals: Counter[Server]) -> bool:
        """Note that a server has refused a request; whether all that are not left out have done so."""
        with self._lock:
            server.running -= 1
            left = [one for one in self._servers if one is server or not one.out]
            return all(refusals[one] > self._config.retries for one in left)

    def _note_refusal(self, server: Server, error: Exception) -> None:
        """Note that a server has refused a request that another one answered."""
        with self._lock:
            left_out = self._count(server, error)
        if left_out:
            say(f"{server.endpoint.url} is left out for a while: {error}")

    def _fail(self, server: Server, error: Temporary | ModelError) -> None:
        """Note a failure. Raises the error where it is one of the settings, or all servers are missing."""
        with self._lock:
            server.running -= 1
            left_out = self._count(server, error)
            missing = all(one.out and not one.endpoint.answered for one in self._servers)
        never = isinstance(error, ModelError) and not server.endpoint.answered
        if never and (missing or not isinstance(error, Unreachable)):
            raise error
        if left_out:
            say(f"{server.endpoint.url} is left out for a while: {error}")

    def _count(self, server: Server, error: Exception) -> bool:
        """Count a failure; whether the server is left out from now on, for a growing time."""
        server.failed += 1
        if not _is_busy(error) and server.failed < MOST_FAILURES:
            return False
        before = server.out
        asked = error.pause if isinstance(error, Temporary) else 0.0
        pause = max(asked, self._config.backoff * 2 ** min(server.failed, 10))
        server.out, server.until = True, time.monotonic() + min(pause, MAX_PAUSE)
        return not before

    def close(self) -> None:
        """End the pauses, and close all connections."""
        self._closed.set()
        for server in self._servers:
            server.endpoint.close()


def _is_busy(error: Exception) -> bool:
    """Whether the server is the cause, and not the request."""
    return isinstance(error, ModelError) or (isinstance(error, Temporary) and error.busy)
