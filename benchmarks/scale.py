"""Scoring on many nodes, simulated with service times that are measured here.

    OMP_NUM_THREADS=1 python benchmarks/scale.py [--answers 1000000] [--databases 1000] [--cores 16]

First one of our workers judges pairs of an answer and a gold, and measures its CPU seconds: to open the
database, to run the gold, and to judge the answer. With HARNESS_DATA the answers are what four models
predicted for Spider dev; otherwise answers to pocket's questions, of the kinds of ``workload.py``. A tenth is
hostile: every exploit that ships, those that run until the time limit included.

Then chunks of eight answers to a question are drawn from these times, ``--step`` answers at a time, and put
on nodes of ``--cores`` workers by a discrete-event simulation:

    any         every chunk on a random node
    hash        every chunk on the node of its database
    pull        a node takes the next chunk whenever it has a free worker
    hash, pull  every chunk on the node of its database; a node with nothing left takes from the one with most

A worker takes a chunk at a time, as in our pool, whose smallest chunk has eight jobs. It runs the gold once
for the chunk, and keeps ``MAX_OPEN`` databases open. All answers of a step are there when it begins, and it
ends with the last one. Sending takes no time. ``use``: the share of core seconds that are worked; ``open``:
chunks whose worker has the database open; ``held``: databases that a node has been sent.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, quantiles

import numpy as np
import scale_times
from scale_simulation import PLACEMENTS, Load, simulate
from scale_times import Times

from tasks.task import Task

HOSTILE = 0.1
"""The share of hostile answers."""
LIMIT = 5
"""Seconds that a query may run."""


def main() -> None:
    """Measure, simulate, print tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--answers", type=int, default=1_000_000)
    parser.add_argument("--databases", type=int, default=1000)
    parser.add_argument("--cores", type=int, default=16, help="workers of a node")
    parser.add_argument("--chunk", type=int, default=8, help="answers that a worker takes at a time")
    parser.add_argument("--step", type=int, default=4096, help="answers of a step")
    parser.add_argument("--nodes", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument("--pairs", type=int, default=2000, help="honest answers that are measured")
    parser.add_argument("--attacks", type=int, default=300, help="hostile answers that are measured")
    options = parser.parse_args()
    name = "spider" if os.environ.get("HARNESS_DATA") else "pocket"
    task = Task.named(name, [f"scoring.seconds={LIMIT}"])
    honest = scale_times.measure(task, scale_times.honest(task, options.pairs))
    hostile = scale_times.measure(task, scale_times.hostile(task, options.attacks))
    print(f"Measured on {task.name}, limit {task.spec.scoring.seconds:g} s a query:\n")
    print("| answers | number | mean ms | p50 ms | p99 ms | at the limit | gold ms | opening ms |")
    print("|---|---|---|---|---|---|---|---|")
    print(_row("honest", honest))
    print(_row("hostile", hostile))
    for share in (HOSTILE, 0.0):
        began = time.process_time()
        drawn = _draw(options, honest, hostile, share)
        work = drawn.seconds.sum() / 3600
        print(f"\n{options.answers:,} answers, {share:.0%} hostile, {work:,.2f} hours of a core:\n")
        print("| nodes | placement | use | step p50 s | p99 s | max s | open | held |")
        print("|---|---|---|---|---|---|---|---|")
        for nodes in options.nodes:
            for placement in PLACEMENTS:
                print(simulate(drawn, (nodes, options.cores), placement).row(), flush=True)
        print(f"\nSimulated in {time.process_time() - began:.0f} CPU seconds.")


def _row(name: str, found: Sequence[Times]) -> str:
    answers = [1000 * times.answer for times in found]
    cuts = quantiles(answers, n=100)
    limit = fmean(times.timeout for times in found)
    opening = fmean(1000 * times.opening for times in found if times.opening is not None)
    gold = fmean(1000 * times.gold for times in found)
    return (
        f"| {name} | {len(found):,} | {fmean(answers):.2f} | {cuts[49]:.2f} | {cuts[98]:,.2f} | {limit:.1%}"
        f" | {gold:.2f} | {opening:.2f} |"
    )


def _draw(
    options: argparse.Namespace, honest: Sequence[Times], hostile: Sequence[Times], share: float
) -> Load:
    """Chunks over the databases, each of which is like one that was measured."""
    generator = np.random.default_rng(0)
    by_database = defaultdict(list)
    for times in honest:
        by_database[times.database].append(times)
    like = [by_database[name] for name in sorted(by_database)]
    count = options.answers // options.chunk
    databases = generator.integers(options.databases, size=count)
    seconds, answers = np.empty(count), np.array([times.answer for times in hostile])
    openings = np.array([fmean(t.opening for t in one if t.opening is not None) for one in like])
    for kind, measured in enumerate(like):
        chunks = np.flatnonzero(databases % len(like) == kind)
        drawn = generator.choice([times.answer for times in measured], (len(chunks), options.chunk))
        attacks = generator.random(drawn.shape) < share
        drawn[attacks] = generator.choice(answers, attacks.sum())
        golds = generator.choice([times.gold for times in measured], len(chunks))
        seconds[chunks] = drawn.sum(axis=1) + golds
    openings = openings[np.arange(options.databases) % len(like)]
    return Load(databases, seconds, openings, options.step // options.chunk)


if __name__ == "__main__":
    main()
