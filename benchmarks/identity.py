"""The time to compute the identity of a run at its start: hashing Spider's databases, cold and warm.

``python -m benchmarks.identity [TASK]`` prints the seconds for all splits of a task (default: spider), in a
temporary HARNESS_HOME: *cold* reads every file; *warm* reads only their states, as each later start does.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time

from harness.provenance.identity import of_task
from rewards.version import code_version, scorer_version
from tasks.common import digests
from tasks.task import Task


def measure(name: str) -> str:
    """One start: seconds that the identity of every split takes beyond reading its rows."""
    task = Task.named(name)
    rows = {split: task.samples(split) for split in task.spec.dataset.splits}
    for samples in rows.values():
        for sample in samples:
            task.database(sample)  # every start looks up the files; this is not part of the identity
    began, cpu = time.perf_counter(), cpu_seconds()
    scorer_version(task.spec.databases.engine)
    scorer = time.perf_counter() - began
    components = [of_task(task, split, samples) for split, samples in rows.items()]
    wall, busy = time.perf_counter() - began, cpu_seconds() - cpu
    databases = {database for identity in components for database in identity["databases"]}
    return (
        f"{len(databases)} databases, {sum(map(len, rows.values())):,} questions:"
        f" {wall:.3f} s ({busy:.3f} s of CPU), of which the scorer's version {scorer:.3f} s"
    )


def cpu_seconds() -> float:
    """CPU time of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure in fresh processes that share a home: cold, then warm twice."""
    name = sys.argv[1] if len(sys.argv) > 1 else "spider"
    print(f"{name}, scorer {code_version()}")
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "HARNESS_HOME": home}
        for state in ("cold", "warm", "warm"):
            code = f"from benchmarks.identity import measure; print({state!r}, measure({name!r}), sep=': ')"
            subprocess.run([sys.executable, "-c", code], env=environment, check=True)
        print(f"{digests.SETTLED:g} s: the age from which a file's digest is kept")


if __name__ == "__main__":
    main()
