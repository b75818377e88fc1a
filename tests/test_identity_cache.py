"""Cached content of a file is reused only while the file is unchanged."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rewards.grader import Grader
from rewards.types import Answer
from tasks.common import digests
from tasks.databases.schema import describe
from tasks.databases.state import database_digest, stamped
from tasks.spec import ScoringSpec
from tasks.types import Database

Change = Callable[[Path], object]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "home"
    monkeypatch.setenv("HARNESS_HOME", str(place))
    return place


def in_place_with_the_old_times(path: Path) -> None:
    before = path.stat()
    with path.open("r+b") as file:
        file.write(b"B")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"B" + path.read_bytes()[1:])
    shutil.copystat(path, other)
    other.replace(path)


@pytest.mark.parametrize("change", [in_place_with_the_old_times, replaced])
@pytest.mark.parametrize("age", [0.0, digests.SETTLED + 0.1])
def test_equal_size_and_time_do_not_hide_a_change(tmp_path: Path, change: Change, age: float) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"A" * 100)
    time.sleep(age)
    before = digests.file_digest(path)
    change(path)
    assert digests.file_digest(path) != before


def test_writes_within_one_tick_of_the_clock_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "file"
    found = []
    for number in range(200):
        path.write_bytes(f"{number:100}".encode())
        found.append(digests.file_digest(path))
    assert len(set(found)) == 200


def test_the_content_counts_not_the_place_or_the_times(tmp_path: Path) -> None:
    (tmp_path / "a b\nc").write_bytes(b"A")
    first = digests.file_digest(tmp_path / "a b\nc")
    shutil.copy(tmp_path / "a b\nc", tmp_path / "copy")
    (tmp_path / "link").symlink_to("copy")
    os.utime(tmp_path / "a b\nc", (1, 1))
    assert {digests.file_digest(tmp_path / name) for name in ("a b\nc", "copy", "link")} == {first}


def test_cached_digests_are_reused_and_a_damaged_cache_costs_only_time(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"A")
    time.sleep(digests.SETTLED + 0.1)
    known = digests._Digests(home / "digests")
    found = known.digest(path)
    kept = (home / "digests").read_bytes()
    assert found.encode() in kept
    at = kept.index(found.encode())
    other = bytearray(kept)
    other[at] ^= 1
    for damaged in (b"", kept[:70], bytes(other), b"\xff\xfe\n" + kept, kept * 1500):
        (home / "digests").write_bytes(damaged)
        assert digests._Digests(home / "digests").digest(path) == found
    assert (home / "digests").read_bytes() == kept  # repeated lines were dropped


def test_a_cache_path_that_is_no_file_is_left_alone(tmp_path: Path, home: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"A")
    os.utime(path, (1, 1))
    time.sleep(digests.SETTLED + 0.1)
    home.mkdir()
    os.mkfifo(home / "digests")
    found = digests._Digests(home / "digests").digest(path)
    assert digests._Digests(home / "digests").digest(path) == found


def database(path: Path, value: int) -> Database:
    with sqlite3.connect(path) as connection:
        connection.executescript(f"CREATE TABLE t (a INTEGER); INSERT INTO t VALUES ({value});")
    return Database("t", instances=(path,))


def test_a_grader_executes_golds_again_where_the_database_changed(tmp_path: Path) -> None:
    """Written in place, and replaced by a file with the same size and time."""
    path = tmp_path / "t.sqlite"
    given = database(path, 1)
    times = path.stat()
    other = database(tmp_path / "other.sqlite", 3).instances[0]
    with Grader(ScoringSpec(), workers=1) as grader:

        def right() -> list[int]:
            grades = grader.grade_answers(
                [Answer(given, ("SELECT a FROM t",), f"SELECT {n}") for n in (1, 2, 3)]
            )
            return [n for n, grade in enumerate(grades, 1) if grade.attempt.reason == "correct"]

        assert right() == [1]
        with sqlite3.connect(path) as connection:
            connection.execute("UPDATE t SET a = 2")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert right() == [2]
        os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
        other.replace(path)
        assert right() == [3]


def test_a_write_ahead_log_is_part_of_the_content(tmp_path: Path) -> None:
    given = database(tmp_path / "t.sqlite", 1)
    before = database_digest(given)
    connection = sqlite3.connect(given.instances[0])
    connection.execute("PRAGMA journal_mode = wal")
    connection.execute("UPDATE t SET a = 2")
    connection.commit()
    first = database_digest(given)
    connection.execute("UPDATE t SET a = 3")
    connection.commit()
    assert len({before, first, database_digest(given)}) == 3
    connection.close()


def test_a_write_ahead_log_beside_a_linked_file_is_part_of_the_content(tmp_path: Path) -> None:
    database(tmp_path / "t.sqlite", 1)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "t.sqlite").symlink_to("../t.sqlite")
    given = Database("t", instances=(tmp_path / "links" / "t.sqlite",))
    connection = sqlite3.connect(tmp_path / "t.sqlite")
    connection.execute("PRAGMA journal_mode = wal")
    found = []
    for value in (2, 3):
        connection.execute("UPDATE t SET a = ?", [value])
        connection.commit()
        found.append((database_digest(given), stamped(given).stamp))
        with Grader(ScoringSpec(), workers=1) as grader:
            (grade,) = grader.grade_answers([Answer(given, ("SELECT a FROM t",), f"SELECT {value}")])
        assert grade.attempt.reason == "correct"
    assert found[0][0] != found[1][0] and found[0][1] != found[1][1]
    connection.close()


def test_a_schema_is_read_again_where_the_file_was_replaced(tmp_path: Path) -> None:
    path = tmp_path / "t.sqlite"
    given = database(path, 1)
    times = path.stat()
    assert describe(given, rows=1).tables[0].rows == ((1,),)
    other = database(tmp_path / "other.sqlite", 2).instances[0]
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)
    assert describe(given, rows=1).tables[0].rows == ((2,),)
