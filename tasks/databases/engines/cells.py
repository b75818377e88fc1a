"""Values that several engines make into cells in the same way."""

from __future__ import annotations

import json
from decimal import Decimal
from struct import pack, unpack
from typing import Any

from tasks.types import DECIMAL, Cell

MAX_DIGITS = 300
"""The most digits of a number that becomes a number, which is what a float holds. A longer one is text."""


def decimal(value: Decimal) -> Cell:
    """An exact number: an int where it is whole, else ``("decimal", text)``."""
    whole = value.to_integral_value()
    return int(whole) if value == whole else (DECIMAL, f"{value:f}".rstrip("0"))


def numeric(text: str) -> Cell:
    """The text of an exact number, or of NaN or an infinity, as a cell."""
    if text.lstrip("-") in ("NaN", "Infinity"):
        return float(text)
    return decimal(Decimal(text)) if len(text) <= MAX_DIGITS else text


def widened(text: str) -> float:
    """The text of a number of single precision as the double that it widens to."""
    value: float = unpack("f", pack("f", float(text)))[0]
    return value


def json_text(text: str) -> str:
    """One text for equal JSON values: keys sorted by length, the last of equal keys, plain numbers."""
    try:
        return str(_written(json.loads(text, parse_float=_number, parse_int=_number)))
    except (ValueError, RecursionError):
        return text  # deeper, or longer, than Python reads


class _Number(str):
    """A number of a JSON text."""

    __slots__ = ()


def _number(text: str) -> _Number:
    """A number, written in one way."""
    if len(text) > MAX_DIGITS or not -MAX_DIGITS < (value := Decimal(text)).adjusted() < MAX_DIGITS:
        return _Number(text)
    plain = f"{value:f}"
    return _Number((plain.rstrip("0").rstrip(".") if "." in plain else plain) if value else "0")


def _written(value: Any) -> str:
    if isinstance(value, _Number):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode(errors="surrogatepass")), key))
        return f"{{{', '.join(f'{_written(key)}: {_written(value[key])}' for key in keys)}}}"
    return json.dumps(value, ensure_ascii=False)
