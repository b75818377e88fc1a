"""The records of a run as a csv file, which ``harness score FILE`` and ``--model replay:FILE`` read back."""

from __future__ import annotations

import csv
import io
from dataclasses import fields
from pathlib import Path

from harness.publishing.evaluation import Published, expect_suffix, write_new
from leaderboards.types import Record


def write(published: Published, out: Path) -> list[Path]:
    """Write a row for each record; an unscored verdict is an empty cell. Raises DataError.

    The lines end with CR LF (RFC 4180), so that a CR inside an answer is quoted and stays as it is.
    """
    expect_suffix(out, ".csv")
    names = [field.name for field in fields(Record)]
    buffer = io.StringIO(newline="")
    rows = csv.writer(buffer)
    rows.writerow(names)
    rows.writerows([getattr(record, name) for name in names] for record in published.records)
    return [write_new(out, buffer.getvalue().encode("utf-8"))]
