"""The rows of a result as an engine hands them out: counted, weighed and digested on the way."""

from __future__ import annotations

import marshal
from collections.abc import Callable
from hashlib import blake2b

from tasks.types import Limits, Outcome, Row, Status

FETCH = 64
"""Rows that are asked for at a time."""


def collect(fetch: Callable[[], list[Row]], columns: tuple[str, ...], limits: Limits) -> Outcome:
    """All rows with their digest, or why they are refused. ``fetch`` returns the next FETCH rows, plain.

    Marshal's second version writes equal bytes for equal cells of equal types, and only for those.
    """
    most = min(limits.rows, limits.cells // max(len(columns), 1))
    rows: list[Row] = []
    size, digest = 0, blake2b(digest_size=16)
    while chunk := fetch():
        rows += chunk
        content = marshal.dumps(chunk, 2)
        size += len(content)
        digest.update(content)
        if len(rows) > most:
            return Outcome(Status.TOO_MANY_ROWS, message=f"over {most} rows of {len(columns)} columns")
        if size > limits.bytes:
            return Outcome(Status.MEMORY, message=f"over {limits.bytes} bytes of result")
        if len(chunk) < FETCH:
            break
    return Outcome(Status.OK, columns, tuple(rows), digest=digest.digest())
