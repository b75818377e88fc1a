"""The pool of workers: no result is lost, nothing hangs, no process is left."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest
from attacked import busy

from tasks.databases.sandbox.pool import CRASHED, Sandbox
from tasks.types import Database, Limits, Status

LIMITS = Limits(seconds=2, steps=10_000_000_000, rows=1000, memory=512 * 2**20)
NEVER = "SELECT instr(zeroblob(8000000), zeroblob(4000000) || x'01')"
"""One opcode that would run for hours: no progress handler is called within it."""
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Database:
    path = tmp_path_factory.mktemp("pool") / "pool.sqlite"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(i, f"b{i}") for i in range(500)])
    connection.close()
    return Database("pool", instances=(path,))


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(2, LIMITS) as sandbox:
        yield sandbox


def pids(sandbox: Sandbox) -> set[int]:
    return {worker.pid for worker in sandbox._pool}


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie whose parent has gone does not)."""
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


def wait_until(what: object, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if what():  # type: ignore[operator]
            return True
        time.sleep(0.02)
    return False


def test_results_come_back_for_every_job_with_its_index(sandbox: Sandbox) -> None:
    jobs = [(i, "x" * (i % 7), None, 1.5, b"\0", [i], {"k": i}) for i in range(3000)]
    assert dict(sandbox.map("sandbox_jobs:echo", jobs)) == dict(enumerate(jobs))
    assert dict(sandbox.map("sandbox_jobs:echo", [])) == {}
    assert len({pid for _, pid in sandbox.map("sandbox_jobs:pid", range(500))}) == 2


def test_the_costliest_jobs_start_first(sandbox: Sandbox) -> None:
    with Sandbox(1, LIMITS) as one:
        order = [index for index, _ in one.map("sandbox_jobs:echo", range(5), costs=[1, 9, 3, 7, 5])]
    assert order == [1, 3, 4, 2, 0]


def test_large_jobs_and_results_are_transferred(sandbox: Sandbox) -> None:
    text = "y" * 5_000_000
    assert dict(sandbox.map("sandbox_jobs:echo", [text, text]))[1] == text
    assert len(dict(sandbox.map("sandbox_jobs:big", [30_000_000]))[0]) == 30_000_000


def test_workers_start_quickly_stay_warm_and_import_little(sandbox: Sandbox) -> None:
    dict(sandbox.map("sandbox_jobs:echo", range(10)))
    before = pids(sandbox)
    start = time.perf_counter()
    for _ in range(20):
        dict(sandbox.map("sandbox_jobs:echo", range(10)))
    assert (time.perf_counter() - start) / 20 < 0.05 or busy()
    assert pids(sandbox) == before
    ((_, modules),) = sandbox.map("sandbox_jobs:modules", [0])
    assert not {"pydantic", "duckdb", "yaml", "sqlglot", "subprocess", "asyncio"} & set(modules)
    ((_, environment),) = sandbox.map("sandbox_jobs:environment", [0])
    assert set(environment) <= {"TZ", "LC_CTYPE"}


def test_workers_cannot_write_files(sandbox: Sandbox, tmp_path: Path) -> None:
    target = tmp_path / "written"
    assert dict(sandbox.map("sandbox_jobs:write", [str(target)])) == {0: "OSError"}
    assert not target.exists() or target.stat().st_size == 0


def test_a_bug_in_the_work_is_raised_with_its_traceback_and_the_pool_goes_on(sandbox: Sandbox) -> None:
    with pytest.raises(RuntimeError, match="bad job"):
        dict(sandbox.map("sandbox_jobs:fail", range(3)))
    with pytest.raises(RuntimeError, match="nowhere"):
        dict(sandbox.map("sandbox_jobs:nowhere", range(3)))
    assert dict(sandbox.map("sandbox_jobs:noise", range(3))) == {0: 0, 1: 1, 2: 2}


def test_the_cache_lives_as_long_as_the_worker() -> None:
    with Sandbox(1, LIMITS) as sandbox:
        assert dict(sandbox.map("sandbox_jobs:remember", [5, 5, 6])) == {0: None, 1: 50, 2: None}
        assert dict(sandbox.map("sandbox_jobs:remember", [6])) == {0: 60}


def test_an_endless_opcode_is_killed_at_the_deadline_and_the_batch_goes_on(
    sandbox: Sandbox, database: Database
) -> None:
    honest = "SELECT count(*) FROM t"
    queries = [(database, 0, honest)] * 200 + [(database, 0, NEVER)] + [(database, 0, honest)] * 200
    sandbox.run(queries[:2])
    start = time.monotonic()
    outcomes = sandbox.run(queries)
    assert time.monotonic() - start < LIMITS.seconds + 1 or busy()
    assert outcomes[200].status is Status.TIMEOUT
    assert [outcome.rows for outcome in outcomes if outcome.ok] == [((500,),)] * 400
    start = time.monotonic()
    assert sandbox.run([(database, 0, NEVER)])[0].status is Status.TIMEOUT
    assert time.monotonic() - start < 0.5 or busy(), "a query that killed a worker is not run again"


def test_killing_random_workers_during_a_batch_loses_nothing(database: Database) -> None:
    random, results = Random(0), {}
    queries = [(database, 0, f"SELECT {i}, count(*) FROM t a, t b") for i in range(1000)]
    with Sandbox(2, LIMITS) as sandbox:
        for index, result in sandbox.map("tasks.databases.sandbox.worker:run_query", queries):
            results[index] = result[2]
            if len(results) % 100 == 1:
                os.kill(random.choice(sandbox._pool).pid, signal.SIGKILL)
    assert results == {i: ((i, 250_000),) for i in range(1000)}


@pytest.mark.parametrize(
    ("name", "status"), [("SIGKILL", Status.MEMORY), ("SIGSEGV", Status.EXECUTION_ERROR)]
)
def test_a_query_that_kills_two_workers_is_to_blame(sandbox: Sandbox, name: str, status: Status) -> None:
    jobs = [("SELECT 1", name)] * 20 + [("crash", name)] + [("SELECT 2", name)] * 20
    results = dict(sandbox.map("sandbox_jobs:crash_while_querying", jobs))
    assert results.pop(20) == status.value
    assert results == dict.fromkeys([*range(20), *range(21, 41)], "ok")


def test_a_job_that_always_kills_its_worker_is_given_up_and_the_others_are_done(sandbox: Sandbox) -> None:
    expected: dict[int, int | str] = {i: i for i in range(30)}
    assert dict(sandbox.map("sandbox_jobs:die", range(30))) == expected | {3: CRASHED}


def test_an_abandoned_map_leaves_a_working_sandbox(sandbox: Sandbox, database: Database) -> None:
    for _ in sandbox.map("sandbox_jobs:sleep", [0.1, *[60.0] * 50]):
        break
    start = time.monotonic()
    assert sandbox.run([(database, 0, "SELECT 7")])[0].rows == ((7,),)
    assert time.monotonic() - start < 30 or busy()


def test_closing_during_a_map_raises_one_error(sandbox: Sandbox) -> None:
    for _ in range(3):
        threading.Timer(0.5, sandbox.close).start()
        with pytest.raises(RuntimeError, match="closed while it was working"):
            list(sandbox.map("sandbox_jobs:sleep", [0.01] * 1000))
        assert sorted(sandbox.map("sandbox_jobs:echo", [7, 8])) == [(0, 7), (1, 8)]


def test_threads_take_turns(sandbox: Sandbox, database: Database) -> None:
    results: list[int] = []

    def ask(number: int) -> None:
        outcomes = sandbox.run([(database, 0, f"SELECT {number}")] * 20)
        results.extend(int(str(outcome.rows[0][0])) for outcome in outcomes)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == sorted(list(range(6)) * 20)


def test_thousands_of_databases_need_few_open_files(tmp_path: Path) -> None:
    first = tmp_path / "0.sqlite"
    with sqlite3.connect(first) as connection:
        connection.execute("CREATE TABLE t(a)")
    connection.close()
    data = first.read_bytes()
    databases = []
    for number in range(2000):
        path = tmp_path / f"{number}.sqlite"
        path.write_bytes(data)
        databases.append(Database(str(number), instances=(path,)))
    with Sandbox(2, LIMITS) as sandbox:
        jobs = [(database, 0, "SELECT count(*) FROM t") for database in databases * 2]
        results = [result for _, result in sandbox.map("sandbox_jobs:handles", jobs)]
        assert {status for status, _ in results} == {"ok"}
        assert max(count for _, count in results) < 100
        resident = [resident_bytes(pid) for pid in pids(sandbox)]
    assert max(resident) < 100 * 2**20


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_memory_stays_bounded_under_hostile_queries(database: Database) -> None:
    bomb = "WITH RECURSIVE x(a) AS (SELECT 1 UNION ALL SELECT a + 1 FROM x) SELECT max(b) FROM "
    queries = []
    for number in range(6):
        sql = f"{bomb} (SELECT randomblob({900_000 + number}) AS b FROM x ORDER BY b)"
        queries += [(database, 0, sql), (database, 0, "SELECT count(*) FROM t")]
    with Sandbox(2, LIMITS) as sandbox:
        outcomes = sandbox.run(queries)
        resident = [resident_bytes(pid) for pid in pids(sandbox)]
    assert {outcome.status for outcome in outcomes[::2]} <= {Status.MEMORY, Status.TIMEOUT}
    assert {outcome.rows for outcome in outcomes[1::2]} == {((500,),)}
    assert max(resident) < LIMITS.memory // 3


SCRIPT = """
import sys, threading, time
sys.path[:0] = [{root!r}, {tests!r}]
{extra}
from pathlib import Path
from tasks.databases.sandbox.pool import Sandbox
from tasks.types import Database, Limits
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
sandbox = Sandbox(2, Limits(seconds=30))
list(sandbox.map("sandbox_jobs:echo", range(10)))
{then}
print(*[worker.pid for worker in sandbox._pool], flush=True)
sandbox.run([(Database("d", ddl="CREATE TABLE t(a)"), 0, {sql!r} + " -- " + str(i)) for i in range(4)])
"""


def start(extra: str = "", sql: str = NEVER, then: str = "") -> tuple[subprocess.Popen[str], list[int]]:
    """A parent whose two workers run an endless opcode, and their process ids."""
    script = SCRIPT.format(
        root=str(ROOT), tests=str(Path(__file__).parent), sql=sql, extra=textwrap.dedent(extra), then=then
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert parent.stdout
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2, parent.stderr and parent.stderr.read()
    time.sleep(0.3)
    return parent, workers


def finish(parent: subprocess.Popen[str]) -> str:
    errors = parent.communicate(timeout=10)[1]
    return errors


def test_no_orphans_when_the_parent_is_killed() -> None:
    parent, workers = start()
    assert all(map(alive, workers))
    parent.kill()
    finish(parent)
    assert wait_until(lambda: not any(map(alive, workers)), 2)


def test_no_orphans_when_a_fork_of_the_parent_lives_on(tmp_path: Path) -> None:
    """Such as a data loader: it has a copy of the pipe whose end shows workers that the parent has ended."""
    note = tmp_path / "fork"
    fork = f"import os\nif not os.fork(): open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(30)"
    parent, workers = start(then=fork + "; os._exit(0)")
    try:
        parent.kill()
        parent.wait()
        assert wait_until(lambda: not any(map(alive, workers)), 2)
    finally:
        os.kill(int(note.read_text()), signal.SIGKILL)


def test_a_fork_has_workers_of_its_own(sandbox: Sandbox) -> None:
    jobs = list(range(300))
    list(sandbox.map("sandbox_jobs:echo", jobs))
    mine = pids(sandbox)
    fork = os.fork()
    if not fork:
        theirs = dict(sandbox.map("sandbox_jobs:pid", jobs))
        sandbox.close()
        os._exit(0 if len(theirs) == len(jobs) and not mine & set(theirs.values()) else 1)
    assert set(dict(sandbox.map("sandbox_jobs:pid", jobs)).values()) <= mine
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
    assert set(dict(sandbox.map("sandbox_jobs:pid", jobs)).values()) <= mine


def test_ctrl_c_ends_the_parent_with_one_traceback_and_no_orphans() -> None:
    parent, workers = start()
    for pid in workers:
        os.kill(pid, signal.SIGINT)
    time.sleep(0.2)
    assert all(map(alive, workers)), "workers leave Ctrl-C to their parent"
    parent.send_signal(signal.SIGINT)
    assert finish(parent).count("KeyboardInterrupt") == 1
    assert parent.returncode == -signal.SIGINT
    assert wait_until(lambda: not any(map(alive, workers)), 2)


@pytest.mark.slow
def test_works_under_a_parent_with_torch_and_its_threads() -> None:
    extra = "import torch; torch.set_num_threads(2); torch.ones(500, 500) @ torch.ones(500, 500)"
    parent, workers = start(extra, sql="SELECT 1")
    assert "Error" not in finish(parent)
    assert parent.returncode == 0
    assert wait_until(lambda: not any(map(alive, workers)), 2)


def test_a_worker_full_of_memory_is_replaced_and_each_job_counts_once() -> None:
    """The consumer is slow, so that several frames of a worker wait to be read together."""
    seen: list[int] = []
    with Sandbox(2, LIMITS) as sandbox:
        for index, _ in sandbox.map("sandbox_jobs:hold_memory", range(60)):
            seen.append(index)
            time.sleep(0.02)
        before = pids(sandbox)
        assert dict(sandbox.map("sandbox_jobs:echo", [1, 2])) == {0: 1, 1: 2}
        assert len(before) <= 2
    assert sorted(seen) == list(range(60))


COUNT = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < {}) SELECT count(*) FROM c"


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_stopped_worker_is_no_verdict(database: Database, goes_on: bool) -> None:
    limits = Limits(seconds=1, steps=10**10)
    stopped: list[int] = []

    def stop(sandbox: Sandbox) -> None:
        time.sleep(0.1)
        (pid,) = pids(sandbox)
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)
        if goes_on:
            time.sleep(1.05)
            os.kill(pid, signal.SIGCONT)

    with Sandbox(1, limits) as sandbox:
        sandbox.run([(database, 0, "SELECT 1")])
        thread = threading.Thread(target=stop, args=(sandbox,))
        thread.start()
        (outcome,) = sandbox.run([(database, 0, COUNT.format(1_500_000))])
        thread.join()
        assert outcome.rows == ((1_500_000,),), outcome
        assert sandbox.run([(database, 0, COUNT.format(1_500_000))])[0].ok, "no verdict is kept of it"
    assert stopped


