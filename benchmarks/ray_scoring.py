"""Scoring on three raylets compared with the pool of this machine, and with a raylet lost and one added.

    python benchmarks/ray_scoring.py [--pairs 5000] [--slow 10] [--rounds 3] [--out benchmarks/ray.md]

The raylets listen on 127.0.0.1 and have one worker each; the local pool has three. Pairs are right, wrong and
broken answers, and a tenth hostile ones; ``--slow`` of these run into the deadline. In each round both pools
score all pairs; the fastest round counts. Then one raylet is killed after a third of the pairs, and another
is added.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import workload
from raylets import running_cluster

from harness.cluster.workers import scoring_workers
from rewards.exploits import Target, load
from rewards.grader import Grader
from rewards.types import Answer, Grade
from runners.compat.quiet import quiet
from tasks.databases.sandbox.pool import Sandbox
from tasks.spec import ScoringSpec
from tasks.types import Database, Limits, Pool, Workers

RAYLETS = 3
WARM_UP = 200
"""Answers that are scored before the first round: the workers start, and golds are cached."""
SCORING = ScoringSpec(seconds=1.0, steps=2_000_000_000)
SLOW = "endless_recursion"


@dataclass(frozen=True, slots=True)
class Round:
    """All pairs, scored once."""

    seconds: float
    grades: list[tuple[object, ...]]
    results: Counter[int]
    """How many results each job had."""
    jobs: int
    """Different answers: those without SQL are one for each question."""


class Observed:
    """A pool that counts its results; ``at_third`` is called after a third of them."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.at_third: Callable[[], None] | None = None
        self.results: Counter[int] = Counter()
        self.jobs = 0

    def map(
        self, work: str, jobs: Sequence[Any], costs: Sequence[float] | None = None
    ) -> Iterator[tuple[int, Any]]:
        """As the pool does."""
        self.results.clear()
        self.jobs = len(jobs)
        for index, result in self._pool.map(work, jobs, costs):
            self.results[index] += 1
            if self.at_third and self.results.total() > len(jobs) // 3:
                at_third, self.at_third = self.at_third, None
                at_third()  # Ray starts raylets in the main thread only
            yield index, result

    def close(self) -> None:
        """As the pool does."""
        self._pool.close()


def main() -> int:
    """The command line: the report goes to standard output and to ``--out``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=5000)
    parser.add_argument("--slow", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch, quiet():
        answers = _answers(Path(scratch), options.pairs, options.slow)
        text = _report(answers, options)
    print(text)
    if options.out:
        options.out.write_text(text)
    return 0


def _answers(folder: Path, count: int, slow: int) -> list[Answer]:
    """Distinct answers; the slow ones are spread among the others."""
    pairs = workload.generated(count - slow, folder)
    databases = {pair.database: _database(folder, pair.database) for pair in pairs}
    answers = [
        Answer(databases[pair.database], (pair.gold,), f"/* {number} */ {pair.sql}")
        for number, pair in enumerate(pairs)
    ]
    (exploit,) = [exploit for exploit in load("sqlite") if exploit.name == SLOW]
    for number in range(slow):
        place = number * len(answers) // slow
        near = answers[place]
        target = Target(near.gold[0], "x", "x", "1", "?", "/dev/null/nothing")
        answers.insert(
            place, Answer(near.database, near.gold, f"/* s{number} */ {exploit.completion(target)}")
        )
    return answers


def _database(folder: Path, name: str) -> Database:
    return Database(name, "sqlite", (workload.place(folder, name),))


def _report(answers: list[Answer], options: argparse.Namespace) -> str:
    rounds: dict[str, list[Round]] = {"local": [], "ray": []}
    with running_cluster() as cluster:
        killed = cluster.add()
        cluster.add()

        def replace_one() -> None:
            cluster.kill(killed)
            cluster.add()

        with scoring_workers("ray", 1) as there:
            with _grader(RAYLETS) as local, _grader(there) as remote:
                for scorer in (local, remote):
                    scorer.scored(answers[:WARM_UP])
                for number in range(options.rounds):
                    print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
                    rounds["local"].append(local.scored(answers))
                    rounds["ray"].append(remote.scored(answers))
            print("one raylet is killed, one is added", file=sys.stderr, flush=True)
            with _grader(there) as disturbed:
                disturbed.scored(answers[:WARM_UP])
                disturbed.pool.at_third = replace_one
                broken = disturbed.scored(answers)
    best = {name: min(done, key=lambda one: one.seconds) for name, done in rounds.items()}
    return _heading(options) + _table({**best, "ray, one killed": broken})


@dataclass(frozen=True, slots=True)
class Scorer:
    """A grader, and its pool."""

    grader: Grader
    pool: Observed

    def scored(self, answers: list[Answer]) -> Round:
        """Score all answers."""
        began = time.monotonic()
        grades = self.grader.grade_answers(answers)
        seconds = time.monotonic() - began
        facts = [_facts(grade) for grade in grades]
        return Round(seconds, facts, Counter(self.pool.results), self.pool.jobs)


@contextmanager
def _grader(workers: Workers) -> Iterator[Scorer]:
    pools: list[Observed] = []

    def observed(limits: Limits) -> Pool:
        pools.append(Observed(workers(limits) if callable(workers) else Sandbox(workers, limits)))
        return pools[0]

    with Grader(SCORING, observed) as grader:
        yield Scorer(grader, pools[0])


def _facts(grade: Grade) -> tuple[object, ...]:
    """What may not depend on where the answer is scored."""
    scores = {name: score.value for name, score in grade.scores.items()}
    return grade.attempt.reason, grade.attempt.verdicts, scores


def _heading(options: argparse.Namespace) -> str:
    load_average = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        "# Scoring on Ray\n\n"
        f"`python benchmarks/ray_scoring.py --pairs {options.pairs} --slow {options.slow}`, {date.today()},"
        f" {platform.machine()}, {len(os.sched_getaffinity(0))} cores, load {load_average} when it ended.\n\n"
        f"{RAYLETS} raylets with a worker each; the local pool has {RAYLETS} workers. {options.slow} answers"
        f" run into the deadline of {SCORING.seconds:g} s. The fastest of {options.rounds} rounds, in"
        " which the pools take turns.\n\n"
    )


def _table(rounds: dict[str, Round]) -> str:
    local = rounds["local"]
    count = len(local.grades)
    lines = [
        "| pool | pairs/s | of local | verdicts that differ | lost | twice |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, one in rounds.items():
        differing = sum(mine != theirs for mine, theirs in zip(local.grades, one.grades, strict=True))
        lost = one.jobs - len(one.results)
        twice = sum(number > 1 for number in one.results.values())
        rate = f"{count / one.seconds:,.0f} | {local.seconds / one.seconds:.0%}"
        lines.append(f"| {name} | {rate} | {differing} | {lost} | {twice} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
