"""The embedded task: its content, that it is deterministic, and that nothing leaks into training."""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import sqlglot
from cpu_time import takes_less
from sqlglot import exp

from tasks import pocket
from tasks.common.errors import DataError
from tasks.databases.schema import describe
from tasks.pocket.domains import DOMAINS, SEEN, UNSEEN
from tasks.pocket.families import FAMILIES
from tasks.pocket.sampling import SIZES, held_out, proves
from tasks.pocket.schema import Domain
from tasks.task import Task

Row = dict[str, str]
Splits = dict[str, list[Row]]
SPLITS = pocket.SPLITS
KEYS = {"id", "question", "query", "db_id", "difficulty", "family", "part"}


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(place))
        yield place


@pytest.fixture(scope="module")
def splits(home: Path) -> Splits:
    return {split: pocket.rows(split) for split in SPLITS}


def files(folder: Path, name: str) -> list[Path]:
    return [folder / name / f"{name}.sqlite", folder / name / f"{name}_2.sqlite"]


def contents(file: Path) -> list[str]:
    with closing(sqlite3.connect(file)) as connection:
        return list(connection.iterdump())


def test_sizes_keys_and_parts(splits: Splits) -> None:
    assert {split: len(rows) for split, rows in splits.items()} == {
        "train": 12_000,
        "dev": 500,
        "test": 1_200,
    }
    for split, rows in splits.items():
        assert all(set(row) == KEYS and all(row.values()) for row in rows)
        assert len({row["id"] for row in rows}) == len(rows)
        wanted = {part: size for (name, part), size in SIZES.items() if name == split}
        assert Counter(row["part"] for row in rows) == wanted


def test_unseen_databases_are_never_trained_on(splits: Splits) -> None:
    unseen = {domain.name for domain in UNSEEN}
    for rows in splits.values():
        assert all((row["part"] == "unseen") == (row["db_id"] in unseen) for row in rows)
    assert {row["db_id"] for row in splits["train"]} == {domain.name for domain in SEEN}


@pytest.mark.parametrize("split", SPLITS)
def test_every_split_has_every_family_in_fair_shares(splits: Splits, split: str) -> None:
    counts = Counter(row["family"] for row in splits[split])
    assert len(FAMILIES) >= 64 and set(counts) == {family.name for family in FAMILIES}
    assert max(counts.values()) <= 0.04 * len(splits[split])
    shares = Counter(row["difficulty"] for row in splits[split])
    assert all(shares[level] >= 0.1 * len(splits[split]) for level in ("easy", "medium", "hard", "extra"))


def test_any_prefix_of_train_is_a_fair_sample(splits: Splits) -> None:
    prefix = splits["train"][:2000]
    assert len({row["family"] for row in prefix}) == len(FAMILIES)
    assert max(Counter(row["db_id"] for row in prefix).values()) < 0.15 * len(prefix)


def test_no_question_occurs_twice_within_or_across_splits(splits: Splits) -> None:
    questions = [row["question"] for rows in splits.values() for row in rows]
    assert len(set(questions)) == len(questions)


def test_no_gold_of_dev_or_test_is_a_gold_of_train(splits: Splits) -> None:
    train = {(row["db_id"], row["query"]) for row in splits["train"]}
    assert not [
        row for split in ("dev", "test") for row in splits[split] if (row["db_id"], row["query"]) in train
    ]


def test_family_by_database_combinations_are_held_out(splits: Splits) -> None:
    train = {(row["family"], row["db_id"]) for row in splits["train"]}
    for split in ("dev", "test"):
        assert not train & {(row["family"], row["db_id"]) for row in splits[split]}
    assert all(len(set(held_out(family))) == 2 for family in FAMILIES)


def test_questions_come_from_the_phrasings_of_their_split(splits: Splits) -> None:
    families = {family.name: family for family in FAMILIES}
    for split in SPLITS:
        for row in splits[split][:500]:
            phrasings = families[row["family"]].phrasings(split)
            patterns = [re.sub(r"\\{\w+\\}", ".+", re.escape(text)) for text in phrasings]
            assert any(re.fullmatch(pattern, row["question"], re.IGNORECASE) for pattern in patterns), row


def test_a_question_names_every_literal_of_its_gold(splits: Splits) -> None:
    for rows in splits.values():
        for row in rows:
            formats = row["query"].replace("'%Y'", "")
            for literal in re.findall(r"'%?([^'%]+)%?'", formats) + re.findall(r"[<>=] (\d[\d.]*)", formats):
                assert literal in row["question"], row


def test_every_gold_runs_and_is_discriminating_on_both_instances(splits: Splits) -> None:
    folder = pocket.ensure()
    with ExitStack() as stack:
        opened = {
            domain.name: [
                stack.enter_context(closing(sqlite3.connect(file))) for file in files(folder, domain.name)
            ]
            for domain in DOMAINS
        }
        _check_golds(splits, opened)


def _check_golds(splits: Splits, opened: dict[str, list[sqlite3.Connection]]) -> None:
    for found in splits.values():
        rows, single = found[:2000], 0
        for row in rows:
            for connection in opened[row["db_id"]]:
                assert proves(row["query"], connection), row
            result = opened[row["db_id"]][0].execute(row["query"]).fetchmany(2)
            single += len(result) == 1 and len(result[0]) == 1
        assert 0.15 <= single / len(rows) <= 0.25