@pytest.mark.slow
def test_a_deadline_is_cpu_time_when_the_machine_is_busy(database: Database) -> None:
    burners = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(3 * len(os.sched_getaffinity(0)))
    ]
    try:
        with Sandbox(1, Limits(seconds=0.8, steps=10**10)) as sandbox:
            started = time.monotonic()
            (outcome,) = sandbox.run([(database, 0, COUNT.format(1_500_000))])
            took = time.monotonic() - started
            endless = sandbox.run([(database, 0, COUNT.format(10**9))])[0]
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()
    assert outcome.ok, (outcome, took)
    assert endless.status is Status.TIMEOUT


def test_a_sleeping_query_times_out_the_second_time(sandbox: Sandbox) -> None:
    started = time.monotonic()
    with Sandbox(1, Limits(seconds=0.4)) as quick:
        assert dict(quick.map("sandbox_jobs:sleep_while_querying", [100.0])) == {0: "timeout"}
    assert time.monotonic() - started < 5 or busy()


PARENT = """
import sys, threading, time
sys.path[:0] = [{marker!r}, {root!r}, {tests!r}]
from tasks.databases.sandbox.pool import Sandbox
from tasks.types import Database, Limits
sandbox = Sandbox(2, Limits(seconds=60, steps=10**12))
work, jobs = [
    ("tasks.databases.sandbox.worker:run_query", [(Database("d", ddl="CREATE TABLE t(a)"), 0,
        {never!r} + f" -- {{i}}") for i in range(4)]),
    ("sandbox_jobs:sleep", [60.0] * 4),
    ("sandbox_jobs:burn", [60.0] * 4),
    ("tasks.databases.sandbox.worker:run_query", [(Database("d", "duckdb", ddl="CREATE TABLE t(a INT)"), 0,
        f"SELECT count(*) FROM range(10000000000) WHERE range % 7 = {{i}}") for i in range(4)]),
][{number} % 4]
if {thread}:  # workers are started by a thread that ends before the parent does
    starter = threading.Thread(target=lambda: dict(sandbox.map("sandbox_jobs:echo", range(4))))
    starter.start(); starter.join()
print("working", flush=True)
list(sandbox.map(work, jobs))
"""


