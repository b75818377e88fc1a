"""A chat endpoint with planned failures: each question gets the failures that it names, then an answer.

A question's text has a line ``plan: 429 half ok``; the n-th request gets the n-th word (then the last one).
``ok`` answers with the text after ``answer: ``; see ``BEHAVIOURS`` for the others.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Hostile(ThreadingHTTPServer):
    """Records all requests, and how many ran at the same time."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.asked: Counter[str] = Counter()
        self.running = self.most = 0
        self.healthy = False
        """Answer every question, whatever its plan."""
        self.gone = False
        """End every connection without a reply."""
        self.refuses: dict[str, str] = {}
        """Parameter -> the reply to a request that carries it, with status 400."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that close the connection."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hostile

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = body["messages"][-1]["content"]
        with self.server.lock:
            self.server.bodies.append(body)
            self.server.headers.append(dict(self.headers))
            self.server.times.append(time.monotonic())
            number = self.server.asked[text]
            self.server.asked[text] += 1
            self.server.running += 1
            self.server.most = max(self.server.most, self.server.running)
        refused = next((reply for name, reply in self.server.refuses.items() if name in body), "")
        try:
            if self.server.gone:
                self.hang_up()
                return
            if refused:
                self.reply(400, json.dumps({"error": {"message": refused}}).encode())
                return
            plan = _line(text, "plan: ").split() or ["ok"]
            behaviour = "ok" if self.server.healthy else plan[min(number, len(plan) - 1)]
            BEHAVIOURS[behaviour](self, body)
        finally:
            with self.server.lock:
                self.server.running -= 1

    def reply(self, status: int, data: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(2)


def completion(body: dict[str, Any], count: int = 0, **changes: Any) -> bytes:
    text = _line(body["messages"][-1]["content"], "answer: ") or "SELECT 1"
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"} | changes
    if body.get("logprobs"):
        choice["logprobs"] = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -0.25}]}
    choices = [{"index": index, **choice} for index in range(count or body.get("n", 1))]
    usage = {"prompt_tokens": 100, "completion_tokens": 10 * len(choices), "total_tokens": 0}
    head = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"]}
    return json.dumps({**head, "choices": choices, "usage": usage}).encode()


def _line(text: str, start: str) -> str:
    return next((line.removeprefix(start) for line in text.split("\n") if line.startswith(start)), "")


def _answer(body: dict[str, Any]) -> str:
    return _line(body["messages"][-1]["content"], "answer: ")


def _ok(one: Handler, body: dict[str, Any]) -> None:
    one.reply(200, completion(body))


def _slow(one: Handler, body: dict[str, Any]) -> None:
    time.sleep(0.05)
    _ok(one, body)


def _status(status: int, message: str = "", **headers: str) -> Callable[[Handler, dict[str, Any]], None]:
    def behaviour(one: Handler, body: dict[str, Any]) -> None:
        text = message or f"no, says {status}; you sent {one.headers['Authorization']}"
        one.reply(status, json.dumps({"error": {"message": text}}).encode(), **headers)

    return behaviour


def _content(content: object, **more: object) -> Callable[[Handler, dict[str, Any]], None]:
    return lambda one, body: one.reply(200, completion(body, message={"content": content, **more}))


def _usage(text: str) -> Callable[[Handler, dict[str, Any]], None]:
    """A correct reply with this JSON as its usage."""
    return lambda one, body: one.reply(
        200, re.sub(rb'"usage": \{[^}]*\}', f'"usage": {text}'.encode(), completion(body))
    )


def _filtered(one: Handler, body: dict[str, Any]) -> None:
    one.reply(200, completion(body, message={"content": None}, finish_reason="content_filter"))


def _inside(code: object) -> Callable[[Handler, dict[str, Any]], None]:
    return _text(json.dumps({"error": {"message": "overloaded", "code": code}}).encode())


def _half(one: Handler, body: dict[str, Any]) -> None:
    whole = completion(body)
    one.reply(200, whole[: len(whole) // 2], length=len(whole))
    one.hang_up()


def _silent(one: Handler, body: dict[str, Any]) -> None:
    time.sleep(30)
    one.hang_up()


def _drip(one: Handler, body: dict[str, Any]) -> None:
    one.reply(200, b"", length=1000)
    for _ in range(30):
        one.wfile.write(b" ")
        time.sleep(0.1)


def _endless(one: Handler, body: dict[str, Any]) -> None:
    one.reply(200, b"", length=2**40)
    while True:
        one.wfile.write(b" " * 2**20)


def _text(data: bytes) -> Callable[[Handler, dict[str, Any]], None]:
    return lambda one, body: one.reply(200, data)


def _echo(one: Handler, body: dict[str, Any]) -> None:
    sql = f"SELECT '{one.headers['Authorization']}'"
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in sql)
    one.reply(200, b'{"choices": [{"index": 0, "message": {"content": "%s"}}]}' % escaped.encode())


BEHAVIOURS: dict[str, Callable[[Handler, dict[str, Any]], None]] = {
    "ok": _ok,
    "slow": _slow,
    "one": lambda one, body: one.reply(200, completion(body, count=1)),
    "refusal": lambda one, body: one.reply(200, completion(body, message={"content": None})),
    "cut": lambda one, body: one.reply(200, completion(body, finish_reason="length")),
    "closed": lambda one, body: _content(f"a draft\n</think>\n{_answer(body)}")(one, body),
    "apart": lambda one, body: one.reply(
        200,
        completion(
            body, finish_reason="length", message={"content": _answer(body), "reasoning_content": "hm"}
        ),
    ),
    "half": _half,
    "silent": _silent,
    "drip": _drip,
    "endless": _endless,
    "close": lambda one, body: one.hang_up(),
    "echo": _echo,
    "garbage": _text(b"<html>502 Bad Gateway</html>"),
    "halfjson": _text(b'{"choices": [{"message": {"content": "SELECT'),
    "nesting": _text(b"[" * 100_000),
    "list": _text(b"[]"),
    "nochoices": _text(b'{"choices": []}'),
    "nomessage": _text(b'{"choices": [{}]}'),
    "number": _text(b'{"choices": [{"message": {"content": 1}}]}'),
    "inside": _inside(529),
    "insideword": _text(b'{"error": {"code": "429", "message": "slow down"}}'),
    "inside400": _inside(400),
    "insidetext": _text(b'{"error": "no capacity"}'),
    "usagewords": _usage('{"prompt_tokens": "many", "completion_tokens": -3}'),
    "usageendless": _usage('{"prompt_tokens": Infinity, "completion_tokens": NaN}'),
    "usagehuge": _usage('{"prompt_tokens": 1e300, "completion_tokens": 9999999999999999999999}'),
    "usagelist": _usage("[1]"),
    "valuepart": _content([{"type": "text", "text": {"value": "SELECT 7"}}]),
    "created": lambda one, body: one.reply(201, completion(body)),
    "marked": lambda one, body: one.reply(200, b"\xef\xbb\xbf" + completion(body)),
    "nologprob": lambda one, body: one.reply(200, completion(body | {"logprobs": False}, logprobs=["?"])),
    "nothing": lambda one, body: one.reply(204, b""),
    "elsewhere": lambda one, body: one.reply(301, b"", Location="/elsewhere"),
    "nullcontent": _content(None),
    "missingcontent": lambda one, body: one.reply(200, completion(body, message={"role": "assistant"})),
    "parts": _content([{"type": "text", "text": "SELECT"}, {"type": "text", "text": " 7"}]),
    "thinkingparts": _content(
        [{"type": "thinking", "thinking": [{"type": "text", "text": "SELECT 0"}]}, {"text": "SELECT 7"}]
    ),
    "strings": _content(["SELECT", " 7"]),
    "onepart": _content({"type": "output_text", "text": "SELECT 7"}),
    "noparts": _content([]),
    "reasoning": _content("SELECT 7", reasoning_content="SELECT 0"),
    "onlyreasoning": _content(None, reasoning_content="SELECT 0"),
    "tool": _content(None, tool_calls=[{"type": "function", "function": {"name": "f", "arguments": "{}"}}]),
    "refused": _content(None, refusal="I will not."),
    "filtered": _filtered,
    "nullmessage": lambda one, body: one.reply(200, completion(body, message=None)),
    "toolong": _status(400, message="This model's maximum context length is 512 tokens, you asked for 900"),
    "toolong500": _status(500, message="the request exceeds the available context size (512 tokens)"),
    "binary": _text(b"\xff\xfe\x00"),
    "gzip": lambda one, body: one.reply(200, b"no gzip", Content_Encoding="gzip"),
    "wait": _status(429, Retry_After="1"),
    "waitlong": _status(429, Retry_After="3600"),
    **{
        str(status): _status(status)
        for status in (400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 529)
    },
}


@contextmanager
def hostile() -> Iterator[Hostile]:
    """A running server."""
    server = Hostile()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
