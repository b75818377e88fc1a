r"""The format of WikiTableQuestions: tab-separated values in which quotes are text.

A list is separated by ``|``. A value has a line end as ``\n``, ``|`` as ``\p`` and a backslash as ``\\``.
Source: https://github.com/ppasupat/WikiTableQuestions, README and ``evaluator.py`` (``tsv_unescape``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tasks import readers
from tasks.common.errors import DataError, MissingData
from tasks.common.terminal import say

TAGGED = "tagged"
"""The folder beside the questions with the files ``*.tagged``, which give the answers' canonical forms."""
_TABLE = re.compile(r"csv/(\d+)-csv/(\d+)\.csv")


def rows(path: Path, _: str) -> list[dict[str, Any]]:
    """Rows with ``id``, ``question``, ``table`` (``203_733``), ``answers`` and ``canonical``.

    ``canonical``: the answers with numbers and dates normalized, from the folder ``tagged``; empty where it
    is missing, which a line on stderr says. Raises DataError: a file is missing or not of this format.
    """
    folder, lines = path.parent / TAGGED, list(_lines(path))
    canonical = {line["id"]: line["targetCanon"] for file in folder.glob("*.tagged") for line in _lines(file)}
    without = sum(line["id"] not in canonical for line in lines)
    if without:
        say(
            f"{path.name}: {without} of {len(lines)} questions without canonical answers in {folder}/*.tagged"
        )
    return [
        {
            "id": line["id"],
            "question": unescaped(line["utterance"]),
            "table": _table(line["context"], path),
            "answers": unescaped_list(line["targetValue"]),
            "canonical": unescaped_list(canonical[line["id"]]) if line["id"] in canonical else [],
        }
        for line in lines
    ]


def unescaped(text: str) -> str:
    """The official ``tsv_unescape``, with its order of replacements."""
    return text.replace(r"\n", "\n").replace(r"\p", "|").replace("\\\\", "\\")


def unescaped_list(text: str) -> list[str]:
    """The official ``tsv_unescape_list``."""
    return [unescaped(part) for part in text.split("|")]


def _lines(path: Path) -> Iterator[dict[str, str]]:
    if not path.is_file():
        raise MissingData(f"no such file: {path}")
    head, *lines = readers.text_of(path).rstrip("\n").split("\n")
    names = head.split("\t")
    for number, line in enumerate(lines, 2):
        cells = line.split("\t")
        if len(cells) != len(names):
            raise DataError(f"{path}, line {number}: {len(cells)} fields, the header has {len(names)}")
        yield dict(zip(names, cells, strict=True))


def _table(context: str, path: Path) -> str:
    match = _TABLE.fullmatch(context)
    if match is None:
        raise DataError(f"{path}: '{context}' names no table: expected csv/NUMBER-csv/NUMBER.csv")
    return f"{match[1]}_{match[2]}"
