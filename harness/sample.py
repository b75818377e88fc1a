"""Rejection sampling (RFT, Yuan et al. 2023, arXiv:2308.01825): write correct answers of a model as rows.

Sampling is an evaluation with several answers to each question: it can be resumed and is on the leaderboard.
A row of the file holds ``prompt`` and ``completion`` as messages, as TRL reads them, and ``id``, ``task``,
``split``, ``database`` and ``sql``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from harness.evaluation import evaluate_model
from harness.spec import EvalSpec
from leaderboards import store
from leaderboards.types import Record, Run
from tasks.common import files
from tasks.common.errors import DataError, ModelError
from tasks.types import Workers

Keep = Literal["correct", "likeliest"]


def sample(
    spec: EvalSpec, overrides: Sequence[str], keep: Keep, out: Path, workers: Workers = 0
) -> tuple[Run, int]:
    """Draw ``spec.samples`` answers to each question and write the right ones to ``out``.

    Returns the run and the number of rows. The same call continues where an interrupted one stopped. Raises
    ModelError: answers could not be drawn; DataError: none is right; and the errors of ``evaluate_model``.
    """
    run = evaluate_model(spec, overrides, workers)
    if not run.finished:
        raise ModelError("questions are left unanswered: run the same command again")
    kept = right_answers(store.records(run.id), keep)
    if not kept:
        raise DataError(
            f"{spec.model} answered no question of {run.task} '{run.split}' right: nothing to write"
        )
    rows = [_row(run, record) for record in kept]
    out.parent.mkdir(parents=True, exist_ok=True)
    files.write(out, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    return run, len(rows)


def right_answers(records: Iterable[Record], keep: Keep) -> list[Record]:
    """The distinct right queries, ordered by question; ``likeliest`` keeps one for each question.

    Right answers to a gold that returns no rows are left out: an empty result proves little.
    """
    by_question: dict[str, dict[str, Record]] = {}
    for record in records:
        if record.metric == 1 and record.gold_rows:
            by_question.setdefault(record.sample_id, {}).setdefault(" ".join(record.sql.split()), record)
    if keep == "likeliest":
        return [max(queries.values(), key=_logprob) for queries in by_question.values()]
    return [record for queries in by_question.values() for record in queries.values()]


def _logprob(record: Record) -> float:
    return float("-inf") if record.logprob is None else record.logprob


def _row(run: Run, record: Record) -> dict[str, Any]:
    return {
        "id": record.sample_id,
        "task": run.task,
        "split": run.split,
        "database": record.database,
        "prompt": json.loads(record.prompt),
        "completion": [{"role": "assistant", "content": record.completion}],
        "sql": record.sql,
    }
