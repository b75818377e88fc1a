"""Texts of results as the official evaluators read them."""

from __future__ import annotations

from typing import Literal


def decoded(text: str, errors: Literal["ignore", "replace"]) -> str:
    """The text with the bytes that are not UTF-8, which the engines keep, left out or replaced."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", errors)


def number_of(text: str) -> int | float | None:
    """The number that Python reads: an int if it can be one, else a float; None if it is neither."""
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return None
