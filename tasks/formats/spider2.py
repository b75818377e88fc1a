"""The format of Spider 2.0-Lite: the questions of its SQLite databases, with their expected results.

Results are ``evaluation_suite/gold/exec_result/ID.csv``, or ``ID_a.csv``, ``ID_b.csv`` if several are right;
``spider2lite_eval.jsonl`` says which of their columns count, and whether the order of rows does.
Source: https://github.com/xlang-ai/Spider2, ``spider2-lite/evaluation_suite/evaluate.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks import readers

LOCAL = "local"
"""How the ids of questions on SQLite begin; the others ask databases in the cloud."""


def rows(path: Path, _: str) -> list[dict[str, Any]]:
    """Rows with ``instance_id``, ``question``, ``db``, ``evidence`` and ``results``.

    Raises DataError: a file is missing or broken.
    """
    gold = path.parent / "evaluation_suite" / "gold"
    rules = {rule["instance_id"]: rule for rule in readers.read(gold / "spider2lite_eval.jsonl")}
    files: dict[str, list[Path]] = {}
    for file in sorted((gold / "exec_result").glob(f"{LOCAL}*.csv")):
        files.setdefault(re.sub(r"_[a-z]$", "", file.stem), []).append(file)
    return [
        {
            **line,
            "evidence": _document(path.parent, line.get("external_knowledge")),
            "results": _results(files.get(line["instance_id"], []), rules.get(line["instance_id"], {})),
        }
        for line in readers.read(path)
        if line["instance_id"].startswith(LOCAL)
    ]


def _document(folder: Path, name: str | None) -> str:
    return readers.text_of(folder / "resource" / "documents" / name) if name else ""


def _results(files: Sequence[Path], rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns = rule.get("condition_cols") or []
    each = columns and all(isinstance(chosen, list) for chosen in columns)
    results = []
    for number, file in enumerate(files):
        chosen = (columns[number] if number < len(columns) else []) if each else columns
        header, lines = readers.table(file)
        kept = chosen or range(len(header))
        results.append(
            {
                "columns": [header[place] for place in kept],
                "rows": [[line[place] for place in kept] for line in lines],
                "ordered": not rule.get("ignore_order", False),
            }
        )
    return results
