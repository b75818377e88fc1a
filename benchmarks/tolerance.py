"""Which verdicts of ``strict`` on Spider's published predictions hang on its tolerance or on ties at a LIMIT?

    HARNESS_DATA=... python benchmarks/tolerance.py

A line for each prediction file: how many answers are right; of these, how many only because floats may
differ in their last digits, and how many only because any of the rows that tie may stand where the gold's
LIMIT cuts; how many wrong ones would be right if floats were compared by their first six digits. Then how
many golds order and limit their rows, and how many of these LIMITs cut through a tie.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rewards.answers import Answers
from rewards.attempt import Job, Rules
from rewards.columns import bijections
from rewards.compare import permuted, strict
from rewards.outermost import ordered
from rewards.trial import Trial
from rewards.types import Reason
from tasks.databases.executor import Executor
from tasks.databases.sandbox import Sandbox
from tasks.types import Cell, Database, Mode, Outcome, Row

RULES = Rules((Mode.STRICT,), Mode.STRICT, structure=False)
KINDS = ("right", "by last digits", "by a tie at the cut", "wrong, equal in six digits")


def kind(executor: Executor, job: Job) -> str:
    """One of KINDS, or "" for other wrong answers. Runs in a worker."""
    (gold_sql,) = job.gold
    trial = Trial(executor, job, gold_sql, Answers(executor, job.database, job.sql, job.gold))
    gold = trial.gold(0, gold_sql)
    answer = trial.answer(0, job.sql) if gold.ok else gold
    if not answer.ok:
        return ""
    standing = trial.standing(0, gold_sql)
    reason = trial.strictly(0, gold_sql, job.sql)
    if reason is not Reason.CORRECT:
        coarse = reason is not Reason.WRONG_ORDER and _same_bag(gold, answer, _six_digits)
        return KINDS[3] if coarse else ""
    if strict(gold, answer, lambda: standing.groups if standing else None) is not Reason.CORRECT:
        return KINDS[2]
    return KINDS[0] if _same_bag(gold, answer, tuple) else KINDS[1]


def cut(executor: Executor, job: Job) -> bool:
    """Whether the gold's LIMIT cuts through a tie. Runs in a worker."""
    (gold_sql,) = job.gold
    return Trial(executor, job, gold_sql, Answers(executor, job.database, "", job.gold)).cuts(0, gold_sql)


def _same_bag(gold: Outcome, answer: Outcome, read: Callable[[Row], Row]) -> bool:
    """Whether both hold the same rows under some order of columns, by Python's equality."""
    one, two = list(map(read, gold.rows)), list(map(read, answer.rows))
    if len(one) != len(two) or len(gold.columns) != len(answer.columns):
        return False
    bag = Counter(one)
    return bag == Counter(two) or any(bag == Counter(permuted(two, order)) for order in bijections(one, two))


def _six_digits(row: Row) -> tuple[Cell, ...]:
    return tuple([float(f"{cell:.6g}") if isinstance(cell, float) else cell for cell in row])


def jobs_of(data: Path, rows: Sequence[dict[str, str]], sql: Sequence[str]) -> list[Job]:
    """A job for each row that has a database here."""
    jobs = []
    for row, text in zip(rows, sql, strict=True):
        path = data / "spider/database" / row["db_id"] / f"{row['db_id']}.sqlite"
        if path.is_file():
            jobs.append(Job(Database(row["db_id"], instances=(path,)), (row["query"],), text, RULES))
    return jobs


def main() -> None:
    """Print the table."""
    data = Path(os.environ["HARNESS_DATA"])
    rows = json.loads((data / "spider/dev_exec.json").read_text())
    print(f"| predictions | {' | '.join(KINDS)} |\n|---|{'---:|' * len(KINDS)}")
    with Sandbox() as sandbox:
        for file in sorted((data / "predictions/spider_dev").glob("*.sql")):
            lines = [line.split("\t")[0] for line in file.read_text(errors="replace").splitlines()]
            found = Counter(one for _, one in sandbox.map("tolerance:kind", jobs_of(data, rows, lines)))
            counts = [sum(found[name] for name in KINDS[:3]), *(found[name] for name in KINDS[1:])]
            print(f"| {file.stem} | {' | '.join(map(str, counts))} |")
        golds = jobs_of(data, rows, [row["query"] for row in rows])
        limited = [job for job in golds if (order := ordered(job.gold[0], "sqlite")) and order.limited]
        tied = sum(one for _, one in sandbox.map("tolerance:cut", limited))
    print(f"\n{tied} of {len(limited)} golds that order and limit their rows are cut at a tie.")


if __name__ == "__main__":
    main()
