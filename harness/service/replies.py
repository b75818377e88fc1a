"""Responses: JSON, and a refusal as one line of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from harness.service.types import Refusal
from tasks.common.terminal import one_line

MOST_CHARACTERS = 600
"""The most characters of a refusal, which may quote the request."""
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


def reply(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response. What UTF-8 cannot hold (a lone surrogate of a row) becomes a question mark."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    body = text.encode("utf-8", "replace") + b"\n"
    return Response(body, status, {**HEADERS, **(headers or {})}, "application/json")


def refused(refusal: Refusal, close: bool = False) -> Response:
    """The response to a refused request. ``close``: the connection too."""
    headers = {**refusal.headers, **({"Connection": "close"} if close else {})}
    line = one_line(refusal.line[:MOST_CHARACTERS])
    return reply({"error": line}, refusal.status, headers)
