"""How many lucky predictions generated instances reject, and how many right predictions they reject wrongly.

    HARNESS_DATA=... python benchmarks/variants.py [--count 3] [--seed 0]

For Spider dev and four published prediction files: of the predictions that are right on the base database
and wrong on the official test suite, the share that is wrong on ``count`` of our generated instances too
(80 % or more). Of those that are right on the official test suite, the share that is wrong on ours (at most
0.5 %). Both by the official rule (``rewards.matching.spider``). The instances are generated from the base
databases and the golds alone.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from rewards.matching import spider
from tasks.databases.instances.variants import with_variants
from tasks.databases.sandbox.executor import Executor
from tasks.databases.sandbox.pool import Sandbox
from tasks.types import Database, Limits


def verdicts(executor: Executor, job: tuple[Database, str, str]) -> list[bool]:
    """Whether the official rule finds gold and prediction equal, on each instance. Runs in a worker."""
    database, gold_sql, sql = job[0], spider.prepared(job[1]), spider.prepared(job[2])
    ordered = spider.order_matters(gold_sql)
    equal = []
    for instance in range(len(database.instances)):
        gold, answer = executor.run(database, instance, gold_sql), executor.run(database, instance, sql)
        equal.append(answer.ok and spider.equal(gold.rows, answer.rows, ordered))
    return equal


def load(data: Path) -> tuple[list[dict[str, Any]], list[tuple[int, str, bool]]]:
    """The questions, and ``(row, prediction, right on the test suite)`` of all that are right on the base."""
    rows = json.loads((data / "spider/dev_exec.json").read_text())
    folder = data / "predictions/spider_dev"
    official = json.loads((folder / "official_verdicts.json").read_text())
    predictions = []
    for model, verdict in official.items():
        lines = (folder / f"{model}.sql").read_text().split("\n")
        right = [int(row) for row, value in verdict["ex"].items() if value]
        predictions += [(row, lines[row].split("\t")[0], bool(verdict["ts"][str(row)])) for row in right]
    return rows, predictions


def vary(data: Path, rows: list[dict[str, Any]], folder: Path, count: int, seed: int) -> dict[str, Database]:
    """Each dev database with its generated instances only."""
    golds: dict[str, dict[str, None]] = {}
    for row in rows:
        golds.setdefault(row["db_id"], {})[row["query"]] = None
    databases = {}
    for name, queries in golds.items():
        path = data / "spider/database" / name / f"{name}.sqlite"
        if path.is_file():
            made = with_variants(Database(name, instances=(path,)), tuple(queries), count, folder, seed)
            databases[name] = replace(made, instances=made.instances[1:])
    return databases


def main() -> None:
    """Print one line for each number of variants."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    data = Path(os.environ["HARNESS_DATA"])
    rows, predictions = load(data)
    with tempfile.TemporaryDirectory() as folder, Sandbox(limits=Limits(seconds=10)) as sandbox:
        start = time.perf_counter()
        databases = vary(data, rows, Path(folder), arguments.count, arguments.seed)
        print(f"{len(databases)} x {arguments.count} instances in {time.perf_counter() - start:.1f} s")
        jobs = [(databases[rows[row]["db_id"]], rows[row]["query"], sql) for row, sql, _ in predictions]
        equal = dict(sandbox.map("variants:verdicts", jobs))
    lucky = [equal[index] for index, (_, _, is_right) in enumerate(predictions) if not is_right]
    right = [equal[index] for index, (_, _, is_right) in enumerate(predictions) if is_right]
    for count in range(1, arguments.count + 1):
        lucky_rejected, right_rejected = (
            sum(not all(verdicts[:count]) for verdicts in group) for group in (lucky, right)
        )
        print(
            f"{count} instances: {lucky_rejected} of {len(lucky)} lucky predictions rejected"
            f" ({lucky_rejected / len(lucky):.1%}), {right_rejected} of {len(right)} right ones rejected"
            f" ({right_rejected / len(right):.2%})"
        )


if __name__ == "__main__":
    main()
