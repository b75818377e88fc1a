"""Describe the rows that a query returned: as short lines for a reader, as a digest, as an overlap."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from itertools import chain

from tasks.types import DECIMAL, Cell, Outcome, Row, cell_text


def difference(gold: Outcome, prediction: Outcome) -> str:
    """One line with the first row of each result that the other does not have."""
    if len(gold.columns) != len(prediction.columns):
        return f"{_count(prediction.columns, 'column')}, expected {len(gold.columns)}"
    expected, got = (
        None if index is None else outcome.rows[index]
        for outcome, index in zip((gold, prediction), first_missing(gold, prediction), strict=True)
    )
    count = (
        f"{_count(prediction.rows, 'row')}, expected {len(gold.rows)}; "
        if len(gold.rows) != len(prediction.rows)
        else ""
    )
    return f"{count}expected {_short(expected)}, got {_short(got)}"


def _count(items: Sequence[object], noun: str) -> str:
    """Their number, with the noun in the right form."""
    return f"{len(items)} {noun}{'s' * (len(items) != 1)}"


def first_out_of_order(gold: Outcome, prediction: Outcome) -> str:
    """One line with the first place at which two results with the same rows differ."""
    index = out_of_order(gold, prediction)
    if index is None:
        return ""
    return f"row {index + 1}: expected {_short(gold.rows[index])}, got {_short(prediction.rows[index])}"


def out_of_order(gold: Outcome, prediction: Outcome) -> int | None:
    """The index of the first place at which two results with the same rows differ."""
    pairs = enumerate(zip(gold.rows, prediction.rows, strict=True))
    return next((index for index, (expected, got) in pairs if expected != got), None)


def first_missing(gold: Outcome, prediction: Outcome) -> tuple[int | None, int | None]:
    """In each of two results, the index of the first row that the other does not have."""
    return _first_missing(gold.rows, prediction.rows), _first_missing(prediction.rows, gold.rows)


def preview(outcome: Outcome, count: int) -> tuple[str, ...]:
    """A short line with the names of the columns, then one for each of the first ``count`` rows."""
    return tuple([_short(row) for row in (outcome.columns, *outcome.rows[:count])])


def row_overlap(gold: Outcome, answer: Outcome) -> float:
    """F1 in [0, 1] of the bags of all cells: 1 where both results have the same values in any places."""
    if gold.same_as(answer):
        return 1.0
    gold_cells, answer_cells = (Counter(chain.from_iterable(outcome.rows)) for outcome in (gold, answer))
    total = gold_cells.total() + answer_cells.total()
    return 2 * (gold_cells & answer_cells).total() / total if total else 1.0


def result_digest(rows: Sequence[Row]) -> str:
    """16 hex digits, the same for results that differ in the order of rows or columns only.

    Each row counts as the bag of its cells. 1 equals 1.0, floats and decimals agree to 6 significant digits,
    and text, blobs and NULL equal only their own kind.
    """
    coded = sorted(sorted(map(_code, row)) for row in rows)
    return blake2b(repr(coded).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _first_missing(rows: Sequence[Row], other: Sequence[Row]) -> int | None:
    if rows and rows[0] not in other:
        return 0  # the usual case: avoids hashing all rows
    unmatched = Counter(other)
    for index, row in enumerate(rows):
        if not unmatched[row]:
            return index
        unmatched[row] -= 1
    return None


def _short(row: Row | None, cells: int = 6, width: int = 40) -> str:
    if row is None:
        return "no other row"
    shown = [
        repr(cell[:width]) if isinstance(cell, str | bytes) else cell_text(cell)[:width]
        for cell in row[:cells]
    ]
    return f"({', '.join(shown)}{', ...' if len(row) > cells else ''})"


def _code(cell: Cell) -> str:
    if isinstance(cell, tuple):
        if cell[0] == DECIMAL:
            return _code(float(str(cell[1])))
        return f"{cell[0]!r}({', '.join(map(_code, cell[1:]))})"
    if isinstance(cell, float):
        return f"n{cell:.0f}" if cell.is_integer() else f"n{cell:.6g}"
    return f"n{cell}" if isinstance(cell, int) else f"{type(cell).__name__} {cell!r}"
