"""How a cell is written for a reader."""

from __future__ import annotations

from tasks.types import DECIMAL, Cell


def written(cell: Cell) -> str:
    """A cell as DuckDB writes it: [1, 2], {'a': 1}, MAP {1: 'x'}, (1, 2), 1.5; others as Python does."""
    if not isinstance(cell, tuple):
        return repr(cell)
    kind, *parts = cell
    if kind == DECIMAL:
        return str(parts[0])
    shown = list(map(written, parts))
    if kind == "list":
        return f"[{', '.join(shown)}]"
    if kind == "tuple":
        return f"({', '.join(shown)})"
    pairs = [f"{key}: {value}" for key, value in zip(shown[::2], shown[1::2], strict=True)]
    return f"{'MAP ' if kind == 'map' else ''}{{{', '.join(pairs)}}}"
