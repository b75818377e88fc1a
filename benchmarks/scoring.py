"""The speed of our scorer, of other evaluators and of bare sqlite3, with two processes each.

    python benchmarks/scoring.py [--peer-dir DIR] [--pairs 2800] [--rounds 3] [--out benchmarks/scoring.md]

Every contender runs in a process of its own on fresh copies of the databases. In each round all contenders
run once, so that other load on the machine affects all of them; a contender's fastest round counts. Pairs per
second of CPU time depend little on other load. ``--peer-dir``: see ``peers.py``. If HARNESS_DATA is set,
Spider's published predictions are scored too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import workload
from contender import BARE, OURS, family
from peers import PEERS
from workload import Pair

STRICT = next(iter(OURS))
HEADER = """\
| contender | pairs/s | x best peer | of bare | per CPU s | x peer | of bare | p50 ms | p99 ms | MiB | wrong |
|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One contender on one workload."""

    name: str
    rate: float
    """Pairs a second."""
    per_cpu: float
    """Pairs a second of CPU time, of all its processes together."""
    p50: float
    """Seconds for a pair, inside the process that scores it."""
    p99: float
    memory: int
    """Peak of the process tree's proportional set size, in bytes."""
    wrong: int


def main() -> int:
    """The command line: the tables go to standard output and to ``--out``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-dir", type=Path)
    parser.add_argument("--pairs", type=int, default=2800)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=["generated", "grouped", "spider"])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        text = _heading() + "".join(
            _table(
                title, pairs, _contenders(options.peer_dir), options.rounds, Path(scratch), options.peer_dir
            )
            for title, pairs in _workloads(options, Path(scratch) / "databases")
        )
    print(text)
    if options.out:
        options.out.write_text(text)
    return 0


def _heading() -> str:
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    command = " ".join([Path(sys.argv[0]).name, *sys.argv[1:]])
    return (
        "# Scoring speed, compared with other evaluators\n\n"
        f"`python benchmarks/{command}`, {date.today()}, {platform.machine()}, "
        f"{len(os.sched_getaffinity(0))} cores, load {load} when it began.\n"
    )


def _workloads(options: argparse.Namespace, folder: Path) -> list[tuple[str, list[Pair]]]:
    wanted = options.only or ["generated", "grouped", "spider"]
    made = []
    if "generated" in wanted:
        made.append(("Generated", workload.generated(options.pairs, folder)))
    if "grouped" in wanted:
        made.append(("Groups of eight, a third repeated", workload.grouped(options.pairs // 8, folder)))
    if "spider" in wanted and (data := os.environ.get("HARNESS_DATA")):
        made.append(("Spider dev, four models", workload.spider(Path(data), folder)))
    return made


def _contenders(home: Path | None) -> list[str]:
    available = [name for name, (folder, _) in PEERS.items() if home and (home / folder).is_dir()]
    return [*OURS, *available, BARE]


def _table(
    title: str, pairs: list[Pair], names: list[str], rounds: int, scratch: Path, home: Path | None
) -> str:
    workload.save(pairs, scratch / "pairs.json")
    runs: dict[str, list[Measured]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names:
            print(f"{title}: round {number + 1}, {name}", file=sys.stderr, flush=True)
            if measured := _measure(name, pairs, scratch, home):
                print(measured, file=sys.stderr, flush=True)
                runs[name].append(measured)
    best = {name: max(rounds, key=lambda run: run.rate) for name, rounds in runs.items() if rounds}
    return f"\n## {title}: {len(pairs)} pairs\n\n{HEADER}{_rows(best)}{_overhead(best)}"


def _measure(name: str, pairs: Sequence[Pair], scratch: Path, home: Path | None) -> Measured | None:
    """Run one contender on copies of its own; None if it fails."""
    copies = scratch / "copies"
    shutil.copytree(scratch / "databases", copies, symlinks=False)
    script = str(Path(__file__).with_name("contender.py"))
    command = [sys.executable, script, name, str(scratch / "pairs.json"), str(copies)]
    process = subprocess.Popen(
        [*command, *([str(home.resolve())] if home else [])],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    peak = 0
    with tempfile.TemporaryFile() as output:
        reader = subprocess.Popen(["cat"], stdin=process.stdout, stdout=output)
        while process.poll() is None:
            peak = max(peak, sum(map(_proportional, family(process.pid))))
            time.sleep(0.1)
        reader.wait()
        output.seek(0)
        text = output.read()
    shutil.rmtree(copies)
    if process.returncode:
        print(f"{name} failed with {process.returncode}", file=sys.stderr)
        return None
    report = json.loads(text)
    cuts = statistics.quantiles(report["latencies"], n=100)
    wrong = sum(verdict != pair.right for verdict, pair in zip(report["verdicts"], pairs, strict=True))
    count = len(pairs)
    return Measured(name, count / report["seconds"], count / report["cpu"], cuts[49], cuts[98], peak, wrong)


def _proportional(pid: int) -> int:
    """Bytes a process holds, shared pages divided among their holders."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def _rows(best: dict[str, Measured]) -> str:
    bare, peers = best[BARE], [measured for name, measured in best.items() if name in PEERS]
    peer_rate = max((peer.rate for peer in peers), default=0.0)
    peer_per_cpu = max((peer.per_cpu for peer in peers), default=0.0)
    lines = []
    for name, run in best.items():
        rate = f"{run.rate:,.0f} | {_times(run.rate, peer_rate)} | {run.rate / bare.rate:.0%}"
        cost = f"{run.per_cpu:,.0f} | {_times(run.per_cpu, peer_per_cpu)} | {run.per_cpu / bare.per_cpu:.0%}"
        rest = f"{run.p50 * 1000:.3f} | {run.p99 * 1000:.2f} | {run.memory / 2**20:.0f}"
        lines.append(f"| {name} | {rate} | {cost} | {rest} | {'' if name == BARE else run.wrong} |\n")
    return "".join(lines)


def _times(value: float, other: float) -> str:
    return f"{value / other:.2f}" if other else ""


def _overhead(best: dict[str, Measured]) -> str:
    overhead = (best[STRICT].p50 - best[BARE].p50) * 1e6
    return f"\nOverhead of protection and comparison over the bare limit, p50 of a pair: {overhead:.0f} µs.\n"


if __name__ == "__main__":
    sys.exit(main())
