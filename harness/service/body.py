"""Read the body of a request: within its limits, and as JSON that means one thing only."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request

from harness.service.types import Refusal, ScoreRequest, ServiceLimits, busy
from tasks.common.errors import SpecError
from tasks.common.parse import parse

MOST_KEYS = 64
"""Keys of an object, far more than any of a request: an error for each of millions would take minutes."""


class Admission:
    """What all requests in flight hold: bytes of bodies, and items."""

    def __init__(self, limits: ServiceLimits) -> None:
        self.limits = limits
        self.bytes = 0
        self.items = 0

    @contextmanager
    def request(self) -> Iterator[Held]:
        """What one request holds, until the end of the block."""
        held = Held(self)
        try:
            yield held
        finally:
            self.bytes -= held.bytes
            self.items -= held.items


class Held:
    """What one request holds. Raises Refusal (429) where all together would hold too much."""

    def __init__(self, admission: Admission) -> None:
        self._all = admission
        self.bytes = 0
        self.items = 0

    def add_bytes(self, count: int) -> None:
        """Count bytes that have arrived."""
        limits = self._all.limits
        if self._all.bytes + count > limits.bodies * limits.body:
            raise busy("bytes", "the server holds as many bytes of requests as it may")
        self._all.bytes += count
        self.bytes += count

    def expect_room(self) -> None:
        """Check that there is room for an item, before the body is read."""
        if self._all.items >= self._all.limits.queue:
            raise busy("queue", f"{self._all.items:,} answers wait")

    def add_items(self, count: int) -> None:
        """Count items that will be scored."""
        if self._all.items + count > self._all.limits.queue:
            raise busy("queue", f"{self._all.items:,} answers wait")
        self._all.items += count
        self.items += count


async def read(request: Request, limits: ServiceLimits, held: Held) -> ScoreRequest:
    """The body of a request to score. Raises Refusal, ClientDisconnect."""
    held.expect_room()
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "type", "send the header Content-Type: application/json")
    if request.headers.get("content-encoding", "identity") != "identity":
        raise Refusal(415, "type", "send the body without Content-Encoding")
    declared = request.headers.get("content-length", "0")
    if len(declared) > 20 or int(declared) > limits.body:  # the parser takes digits only
        raise _too_large(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for chunk in request.stream():
                if len(body) + len(chunk) > limits.body:
                    raise _too_large(limits)
                held.add_bytes(len(chunk))
                body += chunk
    except TimeoutError:
        raise Refusal(408, "slow", f"the body took over {limits.body_seconds:.0f} seconds") from None
    return parsed(bytes(body), limits)


def _too_large(limits: ServiceLimits) -> Refusal:
    return Refusal(413, "size", f"the body has over {limits.body:,} bytes: send fewer items at once")


def parsed(body: bytes, limits: ServiceLimits) -> ScoreRequest:
    """The request in a body. Raises Refusal: 400 no JSON, 422 other keys or values, 413 too many items."""
    data = _mapping(body)
    items = data.get("items")
    if isinstance(items, list) and len(items) > limits.items:
        raise Refusal(413, "size", f"{len(items):,} items: a request may have {limits.items:,}")
    try:
        return parse(ScoreRequest, data, where="request")
    except SpecError as error:
        raise Refusal(422, "request", str(error)) from None


def _mapping(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
        data = json.loads(
            text, object_pairs_hook=_without_duplicates, parse_constant=_refuse, parse_float=_finite
        )
        if "\\u" in text:
            json.dumps(data, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        raise Refusal(400, "json", "the body is nested too deeply") from None
    except UnicodeDecodeError:
        raise Refusal(400, "json", "the body is not UTF-8") from None
    except UnicodeEncodeError:
        raise Refusal(400, "json", "a text of the body has a lone surrogate") from None
    except ValueError as error:
        raise Refusal(400, "json", f"the body is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise Refusal(400, "json", 'the body is no JSON object: {"items": [...]}')
    return data


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > MOST_KEYS:
        raise ValueError(f"an object has over {MOST_KEYS} keys")
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value
