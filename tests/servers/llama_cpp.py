"""A server that replies as llama-cpp-python 0.3.36's does, as far as was seen by asking it."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INVALID = (
    "1 validation error: {{'type': 'greater_than_equal', 'loc': ('body', 'top_k'), 'msg': 'Input should be"
    " greater than or equal to 0', 'input': {}}} File \"app.py\", line 376, in create_chat_completion"
)


class LlamaCppServer(ThreadingHTTPServer):
    """Answers on 127.0.0.1, chat and plain text; ``bodies`` holds what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[tuple[str, dict[str, Any]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LlamaCppServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append((self.path, body))
        if body.get("top_k", 40) < 0:
            message = INVALID.format(body["top_k"])
            self.reply(500, {"error": {"message": message, "type": "internal_server_error"}})
        elif self.path == "/v1/completions":
            logprobs = {"tokens": ["SELECT", " 7"], "token_logprobs": [-0.5, -0.25]}
            self.answer({"text": "SELECT 7", "logprobs": logprobs if body.get("logprobs") else None})
        else:
            self.answer({"message": {"role": "assistant", "content": "SELECT 7"}, "logprobs": None})

    def answer(self, choice: dict[str, Any]) -> None:
        """One choice, whatever ``n`` is."""
        usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        self.reply(200, {"choices": [{"index": 0, "finish_reason": "stop", **choice}], "usage": usage})

    def reply(self, status: int, content: dict[str, Any]) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""