def marked(marker: str) -> list[int]:
    """Processes that have the marker in their command line: the parents and their workers."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and marker.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return [pid for pid in found if alive(pid)]


def kill_parents(tmp_path: Path, parents: int, working: bool) -> None:
    """Kill parents at random moments: while they and their workers start, or while they work."""
    dice, marker = Random(working), str(tmp_path / "marker")
    for first in range(0, parents, 6):
        started = []
        for number in range(first, min(parents, first + 6)):
            script = PARENT.format(
                marker=marker,
                root=str(ROOT),
                tests=str(Path(__file__).parent),
                never=NEVER,
                number=number,
                thread=working,
            )
            started.append(
                subprocess.Popen(
                    [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
                )
            )
        for parent in started:
            if working:
                assert parent.stdout and parent.stdout.readline() == b"working\n"
            time.sleep(dice.uniform(0, 2 / len(started)))
            parent.kill()
            parent.wait()
            assert parent.stdout
            parent.stdout.close()
    assert wait_until(lambda: not marked(marker), 5), marked(marker)


@pytest.mark.parametrize("working", [False, True])
def test_no_worker_outlives_a_parent_that_is_killed(tmp_path: Path, working: bool) -> None:
    kill_parents(tmp_path, 4, working)


@pytest.mark.slow
@pytest.mark.parametrize("working", [False, True])
def test_no_worker_outlives_one_of_24_parents_that_are_killed(tmp_path: Path, working: bool) -> None:
    kill_parents(tmp_path, 24, working)


def test_workers_start_where_over_a_thousand_files_are_open(database: Database) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2000:
        pytest.skip("this machine allows too few open files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(1500)]
    try:
        with Sandbox(1, LIMITS) as sandbox:
            assert sandbox.run([(database, 0, "SELECT 1")])[0].rows == ((1,),)
    finally:
        for file in files:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
