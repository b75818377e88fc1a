"""What a copy has done."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Copied:
    """The tables and rows of a copy. ``left_out``: what the engine does not take, one line each."""

    tables: int = 0
    rows: int = 0
    left_out: list[str] = field(default_factory=list)
