"""One contender of the scoring benchmark, in a process of its own: score a workload and print a JSON report.

python benchmarks/contender.py NAME WORKLOAD DATABASES [PEERS]
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import peers
from workload import Pair, place, read

from rewards.extract import extract
from rewards.grader import Grader
from rewards.judge import judge
from rewards.types import Answer, JudgeJob, JudgeSettings
from tasks.databases.sandbox.executor import Executor
from tasks.databases.sandbox.pool import Sandbox
from tasks.spec import ScoringSpec
from tasks.types import Database, Mode

WORKERS = 2
STEP = 256
"""Answers of a training step: 32 questions with 8 completions each."""
CHUNK = 64
"""Pairs that are sent at once to a process of ``BARE``. The peers' own pools send one by one."""
OURS: dict[str, tuple[tuple[Mode, ...], bool, int]] = {
    "harness strict": ((Mode.STRICT,), False, 0),
    "harness all modes + structure": (tuple(Mode), True, 0),
    "harness strict, step by step": ((Mode.STRICT,), False, STEP),
}
"""Name -> the modes, whether structure and rewards are computed, and how many answers are graded at once.

0: all of them, as for the peers. In steps, the workers wait for each step's slowest query; no peer does that.
"""
BARE = "bare sqlite3"

Report = dict[str, Any]


def main() -> int:
    """The command line; the report goes to standard output."""
    name, workload, folder, *home = sys.argv[1:]
    pairs, databases, output = read(Path(workload)), Path(folder), sys.stdout
    if name in OURS:
        report = ours(name, pairs, databases)
    elif name == BARE:
        report = pooled(lambda: bare(databases), pairs, CHUNK)
    else:
        report = pooled(lambda: peers.load(name, Path(home[0]), databases), pairs, 1)
    print(json.dumps(report), file=output)
    return 0


def ours(name: str, pairs: Sequence[Pair], databases: Path) -> Report:
    """Our grader: golds have run before, predictions have not. Latencies are of ``judge``, in the workers."""
    modes, structure, step = OURS[name]
    scoring = ScoringSpec(modes=modes)
    answers = [Answer(_database(pair, databases), (pair.gold,), pair.sql) for pair in pairs]
    golds = list({(answer.database, answer.gold): answer for answer in answers}.values())
    warm = [Answer(a.database, a.gold, f"/* {n} */ {a.gold[0]}") for n in range(4) for a in golds]
    with Grader(scoring, WORKERS, structure) as grader:
        grader.grade_answers(warm)
        started = time.perf_counter()
        cpu = _cpu()
        verdicts: list[bool] = []
        for start in range(0, len(answers), step or len(answers)):
            batch = answers[start : start + step] if step else answers
            verdicts += [grade.scores["execution"].value == 1 for grade in grader.grade_answers(batch)]
        seconds = time.perf_counter() - started
        cpu = _cpu() - cpu
    settings = JudgeSettings(modes, Mode.STRICT, structure=structure)
    jobs = [
        JudgeJob(answer.database, answer.gold, extract(answer.text), settings) for answer in (*warm, *answers)
    ]
    with Sandbox(WORKERS) as sandbox:
        timed = dict(sandbox.map("contender:timed_judge", jobs))
    return {
        "seconds": seconds,
        "cpu": cpu,
        "latencies": [timed[index] for index in range(len(warm), len(jobs))],
        "verdicts": verdicts,
    }


def timed_judge(executor: Executor, job: JudgeJob) -> float:
    """A work function for the sandbox: the seconds to judge one job."""
    started = time.perf_counter()
    judge(executor, job)
    return time.perf_counter() - started


def bare(databases: Path) -> peers.PeerScorer:
    """The upper limit of speed: run only the prediction, on an open connection, and compare nothing."""
    connections: dict[str, sqlite3.Connection] = {}

    def score(pair: Pair) -> bool:
        if pair.database not in connections:
            uri = f"file:{place(databases, pair.database)}?mode=ro"
            connections[pair.database] = sqlite3.connect(uri, uri=True)
        try:
            connections[pair.database].execute(pair.sql).fetchall()
        except (sqlite3.Error, sqlite3.Warning, ValueError):
            return False
        return True

    return score


def pooled(make: Callable[[], peers.PeerScorer], pairs: Sequence[Pair], chunk: int) -> Report:
    """Score in a pool of two forked processes, as the peers' own code does, after an untimed warm-up."""
    _State.make = make
    with multiprocessing.get_context("fork").Pool(WORKERS, initializer=_prepare) as pool:
        pool.map(_score, pairs[:64], chunk)
        started = time.perf_counter()
        cpu = _cpu()
        results = pool.map(_score, pairs, chunk)
        seconds = time.perf_counter() - started
        cpu = _cpu() - cpu
    verdicts, latencies = zip(*results, strict=True)
    return {"seconds": seconds, "cpu": cpu, "latencies": list(latencies), "verdicts": list(verdicts)}


class _State:
    """What a forked process scores with."""

    make: Callable[[], peers.PeerScorer]
    score: peers.PeerScorer


def _prepare() -> None:
    _State.score = _State.make()


def _score(pair: Pair) -> tuple[bool, float]:
    started = time.perf_counter()
    verdict = _State.score(pair)
    return verdict, time.perf_counter() - started


def _database(pair: Pair, databases: Path) -> Database:
    return Database(pair.database, instances=(place(databases, pair.database),))


def _cpu() -> float:
    """CPU seconds of this process and its living children and theirs."""
    return sum(_ticks(pid) for pid in family(os.getpid())) / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])


def family(root: int) -> Iterator[int]:
    """Process ids of a process and its descendants."""
    yield root
    try:
        for thread in Path(f"/proc/{root}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from family(int(child))
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main())
