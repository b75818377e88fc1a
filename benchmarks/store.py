"""The store at size: board, comparison, question and page among hundreds of runs, and the same with pandas.

    OMP_NUM_THREADS=1 python benchmarks/store.py [--runs 500 --questions 2000 --samples 8] [--home DIR]

The runs are made from the answers of ``gold`` on ``pocket``: each run has its own model, trained from that
of the run before, its own verdicts and texts, and began a minute after it.
``--home`` keeps them, and uses them if they are there. Every command runs in a process of its own; seconds
and CPU seconds include its imports, memory is its peak. The exit code is 1 if a limit is exceeded.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.evaluation import evaluate_model
from harness.spec import EvalSpec
from leaderboards import store
from leaderboards.statistics import wilson
from leaderboards.types import Run
from leaderboards.writer import run_json
from tasks.common import files
from tasks.common.digests import digest_of

GIGABYTE = 1e9
LIMITS = {"board": 2.0, "compare": 3.0, "show": 2.0, "page": 2.0}
"""Command -> most seconds; ``page`` is the board with one run's answers, as HTML."""
PANDAS = {
    "board": "each = [pd.read_parquet(f, columns=['sample_id', 'metric']).assign(run=f) for f in all]\n"
    "print(pd.concat(each).groupby('run').metric.mean())",
    "compare": "a, b = (pd.read_parquet(f).groupby('sample_id').metric.mean() for f in all[:2])\n"
    "print((a > b).sum(), (a < b).sum())",
    "show": "d = pd.read_parquet(all[0])\nprint(d[d.sample_id == question].to_string())",
    "page": "each = [pd.read_parquet(f, columns=['sample_id', 'metric']).assign(run=f) for f in all]\n"
    "print(pd.concat(each).groupby('run').metric.mean())\nprint(pd.read_parquet(all[-1]).to_json())",
}
"""Command -> what a notebook does instead: the headline of each run, two runs side by side, a question, the
headlines with one run as JSON."""

LAUNCHER = """
import resource, subprocess, sys, time
began = time.monotonic()
subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True)
seconds, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
print(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss)
"""
"""Runs a command, from a small process, because a new process starts with its parent's peak of memory."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process needed."""

    seconds: float
    cpu: float
    """CPU seconds."""
    memory: float
    """Peak of resident memory in GB."""

    def __str__(self) -> str:
        return f"{self.seconds:.2f} s ({self.cpu:.2f} CPU), {self.memory:.2f} GB"


def main() -> int:
    """Make the runs, measure each command and its counterpart, and print a table."""
    options = _options()
    with tempfile.TemporaryDirectory() as temporary:
        home = options.home or Path(temporary)
        os.environ["HARNESS_HOME"] = str(home)
        ids = make_runs(options.runs, options.questions, options.samples)
        size = sum(path.stat().st_size for path in home.glob("runs/*/*"))
        answers = f"{options.questions} questions x {options.samples} answers"
        print(f"{len(ids)} runs of {answers}: {size / GIGABYTE:.1f} GB")
        return _measure(home, ids)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--questions", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=8, help="answers to a question")
    parser.add_argument("--home", type=Path, help="keep the runs in this HARNESS_HOME")
    return parser.parse_args()


def _measure(home: Path, ids: Sequence[str]) -> int:
    question = store.query("SELECT min(sample_id) AS id FROM records", ids[:1])[0]["id"]
    words = {
        "board": ["board"],
        "compare": ["compare", *ids[:2]],
        "show": ["show", ids[0], question],
        "page": ["board", "--html", str(home / "page.html"), "--newest", "1", "--tables", "0"],
    }
    paths = [str(home / "runs" / run_id / "records.parquet") for run_id in ids]
    print("| command | harness | pandas | limit |\n|---|---|---|---|")
    exceeded = False
    for verb, limit in LIMITS.items():
        ours = _cost([sys.executable, "-m", "harness.cli", *words[verb]])
        code = f"import pandas as pd\nall = {paths}\nquestion = {question!r}\n{PANDAS[verb]}"
        print(f"| {verb} | {ours} | {_cost([sys.executable, '-'], code)} | {limit:.0f} s, 1 GB |", flush=True)
        exceeded |= ours.seconds > limit or ours.memory > 1
    return int(exceeded)


