"""Serve the page on this machine only, and follow the runs while they go on."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from threading import Lock
from typing import Any
from urllib.parse import unquote

from harness.page.collect import Collector, version
from harness.page.packs import packed, shown
from harness.page.tables import tables
from harness.page.views import Page
from harness.page.write import all_packs, render
from tasks.common.errors import DataError
from tasks.common.terminal import say

ADDRESS = "127.0.0.1"
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PACK = re.compile(
    r"/pack/(?P<version>[0-9a-f]+)/"
    r"(?:(?P<name>(?:group-[0-9]{1,9}|run-[0-9]{1,9}-[0-9]{1,9}))"
    r"|tables-(?P<group>[0-9]{1,9})/(?P<question>.+))"
)
"""The address of a pack. Packs are numbered by their places in the page, so it has the page's version."""


class Contents:
    """What the server hands out: made again where a stored run has changed."""

    def __init__(self, collector: Collector, trust: bool = False) -> None:
        self._collector = collector
        self._trust = trust
        self._lock = Lock()
        self._running = Lock()
        self._page: Page | None = None
        self._html = ""
        self._packs: dict[str, Any] = {}

    def get(self, path: str) -> tuple[str, str] | HTTPStatus:
        """Type and text of a path; a status where there is nothing, or where the page has changed since."""
        if path == "/version":
            return "text/plain", version()
        if path == "/":
            with self._lock:
                self._update()
                return "text/html", self._html
        asked = _PACK.fullmatch(path)
        if asked is None:
            return HTTPStatus.NOT_FOUND
        with self._lock:
            page, packs = self._page, self._packs
        if page is None or asked["version"] != page.version:
            return HTTPStatus.CONFLICT
        content = packs.get(asked["name"]) if asked["name"] else self._tables(page, asked)
        return HTTPStatus.NOT_FOUND if content is None else ("text/plain", packed(content))

    def _tables(self, page: Page, asked: re.Match[str]) -> Any:
        """The result tables of one question; None where there is none. Slow queries hold up nothing else."""
        number = int(asked["group"])
        if number >= len(page.groups):
            return None
        group, named = page.groups[number], unquote(asked["question"])
        ids = {shown(sample_id): sample_id for run in group.opened for sample_id in run.answers}
        if named not in ids:
            return None
        with self._running:
            return tables(group, [ids[named]], self._trust)

    def _update(self) -> None:
        if self._page is None or self._page.version != version():
            self._page = self._collector.page()
            self._html, self._packs = render(self._page), all_packs(self._page)


class Handler(BaseHTTPRequestHandler):
    """Answers GET from this machine's own browser. Another Host is refused: a page elsewhere may name it."""

    server_version = "harness"
    sys_version = ""
    timeout = 60
    """Seconds that a connection may be silent."""

    def __init__(self, contents: Contents, request: Any, address: Any, server: BaseServer) -> None:
        self._contents = contents
        super().__init__(request, address, server)

    def handle(self) -> None:
        """Answer one request; a browser may leave at any moment."""
        with suppress(ConnectionError, TimeoutError):
            super().handle()

    def end_headers(self) -> None:
        """Every answer, also an error, has these headers."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def do_GET(self) -> None:
        """Hand out the page, its version, or a pack."""
        port = self.server.server_address[1]  # type: ignore[index]
        if self.headers.get("Host") not in (f"{ADDRESS}:{port}", f"localhost:{port}"):
            self.send_error(HTTPStatus.FORBIDDEN, "this address is not the server's own")
            return
        site = self.headers.get("Sec-Fetch-Site", "none")
        if self.path != "/" and site not in ("same-origin", "none"):
            self.send_error(HTTPStatus.FORBIDDEN, "only the page itself may ask for this")
            return
        found = self._contents.get(self.path)
        if isinstance(found, HTTPStatus):
            self.send_error(found)
            return
        kind, text = found
        content = text.encode("utf-8", "replace")
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not printed."""


def server(collector: Collector, port: int, trust: bool = False) -> ThreadingHTTPServer:
    """A server of the page on 127.0.0.1; port 0: any free one. Raises DataError: the port is in use."""
    try:
        return ThreadingHTTPServer((ADDRESS, port), partial(Handler, Contents(collector, trust)))
    except OSError as error:
        raise DataError(f"--port {port}: {error.strerror}: choose another, or 0 for any free port") from None


def serve(collector: Collector, port: int, trust: bool = False) -> None:
    """Serve until Ctrl-C."""
    with server(collector, port, trust) as running:
        say(f"the leaderboard is at http://{ADDRESS}:{running.server_address[1]}/ until Ctrl-C")
        try:
            running.serve_forever()
        except KeyboardInterrupt:
            say("stopped")
