"""The rows of a result as an engine hands them out: counted, weighed and digested on the way."""

from __future__ import annotations

import marshal
from collections.abc import Callable, Iterator
from hashlib import blake2b
from itertools import islice

from tasks.types import Limits, Outcome, Row, Status

FETCH = 64
"""Rows that are asked for at a time."""


def collect(
    fetch: Callable[[], list[Row]], columns: tuple[str, ...], limits: Limits, distinct: bool = False
) -> Outcome:
    """All rows with their digest, or why they are refused. ``fetch`` returns the next FETCH rows, plain.

    ``distinct``: each row once, at its first place; rows are the same if Python says so.
    Marshal's second version writes equal bytes for equal cells of equal types, and only for those.
    """
    most = min(limits.rows, limits.cells // max(len(columns), 1))
    rows: list[Row] = []
    size, digest = 0, blake2b(digest_size=16)
    for chunk in _distinct(fetch) if distinct else _chunks(fetch):
        rows += chunk
        content = marshal.dumps(chunk, 2)
        size += len(content)
        digest.update(content)
        if len(rows) > most:
            return Outcome(Status.TOO_MANY_ROWS, message=f"over {most} rows of {len(columns)} columns")
        if size > limits.bytes:
            return Outcome(Status.MEMORY, message=f"over {limits.bytes} bytes of result")
    return Outcome(Status.OK, columns, tuple(rows), digest=digest.digest())


def _chunks(fetch: Callable[[], list[Row]]) -> Iterator[list[Row]]:
    while chunk := fetch():
        yield chunk
        if len(chunk) < FETCH:
            break


def _distinct(fetch: Callable[[], list[Row]]) -> Iterator[list[Row]]:
    """Of each chunk the rows that no chunk before had."""
    seen: dict[Row, None] = {}
    for chunk in _chunks(fetch):
        before = len(seen)
        seen.update(dict.fromkeys(chunk))
        if fresh := list(islice(reversed(seen), len(seen) - before)):
            yield fresh[::-1]
