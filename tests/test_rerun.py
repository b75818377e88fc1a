"""``harness rerun``: the stored spec is repeated, and every verdict that differs is named with the reason."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import evaluate
from harness.cli import main
from leaderboards import store
from leaderboards.summary import summary
from leaderboards.types import Record

Capture = pytest.CaptureFixture[str]
TASK = """
name: shop
dataset: {path: "dev.jsonl", splits: {dev: dev}, fields: {id: id, gold: query, database: db_id}}
databases: {path: "{database}.sqlite"}
"""
ANSWERS = {"one": "SELECT COUNT(*) FROM item", "two": "SELECT name FROM item", "three": "SELECT 1"}


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task, answers, and a home with the run of these answers; "three" is wrong."""
    here = tmp_path_factory.mktemp("rerun")
    with closing(sqlite3.connect(here / "shop.sqlite")) as connection:
        connection.executescript("CREATE TABLE item (name); INSERT INTO item VALUES ('pen'), ('ink');")
    golds = ANSWERS | {"three": "SELECT MAX(name) FROM item"}
    rows = [{"id": id, "question": id, "query": gold, "db_id": "shop"} for id, gold in golds.items()]
    (here / "dev.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (here / "shop.yaml").write_text(TASK)
    write_answers(here, ANSWERS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(here / "home"))
        evaluate(f"replay:{here}/answers.jsonl", here / "shop.yaml")
    return here


def write_answers(here: Path, answers: dict[str, str]) -> None:
    lines = [json.dumps({"id": id, "sql": sql}) for id, sql in answers.items()]
    (here / "answers.jsonl").write_text("\n".join(lines))


@pytest.fixture
def here(judged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder with a run that names the copy's files."""
    copy = tmp_path / "copy"
    shutil.copytree(judged, copy)
    for path in (copy / "home" / "runs").glob("*/run.json"):
        content = json.loads(path.read_text().replace(str(judged), str(copy)))
        del content["crc32"]
        path.write_text(json.dumps(content))
    monkeypatch.setenv("HARNESS_HOME", str(copy / "home"))
    return copy


def other_answer(here: Path) -> None:
    write_answers(here, ANSWERS | {"two": "SELECT nam FROM item", "three": "SELECT 2"})


def other_rows(here: Path) -> None:
    with closing(sqlite3.connect(here / "shop.sqlite")) as connection:
        connection.execute("UPDATE item SET name = 1")
        connection.execute("DELETE FROM item WHERE rowid = 2")
        connection.commit()


def other_gold(here: Path) -> None:
    text = (here / "dev.jsonl").read_text()
    (here / "dev.jsonl").write_text(text.replace("SELECT COUNT(*) FROM item", "SELECT 3"))


def other_verdict(here: Path) -> None:
    rewrite(lambda record: replace(record, metric=0.0, strict=0.0, reason="wrong_rows"), "one")


def other_mode(here: Path) -> None:
    rewrite(lambda record: replace(record, spider=0.0), "one")


def one_more(here: Path) -> None:
    with (here / "dev.jsonl").open("a") as file:
        file.write("\n" + json.dumps({"id": "four", "question": "4", "query": "SELECT 4", "db_id": "shop"}))
    write_answers(here, ANSWERS | {"four": "SELECT 4"})


def nothing(here: Path) -> None:
    (here / "shop.yaml").unlink()


def rewrite(change: Callable[[Record], Record], sample_id: str) -> None:
    """Replace the run by one in which a verdict was another."""
    (run,) = store.runs()
    records = [change(one) if one.sample_id == sample_id else one for one in store.records(run.id)]
    shutil.rmtree(store.folder(run.id))
    with store.open_run(replace(run, ended="", records_sha256="")) as handle:
        handle.append(records)
        handle.finish(summary(records))


CHANGES: list[tuple[Callable[[Path], None], dict[str, tuple[str, str, str]]]] = [
    (nothing, {}),
    (other_answer, {"two": ("correct", "execution_error", "answer differs")}),
    (other_rows, {"three": ("wrong_rows", "correct", "data changed")}),
    (other_gold, {"one": ("correct", "wrong_rows", "data changed")}),
    (other_verdict, {"one": ("wrong_rows", "correct", "same answer judged otherwise")}),
    (other_mode, {"one": ("correct", "correct", "same answer judged otherwise")}),
    (one_more, {"four": ("", "correct", "data changed")}),
]


@pytest.mark.parametrize(("change", "expected"), CHANGES, ids=[change.__name__ for change, _ in CHANGES])
def test_the_verdicts_that_differ_are_named_with_the_reason(
    change: Callable[[Path], None], expected: dict[str, Any], here: Path, capsys: Capture
) -> None:
    change(here)
    assert main(["rerun", "answers", "--json", "--workers", "1"]) == int(bool(expected))
    found = json.loads(capsys.readouterr().out)
    assert {one["sample_id"]: (one["old"], one["new"], one["why"]) for one in found["changes"]} == expected
    assert found["answers_differ"] == (2 if change is other_answer else 0)
    assert found["n"] == (4 if change is one_more else 3)
    assert [run.id for run in store.runs()] == [found["old"], found["new"]]


def test_the_printed_table_names_what_changed(
    here: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    other_answer(here)
    assert main(["rerun", "answers", "--workers", "1"]) == 1
    printed = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
    assert max(map(len, printed.splitlines())) <= 80
    assert "then  66.7 %" in printed and "now   33.3 %" in printed
    assert "changed since then: answers's" in printed
    assert "1 of 3 verdicts differ: 1 answer differs" in printed
    assert printed.split("why")[1].split()[1:6] == ["two", "correct", "execution_error", "answer", "differs"]


def test_a_run_that_cannot_be_repeated_is_one_line(here: Path, capsys: Capture) -> None:
    (run,) = store.runs()
    shutil.rmtree(store.folder(run.id))
    spec = {**run.spec, "eval": {**run.spec["eval"]}}
    spec["eval"]["runner"] = {"endpoint": {"body": {"api_key": "[key]"}}}
    cases = {
        "no-task": ({"eval": run.spec["eval"]}, "did not store its task"),
        "no-eval": ({"task": spec["task"]}, "did not store its settings"),
        "secret": (spec, "add --set runner.endpoint.body.api_key=VALUE"),
        "mode": (run.spec | {"modes": ["strikt"]}, "did you mean 'strict'?"),
    }
    for name, (stored, message) in cases.items():
        with store.open_run(
            replace(run, id=name, digest=name, spec=stored, ended="", records_sha256="")
        ) as handle:
            handle.append([Record("one", "q", "shop", "SELECT 1", "correct")])
            handle.finish(summary(list(handle.done.values())))
        assert main(["rerun", name]) == 2
        printed = capsys.readouterr().err
        assert message in printed and printed.count("\n") == 1, name
    assert main(["rerun", "mode", "--set", "scoring.seconds=3"]) == 2
    assert "only keys of the runner" in capsys.readouterr().err