def _cost(command: Sequence[str], code: str = "") -> Cost:
    """Run a command, with code on its standard input. Raises CalledProcessError."""
    launcher = [sys.executable, "-S", "-c", LAUNCHER, *command]
    done = subprocess.run(launcher, input=code, stdout=subprocess.PIPE, text=True, check=True)
    seconds, cpu, kibibytes = map(float, done.stdout.split())
    return Cost(seconds, cpu, kibibytes * 1024 / GIGABYTE)


def make_runs(count: int, questions: int, samples: int) -> list[str]:
    """Write the runs that are missing, and return the ids of all."""
    first = evaluate_model(EvalSpec(model="gold", task="pocket"), (), 0)
    table, scores = _repeated(first, questions, samples), store.scores(first.id)
    random = np.random.default_rng(0)
    difficulty = np.repeat(random.normal(size=questions), samples)
    ids = [f"model-{number:04}-pocket-{number:06x}" for number in range(count)]
    for number, run_id in enumerate(ids):
        right = random.normal(number / count, size=len(table)) > difficulty
        if not store.folder(run_id).exists():
            model, parent = f"model-{number:04}", f"model-{number - 1:04}"
            content = digest_of(_content(parent))
            started = datetime.fromisoformat(first.started) + timedelta(minutes=number + 1)
            run = replace(first, id=run_id, digest=run_id, model=model, parent=parent, parent_content=content)
            _write(replace(run, started=started.isoformat()), _answered(table, right, number), scores)
    return ids


def _repeated(run: Run, questions: int, samples: int) -> pa.Table:
    """The records of a run, repeated with new ids until there are enough questions."""
    base = pq.read_table(store.folder(run.id) / "records.parquet")
    rows = np.repeat(np.arange(questions) % len(base), samples)
    table = base.take(pa.array(rows))
    ids = [f"{table['sample_id'][i].as_py()}-{i // samples // len(base)}" for i in range(len(table))]
    table = _replaced(table, "sample_id", ids)
    return _replaced(table, "sample_index", np.tile(np.arange(samples), questions))


def _answered(table: pa.Table, right: np.ndarray[Any, Any], number: int) -> pa.Table:
    """The records of one run: verdicts, and texts that no other run has."""
    verdicts = right.astype(float)
    for name in ("metric", "strict", "reward"):
        table = _replaced(table, name, verdicts)
    texts = [f"{text.as_py()} -- {number} {i * 7919 % 10007}" for i, text in enumerate(table["sql"])]
    reasons = np.where(right, "correct", "wrong_rows")
    table = _replaced(_replaced(table, "sql", texts), "completion", texts)
    return _replaced(table, "reason", reasons)


def _content(model: str) -> dict[str, str]:
    """The content of a model, as the identity of its run has it."""
    return {"weights": model}


def _replaced(table: pa.Table, name: str, values: Any) -> pa.Table:
    index = table.schema.get_field_index(name)
    field = table.schema.field(index)
    return table.set_column(index, field, pa.array(values, type=field.type))


def _write(run: Run, table: pa.Table, scores: Mapping[str, Any]) -> None:
    """Write the directory of a finished run; ``scores``: those of another run, for what is equal in both."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    content = buffer.getvalue()
    share, n = float(np.mean(table["metric"])), len(table)
    low, high = wilson(share * n, n) or (0.0, 1.0)
    figures = {**scores, "ex": share, "low": low, "high": high, "n": n, "completions": n}
    with files.new_folder(store.folder(run.id)) as building:
        files.write(building / "records.parquet", content)
        files.write(building / "scores.json", files.as_json(files.with_checksum(figures)))
        digest = hashlib.sha256(content).hexdigest()
        identity = {**run.identity, "model": _content(run.model)}
        files.write(building / "run.json", run_json(replace(run, identity=identity, records_sha256=digest)))


if __name__ == "__main__":
    sys.exit(main())
