"""``harness serve`` with 2,000 requests in flight for a minute, a tenth and more of them hostile.

    OMP_NUM_THREADS=1 python benchmarks/serve.py [--clients 2000 --seconds 60]

Each client has a connection of its own, on which it sends one answer, waits for the verdict and sends the
next; after a refusal (429) it waits about as long as the server asks. The answers are those of the scoring
benchmark (``benchmarks/workload.py``), of which a tenth are exploits, and one in two hundred is a query that
never ends or that needs all memory. One in fifty clients leaves without waiting for the response. Verdicts
are compared with those that the workload knows. Memory, processes and open files are those of the server with
its workers: after twenty seconds of load, and after the load has ended. CPU time of an answer is that of the
server with its workers; beside it that of the grader in one call on the same answers, without HTTP. Seconds
depend on what else the machine does, and the clients use its cores too. The exit code is 1 if a verdict is
wrong, a response fails, or something leaked.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import workload

from rewards.grader import Grader
from tasks.task import Task
from tasks.types import Limits

PAIRS = 2000
DIRECT = 4000
"""Answers that the grader scores without the service."""
SECONDS, STEPS = 0.5, 20_000_000
"""Limits of a query: an endless one takes a worker for about as long."""
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) + {} FROM n"
MEMORY = "SELECT hex(randomblob(400000000)) || {}"
ENDING = 0.005
"""The share of answers that are ENDLESS or MEMORY."""
LEAVING = 0.02
"""The share of requests whose client leaves at once."""
WARM, REST = 20.0, 3.0
"""Seconds of load before the first reading, and of rest before each."""
GROWTH, SPARE = 1.1, 10
"""How much the server's memory and the open files may grow: workers keep databases open."""
LARGEST = Limits().memory // 4 + 100 * 2**20
"""Bytes of a worker: its caches fill until it holds a quarter of a query's limit, then it is replaced. The
rest is its code."""
TASK = """\
name: load
dataset: {path: "questions.jsonl", splits: {dev: dev}, eval_split: dev, fields: {gold: gold}}
databases: {path: "databases/{database}/{database}.sqlite"}
"""


@dataclass
class Load:
    """What the clients saw."""

    seconds: list[float] = field(default_factory=list)
    """Of each scored request."""
    statuses: Counter[int] = field(default_factory=Counter)
    sent: list[tuple[int, str]] = field(default_factory=list)
    """Place of the question and text of each scored answer."""
    left: int = 0
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Held:
    """What the server's processes hold."""

    server: int
    """Bytes of resident memory."""
    worker: int
    """The same of the largest worker."""
    processes: int
    files: int
    cpu: float
    """CPU seconds so far."""

    def __str__(self) -> str:
        memory = f"server {self.server / 2**20:4.0f} MiB, largest worker {self.worker / 2**20:4.0f} MiB"
        return f"{memory} {self.processes:4} processes {self.files:5} open files"


def main() -> int:
    """Print the figures of each queue; 1 if something is wrong."""
    parser = argparse.ArgumentParser(description="load on harness serve")
    parser.add_argument("--clients", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--queues", type=int, nargs="+", default=[10_000, 1000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pairs = workload.generated(PAIRS, folder / "databases")
        write_task(folder, pairs)
        cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
        print(f"{options.clients} clients, {options.seconds:g} s, {cores} cores, load {load:.1f} at first")
        return max(measure(folder, pairs, queue, options) for queue in options.queues)


def write_task(folder: Path, pairs: Sequence[workload.Pair]) -> None:
    """Write the task whose questions are those of the pairs, by their places."""
    with (folder / "questions.jsonl").open("w") as file:
        for number, pair in enumerate(pairs):
            row = {"id": str(number), "question": "?", "gold": pair.gold, "db_id": pair.database}
            file.write(json.dumps(row) + "\n")
    (folder / "load.yaml").write_text(TASK)


def measure(folder: Path, pairs: Sequence[workload.Pair], queue: int, options: argparse.Namespace) -> int:
    """Load one server, and print what came of it; 1 if something is wrong."""
    with server(folder, queue) as (process, port):
        asyncio.run(drive(Load(), port, pairs, options.clients, min(WARM, options.seconds)))
        time.sleep(REST)
        before, load = held(process), Load()
        started = time.monotonic()
        asyncio.run(drive(load, port, pairs, options.clients, options.seconds))
        took = time.monotonic() - started
        time.sleep(REST)
        after = held(process)
    report(load, queue, took)
    ours, direct = after.cpu - before.cpu, grader_cpu(folder, pairs, load.sent[:DIRECT])
    ours = ours / len(load.seconds) if load.seconds else 0.0
    print(
        f"  CPU an answer {1000 * ours:.1f} ms; the grader alone {1000 * direct:.1f} ms: {direct / ours:.2f}"
    )
    print(f"  before        {before}\n  after         {after}", flush=True)
    more = after.files > before.files + SPARE or after.processes > before.processes
    leaked = more or after.server > GROWTH * before.server or after.worker > LARGEST
    return int(leaked or bool(load.wrong) or not set(load.statuses) <= {200, 429} or not load.seconds)


def grader_cpu(folder: Path, pairs: Sequence[workload.Pair], sent: Sequence[tuple[int, str]]) -> float:
    """CPU seconds an answer of one call of the grader, its workers started and warm."""
    task = Task.named(str(folder / "load.yaml"), [f"scoring.seconds={SECONDS}", f"scoring.steps={STEPS}"])
    samples = task.samples()
    with Grader(task.spec.scoring) as grader:
        grader.grade(task, samples, [pair.sql for pair in pairs])
        before = cpu(psutil.Process())
        grader.grade(task, [samples[place] for place, _ in sent], [text for _, text in sent])
        return (cpu(psutil.Process()) - before) / max(1, len(sent))


def cpu(process: psutil.Process) -> float:
    """CPU seconds of a process and of its workers, also of those that have ended."""
    own = sum(process.cpu_times()[:4])
    return float(own + sum(sum(one.cpu_times()[:2]) for one in process.children()))


def every(process: psutil.Process) -> list[psutil.Process]:
    """A process and its workers."""
    return [process, *process.children(recursive=True)]


def report(load: Load, queue: int, took: float) -> None:
    """Print what the clients saw."""
    ordered = sorted(load.seconds)
    p50, p99 = (ordered[int(len(ordered) * share)] if ordered else 0.0 for share in (0.5, 0.99))
    asked = sum(load.statuses.values()) + load.left
    print(f"\n--max-queue {queue}")
    print(f"  scored        {len(ordered):,} in {took:.0f} s: {len(ordered) / took:,.0f} a second")
    print(f"  p50, p99      {p50:.2f} s, {p99:.2f} s")
    print(f"  refused (429) {load.statuses[429] / max(1, asked):.1%}; left {load.left:,}")
    print(f"  statuses      {dict(sorted(load.statuses.items()))}; wrong verdicts {len(load.wrong)}")
    for line in load.wrong[:5]:
        print(f"  wrong: {line}")


@contextmanager
def server(folder: Path, queue: int) -> Iterator[tuple[psutil.Process, int]]:
    """A server of the task in a folder, and its port; it must end well."""
    limits = ["--max-queue", str(queue), "--max-items", "64"]
    sets = ["--set", f"scoring.seconds={SECONDS}", "--set", f"scoring.steps={STEPS}"]
    command = [
        "-m",
        "harness.cli",
        "serve",
        "--task",
        str(folder / "load.yaml"),
        "--port",
        "0",
        *limits,
        *sets,
    ]
    log = folder / f"log-{queue}"
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, *command], stderr=file)
    try:
        while not (found := re.search(r"http://127.0.0.1:(\d+)/", log.read_text())):
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield psutil.Process(process.pid), int(found[1])
        process.terminate()
        assert process.wait(60) == 0 and log.read_text().count("\n") == 1, log.read_text()
    finally:
        process.kill()
        process.wait()


