"""A checksum in a JSON object on disk: a flipped bit can leave JSON with values of the right types."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

KEY = "crc32"


def with_checksum(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object and, as its last key, a checksum of it. What JSON has no form for counts as its ``str``."""
    return {**value, KEY: _sum(value)}


def without_checksum(value: Mapping[str, Any]) -> dict[str, Any]:
    """The object as it was before ``with_checksum``; one without a checksum as it is.

    Raises ValueError: it has changed since it was written.
    """
    found = dict(value)
    if KEY in found and found.pop(KEY) != _sum(found):
        raise ValueError(f"changed since it was written (to take it as it is, remove its '{KEY}')")
    return found


def _sum(value: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(value, default=str).encode()):08x}"
