"""The format of text2sql-data: templates whose variables are filled in for every sentence.

Source: https://github.com/jkkummerfeld/text2sql-data, ``tools/json_to_flat.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks import readers


def rows(path: Path, split: str) -> list[dict[str, Any]]:
    """Rows with ``question``, ``query`` (all equivalent golds) and ``id`` (the position in the file).

    ``split``: a value of ``question-split``.
    """
    position = 0
    rows = []
    for template in readers.read(path):
        for sentence in template["sentences"]:
            if sentence["question-split"] == split:
                rows.append(_filled(template, sentence) | {"id": str(position)})
            position += 1
    return rows


def _filled(template: dict[str, Any], sentence: dict[str, Any]) -> dict[str, Any]:
    question, golds = sentence["text"], list(template["sql"])
    for name, value in sentence["variables"].items():
        question = question.replace(name, value)
        golds = [gold.replace(name, value) for gold in golds]
    for variable in template["variables"]:
        if variable["name"] not in sentence["variables"]:
            golds = [gold.replace(variable["name"], variable["example"]) for gold in golds]
    return {"question": question, "query": golds}
