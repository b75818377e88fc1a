"""A server of ``harness serve`` in a process of its own, and clients that ask it."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TIGHT = """
import sys
from harness.service.run import Settings, serve
from harness.service.types import ServiceLimits
from tasks.task import Task
limits = ServiceLimits(
    body=20_000, items=4, queue=4, bodies=2, connections=12,
    head_seconds=1.0, body_seconds=1.0, write_seconds=1.0,
)
serve(Settings("127.0.0.1", 0, ["dev"], 1, limits), [Task.named("pocket", sys.argv[1:])])
"""
"""A server with small limits."""


@dataclass(frozen=True)
class Server:
    """A running server."""

    port: int
    process: subprocess.Popen[str]
    log: Path

    def ask(
        self,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        method: str = "",
    ) -> tuple[int, Any, http.client.HTTPMessage]:
        """Status, content and headers of a response. ``body``: JSON, or bytes as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        try:
            connection.request(method or ("GET" if data is None else "POST"), path, data, sent)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        is_json = response.getheader("Content-Type") == "application/json"
        return response.status, json.loads(text) if is_json and text else text, response.headers

    def score(self, *items: Mapping[str, Any], **more: Any) -> list[dict[str, Any]]:
        """The responses to these items."""
        status, content, _ = self.ask("/score", {"items": items, **more})
        assert status == 200, content
        return list(content["items"])

    def metric(self, name: str) -> float:
        """A figure of ``/metrics``; 0 where it has not been counted."""
        text = self.ask("/metrics")[1]
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
        return float(found[1]) if found else 0.0

    def end(self, by: signal.Signals) -> int:
        """Send a signal and return the exit code."""
        self.process.send_signal(by)
        return self.process.wait(60)


@contextmanager
def server(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """Start a command that serves, and kill it at the end."""
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
            stdin=subprocess.DEVNULL,
            stderr=file,
            text=True,
        )
    try:
        yield Server(_port(process, log), process, log)
    finally:
        process.kill()
        process.wait()


def _port(process: subprocess.Popen[str], log: Path) -> int:
    for _ in range(1200):
        if found := re.search(r"^scoring at http://.*:(\d+)/", log.read_text(), re.M):
            port = int(found[1])
            break
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    else:
        raise AssertionError(f"the server does not start: {log.read_text()}")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()
    return port
