"""Values that several engines make into cells in the same way."""

from __future__ import annotations

from decimal import Decimal

from tasks.types import DECIMAL, Cell

MAX_DIGITS = 300
"""The most digits of a number that becomes a number, which is what a float holds. A longer one is text."""


def decimal(value: Decimal) -> Cell:
    """An exact number: an int where it is whole, else ``("decimal", text)``."""
    whole = value.to_integral_value()
    return int(whole) if value == whole else (DECIMAL, f"{value:f}".rstrip("0"))
