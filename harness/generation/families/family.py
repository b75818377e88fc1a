"""A family: a kind of question, drawn by a function that returns its SQL and its text."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from harness.generation.draw import Draw


class Family(NamedTuple):
    """``weight``: how often it is drawn, relative to others. ``draw`` returns SQL and question."""

    name: str
    weight: float
    draw: Callable[[Draw], tuple[str, str]]
