"""Print a table of ceilings: what a perfect model can reach on each benchmark whose data is found.

    HARNESS_DATA=~/sql-data python benchmarks/ceilings.py [--limit N] [TASK ...]

A ceiling is what ``harness check`` finds: the share of golds that run and are right against themselves in
every mode of the task, of the questions of the evaluation split that have a database and a gold.
"""

from __future__ import annotations

import argparse
from collections import Counter

from harness.check import SplitCheck, check_task
from tasks import sources
from tasks.spec import load, shipped

HEAD = (
    "task", "split", "questions", "checked", "ceiling", "official metric", "no rows", "one cell",
    "ties at LIMIT", "broken golds",
)  # fmt: skip


def main() -> None:
    """Print a row for each task."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", nargs="*", help="default: every task whose data is found")
    parser.add_argument("--limit", type=int, default=0, help="check the first N questions only")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    print(f"| {' | '.join(HEAD)} |\n|---|---|{'---:|' * 7}---|")
    for name in options.task or filter(is_found, shipped()):
        print(f"| {' | '.join(row(name, options.limit, options.workers))} |", flush=True)


def is_found(name: str) -> bool:
    """Whether the questions of a task are on this machine."""
    return sources.state(load(name).dataset) == "found"


def row(name: str, limit: int, workers: int) -> list[str]:
    """The cells of one task."""
    dataset, about = load(name).dataset, load(name).about
    split, entry = dataset.eval_split, dataset.splits[dataset.eval_split]
    cut = [f"dataset.splits={{{split}: '{entry}[:{limit}]'}}"] if limit else []
    (check,) = check_task(name, cut, [split], None, workers).splits
    official = check.right.get(about.official or "", 0)
    return [
        f"`{name}`",
        split,
        f"{check.total:,}",
        f"{check.rows:,}",
        f"{check.ceiling:.2%}",
        f"{about.official} {official / check.rows:.2%}" if about.official else "-",
        share(check.empty, check),
        share(check.single_cell, check),
        share(check.cut, check),
        reasons(check),
    ]


def share(count: int, check: SplitCheck) -> str:
    """A count as a share of the questions that are checked."""
    return f"{count / check.rows:.1%}"


def reasons(check: SplitCheck) -> str:
    """How many golds are broken, by reason."""
    counts = Counter(gold.reason for gold in check.broken)
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common()) or "none"


if __name__ == "__main__":
    main()
