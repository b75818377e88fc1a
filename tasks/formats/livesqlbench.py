"""The format of LiveSQLBench: questions with the ids of the knowledge they need, in ``DB/DB_kb.jsonl``.

The public file lacks ``sol_sql``; the authors send it by mail. A solution of several statements changes the
database, which no answer may do here: such a row has no gold.
Source: https://github.com/bird-bench/livesqlbench, README and ``integrate_gt_data.py``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks import readers


def rows(path: Path, _: str) -> list[dict[str, Any]]:
    """Rows with the columns of the file, ``gold`` and ``evidence``: the knowledge that the question needs.

    Raises DataError: a file is missing or broken.
    """
    known: dict[str, dict[Any, str]] = {}
    found = []
    for line in readers.read(path):
        name, ids = line["selected_database"], line.get("external_knowledge") or []
        if ids and name not in known:
            entries = readers.read(path.parent / name / f"{name}_kb.jsonl")
            known[name] = {entry["id"]: f"{entry['knowledge']}: {entry['definition']}" for entry in entries}
        solution = line.get("sol_sql") or []
        texts = [solution] if isinstance(solution, str) else solution
        evidence = "\n".join(known[name][number] for number in ids if number in known[name])
        found.append({**line, "gold": texts[0] if len(texts) == 1 else "", "evidence": evidence})
    return found
