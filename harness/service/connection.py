"""uvicorn's connection, with deadlines for slow clients and a limit of open connections. uvicorn has neither.

It relies on methods of uvicorn's protocol class, which ``tests/test_serve.py`` exercises.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from harness.service.types import ServiceLimits

HEAD_BYTES = 2**16
"""About the most bytes of headers."""
_TEXT = b'{"error": "too many connections: connect again later"}\n'
TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_TEXT), _TEXT)
)


class Connection(HttpToolsProtocol):
    """One connection. ``limits`` is set on a subclass, because uvicorn makes the objects."""

    limits = ServiceLimits()

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._head = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Refuse one connection too many; else wait for headers."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections:
            transport.write(TOO_MANY)
            transport.close()
            return
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._end_deadline()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived; headers may not go on without end."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._deadline is not None:
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self.transport.abort()

    def on_message_begin(self) -> None:
        """A further request on the same connection has its own deadline."""
        super().on_message_begin()
        if self._deadline is None:
            self._expect_headers()

    def on_headers_complete(self) -> None:
        """The headers are there."""
        self._end_deadline()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """The client must read the response in time."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(self.limits.write_seconds, self._abort_unread)

    def _expect_headers(self) -> None:
        self._head = 0
        self._deadline = self.loop.call_later(self.limits.head_seconds, self.transport.abort)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _abort_unread(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()