def test_no_gold_is_slow(splits: Splits) -> None:
    folder, slowest = pocket.ensure(), 0.0
    for family in FAMILIES:
        row = next(row for row in splits["train"] if row["family"] == family.name)
        with closing(sqlite3.connect(files(folder, row["db_id"])[0])) as connection:
            spans = []
            for _ in range(3):
                start = time.perf_counter()
                connection.execute(row["query"]).fetchall()
                spans.append(time.perf_counter() - start)
        slowest = max(slowest, min(spans))
    assert slowest < 0.05


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda domain: domain.name)
def test_databases_have_their_counts_and_keys(domain: Domain) -> None:
    assert 3 <= len(domain.entities) <= 6
    first, second = files(pocket.ensure(), domain.name)
    assert contents(first) != contents(second)
    for file in (first, second):
        with closing(sqlite3.connect(file)) as connection:
            assert not connection.execute("PRAGMA foreign_key_check").fetchall()
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            for entity in domain.entities:
                (rows,) = connection.execute(f"SELECT COUNT(*) FROM {entity.sql}").fetchone()
                assert 50 <= rows <= 2000
                for field in entity.fields:
                    _check_column(connection, entity.sql, field.sql, field.kind, rows)


def _check_column(connection: sqlite3.Connection, table: str, column: str, kind: str, rows: int) -> None:
    distinct, nulls = connection.execute(
        f"SELECT COUNT(DISTINCT {column}), SUM({column} IS NULL) FROM {table}"
    ).fetchone()
    if kind in ("key", "label"):
        assert distinct == rows, f"{table}.{column} has doubles"
    assert nulls == 0 or kind not in ("key", "link", "label")


def test_there_are_awkward_names_nulls_and_dates() -> None:
    names = [name for domain in DOMAINS for entity in domain.entities for name in
             (entity.sql, *(field.sql for field in entity.fields))]  # fmt: skip
    assert sum(name.startswith('"') for name in names) >= 20
    assert {'"order"', '"group"', '"order line"', '"TrainId"'} <= set(names)
    for domain in DOMAINS:
        fields = [field for entity in domain.entities for field in entity.fields]
        assert any(field.nulls for field in fields) and any(field.kind == "date" for field in fields)


def test_a_build_of_other_sources_is_replaced(splits: Splits) -> None:
    folder = pocket.ensure()
    before = [contents(file) for domain in DOMAINS for file in files(folder, domain.name)]
    (folder / pocket.STAMP).write_text("older")
    (folder / "test.json").write_text("[]")
    assert {split: pocket.rows(split) for split in SPLITS} == splits
    assert [contents(file) for domain in DOMAINS for file in files(folder, domain.name)] == before


@pytest.mark.slow
def test_two_processes_may_build_at_once_and_build_the_same(splits: Splits, tmp_path: Path) -> None:
    code = "import sys, tasks.pocket as p; sys.stdout.write(str(len(p.rows('test'))))"
    environment = {"HARNESS_HOME": str(tmp_path / "new"), "PATH": "/usr/bin:/bin"}
    running = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[0] for process in running] == ["1200", "1200"]
    built = tmp_path / "new" / f"pocket-{pocket.VERSION}"
    assert set((tmp_path / "new").iterdir()) == {built, built.with_suffix(".lock")}
    assert {split: json.loads((built / f"{split}.json").read_text()) for split in SPLITS} == splits


def test_an_unknown_split_is_one_clear_line() -> None:
    with pytest.raises(DataError, match="no split 'tset': did you mean 'test'"):
        pocket.rows("tset")


def test_a_home_that_is_no_folder_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(DataError, match="cannot be built in HARNESS_HOME"):
        pocket.rows("test")


def test_a_second_start_is_quick(splits: Splits) -> None:
    assert takes_less(lambda: pocket.rows("train"), seconds=0.3)


def test_prompts_are_short_and_gold_writes_names_as_they_do(splits: Splits) -> None:
    task = Task.named("pocket")
    for sample in task.samples("test"):
        prompt = task.messages(sample)[0]["content"]
        assert len(prompt) < 1000
        names = {table.name for table in describe(task.database(sample)).tables}
        parsed = sqlglot.parse_one(sample.gold[0], dialect="sqlite")
        assert {table.name for table in parsed.find_all(exp.Table)} <= names
        for name in re.findall(r'"[^"]+"', sample.gold[0]):
            assert name in prompt


def test_questions_databases_and_prompts_are_the_published_ones(splits: Splits) -> None:
    """The weights of ``nano`` and every figure of the documentation depend on their bytes."""
    rows = {split: short_digest(json.dumps(splits[split], sort_keys=True)) for split in SPLITS}
    assert rows == {"train": "963e8fcc375503d9", "dev": "cc32588130986af6", "test": "79fdd784ca2896fa"}
    task = Task.named("pocket")
    prompts = "".join(json.dumps(task.messages(sample)) for sample in task.samples("test"))
    assert short_digest(prompts) == "0aeaf8bf29c7903a"
    dumps = ["\n".join(contents(path)) for path in sorted(pocket.ensure().glob("*/*.sqlite"))]
    assert short_digest("".join(dumps)) == "54b6fde8d856f082"


def short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