def held(process: psutil.Process) -> Held:
    """What the server and its workers hold now."""
    now = every(process)
    files = sum(len(os.listdir(f"/proc/{one.pid}/fd")) for one in now)
    own, *workers = [one.memory_info().rss for one in now]
    return Held(own, max(workers, default=0), len(now), files, cpu(process))


async def drive(load: Load, port: int, pairs: Sequence[workload.Pair], clients: int, seconds: float) -> None:
    """All clients, until the time is over and each has its last response."""
    end = time.monotonic() + seconds
    await asyncio.gather(*(client(load, port, pairs, number, end) for number in range(clients)))


async def client(load: Load, port: int, pairs: Sequence[workload.Pair], number: int, end: float) -> None:
    """One client: an answer after the other."""
    dice = random.Random(number)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < end:
        item, right = chosen(pairs, dice)
        started = time.monotonic()
        writer.write(request(port, item))
        if dice.random() < LEAVING:
            await asyncio.sleep(0.01)
            writer.transport.abort()
            load.left += 1
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            continue
        status, wait, body = await response(reader)
        load.statuses[status] += 1
        if status == 429:
            await asyncio.sleep(wait * dice.uniform(0.5, 1.5))
        else:
            load.seconds.append(time.monotonic() - started)
            load.sent.append((int(item["id"]), item["text"]))
            check(load, body, item["text"], right)
    writer.close()


def chosen(pairs: Sequence[workload.Pair], dice: random.Random) -> tuple[dict[str, str], bool]:
    """An item and its right verdict. A comment that differs makes half of the answers new to the server."""
    place = dice.randrange(len(pairs))
    pair = pairs[place]
    if dice.random() < ENDING:
        text = dice.choice([ENDLESS, MEMORY]).format(dice.randrange(10**9))
        return {"id": str(place), "text": text}, False
    text = f"/* {dice.random()} */ {pair.sql}" if pair.right and dice.random() < 0.5 else pair.sql
    return {"id": str(place), "text": text}, pair.right


def check(load: Load, body: bytes, text: str, right: bool) -> None:
    """Compare the verdict with the right one."""
    content = json.loads(body)
    verdict = content["items"][0]["verdicts"].get("strict") if "items" in content else None
    if verdict != float(right):
        load.wrong.append(f"{text[:200]!r}: {body[:300]!r}")


def request(port: int, item: dict[str, str]) -> bytes:
    """The bytes of a request."""
    body = json.dumps({"items": [item]}).encode()
    head = f"POST /score HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def response(reader: asyncio.StreamReader) -> tuple[int, float, bytes]:
    """Status, the seconds of Retry-After, and body of a response."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = re.search(r"content-length: (\d+)", head)
    wait = re.search(r"retry-after: (\d+)", head)
    assert length
    return int(head.split()[1]), float(wait[1]) if wait else 0.0, await reader.readexactly(int(length[1]))


if __name__ == "__main__":
    sys.exit(main())
