"""``harness check`` finds what is wrong with a task, and nothing wrong with the tasks that ship."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.check import TaskCheck, check_task
from harness.cli import main

pytest.importorskip("transformers")

GOOD = {"question": "Which a?", "query": "SELECT a FROM t", "db_id": "d"}
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path, home: Path) -> Make:
    """A task file over these dev and train rows."""
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.executescript(
            "CREATE TABLE t(a INT, b TEXT); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (2, NULL);"
            "CREATE VIEW this_year AS SELECT strftime('%Y', 'now') AS y"
        )

    def build(dev: list[dict[str, Any]], train: list[dict[str, Any]] | None = None, extra: str = "") -> Path:
        (tmp_path / "dev.json").write_text(json.dumps(dev))
        (tmp_path / "train.json").write_text(json.dumps(train or []))
        splits = "{dev: dev.json, train: train.json}" if train else "{dev: dev.json}"
        path = tmp_path / "task.yaml"
        path.write_text(
            f"name: mine\ndataset: {{path: '{tmp_path}/{{split}}', splits: {splits}}}\n"
            f"databases: {{path: '{tmp_path}/{{database}}.sqlite', missing: skip}}\n"
            f"scoring: {{modes: [strict, spider, spider_ts, bird, bird_f1], seconds: 2}}\n{extra}"
        )
        return path

    return build


def check(path: Path) -> TaskCheck:
    return check_task(str(path), (), (), None, 1)


@pytest.mark.parametrize(
    ("rows", "field", "count"),
    [
        ([GOOD], "rows", 1),
        ([GOOD, GOOD | {"db_id": "gone"}], "total", 2),
        ([GOOD, GOOD | {"db_id": "gone"}], "rows", 1),
        ([GOOD, GOOD | {"question": "which A? "}], "duplicates", 1),
        ([GOOD | {"query": "SELECT a FROM t WHERE a > 5"}], "empty", 1),
        ([GOOD | {"query": "SELECT COUNT(*) FROM t"}], "single_cell", 1),
        ([GOOD | {"query": "SELECT a, b FROM t WHERE b = 'x'"}], "single_cell", 0),
        ([GOOD | {"query": "SELECT b FROM t ORDER BY a DESC LIMIT 1"}], "cut", 1),
        ([GOOD | {"query": "SELECT b FROM t ORDER BY a LIMIT 1"}, GOOD], "cut", 0),
        ([GOOD | {"query": "SELECT a FROM t ORDER BY a DESC LIMIT 1"}], "cut", 0),
        ([GOOD | {"query": "SELECT a > date('now') FROM t"}, GOOD], "volatile", 1),
        ([GOOD | {"query": "SELECT y FROM this_year"}, GOOD], "volatile", 1),
    ],
)
def test_what_is_counted(make: Make, rows: list[dict[str, Any]], field: str, count: int) -> None:
    (split,) = check(make(rows)).splits
    assert getattr(split, field) == count


@pytest.mark.parametrize(
    ("gold", "reason"),
    [
        ("SELECT nope FROM t", "gold_failed"),
        ("SELEC a FROM t", "gold_failed"),
        ("DELETE FROM t", "gold_failed"),
        ("WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x FROM r) SELECT COUNT(*) FROM r", "gold_failed"),
    ],
)
def test_a_gold_that_does_not_run_is_broken(make: Make, gold: str, reason: str) -> None:
    (split,) = check(make([GOOD, GOOD | {"query": gold}])).splits
    assert [(one.id, one.reason) for one in split.broken] == [("1", reason)]
    assert split.ceiling == 0.5


def test_every_one_of_several_golds_must_run(make: Make) -> None:
    (split,) = check(make([GOOD | {"query": ["SELECT a FROM t", "SELECT z FROM t"]}])).splits
    assert len(split.broken) == 1


def test_what_train_shares_is_found(make: Make) -> None:
    train = [GOOD, GOOD | {"question": "Which b?", "query": "SELECT b FROM t"}]
    dev = [GOOD, GOOD | {"question": "which b?"}, GOOD | {"question": "Which c?"}]
    (split, trained) = check(make(dev, train)).splits
    assert (split.shared_questions, split.shared_pairs) == (2, 1)
    assert trained.shared_questions == 0


def test_prompts_over_the_model_s_context_are_counted(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [GOOD, GOOD | {"question": "word " * 3000}, GOOD | {"question": "x" * 2_000_000}]
    task = make(rows)
    (split,) = check_task(str(task), [], ["dev"], "nano", 1).splits
    assert (split.context, split.over_context) == (2048, 2)
    assert main(["check", str(task), "--tokenizer", "nano", "--workers", "1"]) == 0
    assert "prompts over the context of 2048" in capsys.readouterr().out


def test_prompts_over_the_budget_are_counted(make: Make) -> None:
    (split,) = check(
        make([GOOD, GOOD | {"question": "word " * 100}], extra="prompt: {max_tokens: 80}\n")
    ).splits
    assert split.over_budget == 1
    assert split.longest_prompt > 80


def test_exit_codes_and_the_clean_file(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(make([GOOD, GOOD | {"query": "SELECT z FROM t"}]))
    clean = tmp_path / "clean.jsonl"
    assert main(["check", path, "--write-clean", str(clean)]) == 1
    assert "golds that fail: 1" in capsys.readouterr().out
    assert [json.loads(line)["id"] for line in clean.read_text().splitlines()] == ["0"]
    assert main(["check", path, "--allow-broken-gold", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"][0]["ceiling"] == 0.5


@pytest.mark.slow
def test_pocket_is_proved(home: Path) -> None:
    found = check_task("pocket", (), (), None, 0)
    assert found.broken == 0
    for split in found.splits:
        assert split.empty <= 0.02 * split.rows
        assert split.single_cell <= 0.25 * split.rows
        assert (split.duplicates, split.shared_questions, split.shared_pairs, split.over_budget) == (
            0,
            0,
            0,
            0,
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "split", "total", "rows", "broken"),
    [
        ("spider", "dev", 1034, 972, 0),
        ("bird", "dev", 1534, 274, 0),
        ("geoquery", "train", 549, 549, 2),
        ("geoquery", "dev", 49, 49, 1),
        ("geoquery", "test", 279, 279, 2),
    ],
)
def test_real_ceilings(
    data: Path, home: Path, task: str, split: str, total: int, rows: int, broken: int
) -> None:
    (found,) = check_task(task, (), (split,), None, 0).splits
    assert (found.total, found.rows, len(found.broken)) == (total, rows, broken)
