"""Tables for programs and papers: CSV, and Markdown that GitHub renders.

``harness.render.as_sheets`` makes the ``Sheet``s of a result; here is the only place that writes either form.
Names that a model, a dataset or a person wrote are shown as they are: in Markdown as code where they could be
read as markup, a link or a mention, in CSV never as a formula.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from tasks.common.terminal import one_line, visible

_PLAIN = re.compile(r"(?:[\w .,;'/()%+=…·→-](?<!_)|(?<=[^\W_])_(?=[^\W_])|:(?![\w+-]*:)|<(?= \d))*")
"""Texts in which nothing is markup to GitHub."""
_LINK = re.compile(r"://|www\.", re.IGNORECASE)
_FORMULA = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
"""A spreadsheet takes a cell that begins so for a formula; some also with the full-width signs."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a sheet."""

    key: str
    """Its name in CSV; "": it is not in CSV."""
    value: Callable[[Any], Any]
    """Gets its value from a row."""
    title: str = ""
    """Its heading in Markdown; "": it is not in Markdown."""
    show: Callable[[Any], str] = str
    """Formats a value for Markdown; CSV has the value itself."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table."""

    columns: Sequence[Column]
    rows: Sequence[Any]
    """What the columns get their values from. None is an empty cell in CSV."""
    title: Sequence[str] = ()
    """In Markdown, the parts of a line in bold before the table."""
    notes: Sequence[Sequence[str]] = ()
    """In Markdown, lines after the table, each as the parts of a line."""


def as_csv(sheets: Sequence[Sheet]) -> str:
    """All rows under one header, with the columns of all sheets that have some in CSV."""
    keys = list(dict.fromkeys(column.key for sheet in sheets for column in sheet.columns if column.key))
    text = io.StringIO()
    writer = csv.DictWriter(text, keys, lineterminator="\n")
    writer.writerow({key: _csv_cell(key) for key in keys})
    for sheet in sheets:
        for row in sheet.rows if any(column.key for column in sheet.columns) else ():
            cells = {one.key: _csv_cell(one.value(row)) for one in sheet.columns if one.key}
            writer.writerow(cells)
    return text.getvalue()


def _csv_cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = visible(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def as_markdown(sheets: Sequence[Sheet]) -> str:
    """One table for each sheet with columns in Markdown; its title before and its notes after it."""
    return "\n".join(_markdown(one) for one in sheets if any(column.title for column in one.columns))


def _markdown(sheet: Sheet) -> str:
    shown = [column for column in sheet.columns if column.title]
    lines = [f"**{_line(sheet.title)}**", ""] if sheet.title else []
    lines += [_row(cell(column.title) for column in shown)]
    lines += [_row("---" if column.show is str else "---:" for column in shown)]
    for row in sheet.rows:
        lines.append(_row(cell(column.show(column.value(row))) for column in shown))
    for note in sheet.notes:
        lines += ["", _line(note)]
    return "\n".join(lines) + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _line(parts: Sequence[str]) -> str:
    """A paragraph; one that begins like a list or a heading does not become one."""
    text = " · ".join(map(cell, parts))
    return f"&#{ord(text[0])};{text[1:]}" if text[:1] in tuple("-+=0123456789") else text


def cell(text: str) -> str:
    """A text inside a Markdown table, on one line.

    >>> cell("nano"), cell("a|b")
    ('nano', '<code>a&#124;b</code>')
    """
    line = one_line(text)
    if _PLAIN.fullmatch(line) and not _LINK.search(line):
        return line
    escaped = "".join(
        character if character.isalnum() or character in " -" else f"&#{ord(character)};"
        for character in line
    )
    return f"<code>{escaped}</code>"
