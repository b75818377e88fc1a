"""Scoring on a Ray cluster: the verdicts of this machine, whatever happens to a node."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from attacked import attack, build, honest, on_postgres
from ray_cluster import graded

from harness.cli import main
from harness.cluster.databases import local, machine, pieces, receive, sent
from harness.cluster.types import Missing, Unfit
from harness.cluster.workers import scoring_workers
from leaderboards import store
from rewards.exploits import load
from rewards.types import Answer
from tasks.databases.servers.embedded import EmbeddedServer
from tasks.databases.state import file_of
from tasks.spec import ScoringSpec
from tasks.types import Database, Engine, Limits, Mode, Pool, Server

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
from raylets import RayCluster, running_cluster

pytestmark = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed: pip install -e '.[ray]'"
)
SCORING = ScoringSpec(modes=(Mode.STRICT, Mode.SPIDER), instances=2, seconds=1.0, steps=5_000_000)
GOLD = ("--model", "gold", "--task", "pocket", "--limit", "40")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """A cluster that the fast tests share."""
    with running_cluster(PYTHONPATH=str(Path(__file__).parent)) as one:
        yield one


def pool(workers: Any, seconds: float = 5.0) -> Pool:
    made: Pool = workers(Limits(seconds=seconds))
    return made


def answers(folder: Path, count: int, engine: Engine = "sqlite") -> list[Answer]:
    """Right, wrong and hostile answers on a database in ``folder``."""
    database, dice = build(engine, folder), random.Random(0)
    quick = [e for e in load(engine) if not {"timeout", "memory"} & {reason.value for reason in e.reasons}]
    made = []
    for number in range(count):
        question = dice.choice(["rows", "count", "ordered"])
        hostile = number % 10 == 0
        chosen = (
            attack(dice.choice(quick), question, database)
            if hostile
            else dice.choice(honest(question, database))[0]
        )
        made.append(Answer(database, chosen.gold, f"/* {number} */ {chosen.text}"))
    return made


# --- one evaluation, here and there


def contents(home: Path, *words: str) -> list[dict[str, Any]]:
    assert main([*words, *GOLD]) == 0
    (run,) = store.runs()
    records = [asdict(record) | {"seconds": 0.0} for record in store.records(run.id)]
    shutil.rmtree(home / "runs")
    return records


def test_an_evaluation_on_a_cluster_has_the_records_of_one_here(home: Path, cluster: RayCluster) -> None:
    assert contents(home, "eval", "--on", "ray") == contents(home, "eval")


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("duckdb", marks=pytest.mark.slow)])
def test_grades_on_a_cluster_are_those_of_this_machine(
    home: Path, tmp_path: Path, cluster: RayCluster, engine: Engine
) -> None:
    asked = answers(tmp_path / "databases", 120, engine)
    with scoring_workers("ray", 2) as workers:
        assert graded(SCORING, workers, asked) == graded(SCORING, 2, asked)


def test_the_workers_of_a_node_see_nothing_of_its_environment(cluster: RayCluster) -> None:
    with scoring_workers("ray", 1) as workers, closing(pool(workers)) as there:
        ((_, names),) = there.map("sandbox_jobs:environment", [(Database("none"),)])
    assert set(names) <= {"LC_CTYPE", "TZ"}


def test_work_that_raises_keeps_its_traceback(cluster: RayCluster) -> None:
    with scoring_workers("ray", 1) as workers, closing(pool(workers)) as there:
        with pytest.raises(RuntimeError, match="ValueError: bad job"):
            list(there.map("sandbox_jobs:fail", [(Database("none"), 1)]))
        assert [index for index, _ in there.map("sandbox_jobs:nap", [(Database("none"), 0.0)])] == [0]


def test_a_pool_that_is_closed_while_it_works_says_so(cluster: RayCluster) -> None:
    with scoring_workers("ray", 1) as workers:
        there = pool(workers)
        threading.Timer(2.0, there.close).start()
        with pytest.raises(RuntimeError, match="closed while it was working"):
            list(there.map("sandbox_jobs:nap", [(Database("none"), 0.5)] * 100))


@pytest.mark.slow
def test_what_is_not_read_is_not_done(cluster: RayCluster) -> None:
    with scoring_workers("ray", 1) as workers, closing(pool(workers)) as there:
        begun = there.map("sandbox_jobs:nap", [(Database("none"), 0.5)] * 100)
        assert next(begun) == (0, 0.5)
        began = time.monotonic()
        begun.close()  # type: ignore[attr-defined]
        assert list(there.map("sandbox_jobs:nap", [(Database("none"), 0.0)])) == [(0, 0.0)]
        assert time.monotonic() - began < 20


# --- databases


def test_a_database_that_a_node_does_not_see_is_sent_once(
    home: Path, tmp_path: Path, cluster: RayCluster
) -> None:
    """In another process, the path under ``/proc/self/fd`` is that of another file, or none."""
    hidden = tmp_path / "hidden"
    asked = answers(hidden, 60)
    folder = os.open(hidden, os.O_RDONLY)
    paths = tuple(Path(f"/proc/self/fd/{folder}/club{number}.sqlite") for number in range(2))
    moved = [Answer(Database("club", "sqlite", paths), answer.gold, answer.text) for answer in asked]
    with scoring_workers("ray", 2) as workers:
        node = cluster.home
        assert graded(SCORING, workers, moved) == graded(SCORING, 1, asked)
        kept = {path: path.stat().st_ino for path in node.rglob("*.sqlite")}
        assert len(kept) == 2
        assert graded(SCORING, workers, moved) == graded(SCORING, 1, asked)
        assert {path: path.stat().st_ino for path in node.rglob("*.sqlite")} == kept
    os.close(folder)


@pytest.mark.slow
def test_a_node_asks_a_server_itself(
    home: Path, tmp_path: Path, cluster: RayCluster, postgres: EmbeddedServer
) -> None:
    database = on_postgres(build("sqlite", tmp_path / "copied"), postgres)
    asked = [Answer(database, answer.gold, answer.text) for answer in answers(tmp_path / "databases", 60)]
    with scoring_workers("ray", 2) as workers:
        assert graded(SCORING, workers, asked) == graded(SCORING, 2, asked)


def test_another_file_under_the_same_path_is_not_used(home: Path, tmp_path: Path) -> None:
    database = build("sqlite", tmp_path / "databases")
    given = sent(database)
    found = local(given, machine())
    assert isinstance(found, Database) and found.instances == database.instances
    with closing(sqlite3.connect(file_of(database, 0))) as connection:
        connection.execute("DELETE FROM member")
        connection.commit()
    missing = local(given, machine())
    assert isinstance(missing, Missing) and [file.path for file in missing.files] == [
        str(database.instances[0])
    ]


def test_a_file_is_received_whole_or_not_at_all(home: Path, tmp_path: Path) -> None:
    database = build("sqlite", tmp_path / "databases")
    wal = Path(f"{database.instances[1]}-wal")
    wal.write_bytes(b"changes")
    given = sent(database)
    content = [[list(part) for part in pieces(file)] for file in given.files]
    shutil.rmtree(tmp_path / "databases")
    with pytest.raises(Exception, match="changed while it was sent"):
        receive(given.files[0], [[b"something else"]])
    assert isinstance(local(given, machine()), Missing)
    for file, parts in zip(given.files, content, strict=True):
        receive(file, parts)
        receive(file, parts)
    found = local(given, machine())
    assert isinstance(found, Database)
    paths = [file_of(found, place) for place in range(2)]
    assert [path.name for path in paths] == ["club0.sqlite", "club1.sqlite"]
    assert Path(f"{paths[1]}-wal").read_bytes() == b"changes"
    paths[0].write_bytes(b"damaged")
    damaged = local(given, machine())
    assert isinstance(damaged, Missing) and damaged.files == given.files[:1]
    receive(given.files[0], content[0])
    assert isinstance(local(given, machine()), Database)


def test_a_file_that_its_owner_cannot_read_is_found_nowhere(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "gone.sqlite"
    given = sent(Database("gone", "sqlite", (path,)))
    path.write_bytes(b"here, but not at the owner's")
    found = local(given, machine())
    assert isinstance(found, Database) and not file_of(found, 0).exists()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "", "[::1]"])
def test_a_server_of_the_owner_s_machine_is_asked_only_there(host: str) -> None:
    pytest.importorskip("psycopg")
    url = f"postgresql://user@{host}/club"
    found = local(sent(Database("club", "postgres", (Server(url, url),))), "another machine")
    assert isinstance(found, Unfit) and "is a server of the machine" in found.reason


# --- mistakes


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ("rayy", "'rayy' is no cluster: did you mean 'ray'?"),
        ("http://host:1", "'http://host:1' is no cluster: did you mean 'ray://host:port'?"),
        ("ray://nowhere:1", "no Ray cluster answers at ray://nowhere:1: "),
        ("ray://127.0.0.1:1", "no Ray cluster answers at ray://127.0.0.1:1: "),
        ("ray://host", "'ray://host' is no address of a Ray cluster"),
        ("ray://host:port", "'ray://host:port' is no address of a Ray cluster"),
    ],
)
def test_a_wrong_cluster_is_one_line(
    on: str, message: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(["eval", *GOLD, "--on", on])
    except SystemExit as ended:
        code = ended.code
    (line,) = capsys.readouterr().err.splitlines()
    assert code == 2 and message in line
    assert store.runs() == []
