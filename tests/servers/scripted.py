"""A chat endpoint with scripted answers to a question, by turn; the last one repeats."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    script: Mapping[str, Sequence[str]]
    asked: list[list[dict[str, str]]]
    room: int


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""

    def do_POST(self) -> None:
        """Answer by turn, which is the number of earlier answers in the conversation."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        (question, *later) = [one["content"] for one in body["messages"] if one["role"] != "system"]
        self.server.asked.append(body["messages"])
        if sum(len(one["content"]) for one in body["messages"]) > self.server.room:
            error = {
                "message": "This model's maximum context length is 90 tokens.",
                "type": "BadRequestError",
            }
            self.reply(400, {"error": error})
            return
        answers = self.server.script.get(question, ["Hello"])
        text = answers[min(len(later) // 2, len(answers) - 1)]
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 10, "total_tokens": 20}
        head = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"]}
        self.reply(200, {**head, "choices": [choice], "usage": usage})

    def reply(self, status: int, content: Mapping[str, object]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def scripted(
    script: Mapping[str, Sequence[str]], asked: list[list[dict[str, str]]] | None = None, room: int = 10**6
) -> Iterator[str]:
    """Serve; the base URL. ``script`` maps a user's first message to the answers by turn.

    ``asked`` receives the messages of each request. More than ``room`` characters exceed the context.
    """
    server = _Server(("127.0.0.1", 0), _Handler)
    server.script, server.asked, server.room = script, [] if asked is None else asked, room
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
