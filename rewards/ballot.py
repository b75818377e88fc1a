"""What an executed answer votes for: a digest of its rows."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from tasks.types import DECIMAL, Cell, Row


def result_digest(rows: Sequence[Row]) -> str:
    """16 hex digits, the same for results that differ in the order of rows or columns only.

    A row counts as the bag of its cells. 1 equals 1.0, floats and decimals agree to 6 significant digits, and
    text, blob and NULL equal only their own kind.
    """
    coded = sorted(sorted(map(_code, row)) for row in rows)
    return blake2b(repr(coded).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _code(cell: Cell) -> str:
    if isinstance(cell, tuple):
        if cell[0] == DECIMAL:
            return _code(float(str(cell[1])))
        return f"{cell[0]!r}({', '.join(map(_code, cell[1:]))})"
    if isinstance(cell, float):
        return f"n{cell:.0f}" if cell.is_integer() else f"n{cell:.6g}"
    return f"n{cell}" if isinstance(cell, int) else f"{type(cell).__name__} {cell!r}"
