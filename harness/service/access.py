"""Who may ask: requests for the server's own address, from no web page, with the token if there is one."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from harness.service.replies import refused
from harness.service.types import Refusal

OPEN = ("/health",)
"""Paths that need no token."""
DRAINED = 64
"""Pieces of a refused request's body that are read, so that its client reads the response."""
DRAIN_SECONDS = 1.0


class Access:
    """Passes on what may be asked. ``hosts``: the values of Host that are allowed; empty: all."""

    def __init__(
        self, app: ASGIApp, token: str, hosts: Collection[str], count: Callable[[str], None]
    ) -> None:
        self._app, self._hosts, self._count = app, hosts, count
        self._token = f"Bearer {token}".encode() if token else b""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; a refused one is read to its end if that is near, else its connection closes."""
        body = _Body(receive)
        try:
            self._check(scope["path"], Headers(scope=scope))
            await self._app(scope, body.receive, send)
        except Refusal as refusal:
            self._count(refusal.cause)
            await refused(refusal, close=not await body.drained())(scope, receive, send)

    def _check(self, path: str, headers: Headers) -> None:
        if self._hosts and headers.get("host", "") not in self._hosts:
            raise Refusal(403, "host", "the header Host is not this server's own address")
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            raise Refusal(403, "site", "a web page elsewhere may not ask")
        if not self._token or path in OPEN:
            return
        given = headers.get("authorization", "").encode("latin-1")
        if not hmac.compare_digest(given, self._token):
            line = "send the header Authorization: Bearer TOKEN with the server's token"
            raise Refusal(401, "token", line, {"WWW-Authenticate": "Bearer"})


class _Body:
    """The body of a request, which may have been read in part."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._complete = False

    async def receive(self) -> Message:
        """The next message; notes the last one of the body."""
        message = await self._receive()
        self._complete |= not message.get("more_body", False)
        return message

    async def drained(self) -> bool:
        """Whether the rest of the body could be read, or the client has left."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                for _ in range(DRAINED):
                    if self._complete:
                        break
                    await self.receive()
        except TimeoutError:
            pass
        return self._complete
