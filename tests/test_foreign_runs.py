"""Runs that somebody else wrote: neither reading nor repeating one harms the machine or the other runs."""

from __future__ import annotations

import json
import math
import os
import socket
from dataclasses import replace
from pathlib import Path
from threading import Thread
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_leaderboards_store import RUN, record
from test_rerun import here as here
from test_rerun import judged as judged

from harness.cli import main
from harness.rerun import rerun
from harness.results import results
from leaderboards import catalog, store, tags
from leaderboards.board import board
from leaderboards.gains import gains
from leaderboards.summary import summary
from leaderboards.types import Run
from tasks.common.errors import DataError, SpecError

Capture = pytest.CaptureFixture[str]
URL = "http://127.0.0.1:9/v1"


def stored(run_id: str, right: bool = True, **changes: Any) -> Run:
    with store.open_run(replace(RUN, id=run_id, digest=run_id, **changes)) as handle:
        handle.append([record("one", metric=float(right))])
        return handle.finish(summary(list(handle.done.values())))


def rewritten(run: Run, **changes: Any) -> Run:
    """The run with other content in its ``run.json``."""
    path = store.folder(run.id) / "run.json"
    content = json.loads(path.read_text()) | changes
    content.pop("crc32", None)
    path.write_text(json.dumps(content))
    return replace(run, **changes)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runner": {"endpoint": {"base_url": URL}}}, "--set runner.endpoint.base_url=VALUE"),
        ({"runner": {"endpoint": {"key": "AWS_SECRET"}}}, "--set runner.endpoint.key=VALUE"),
        (
            {"runner": {"vllm": {"extra": {"trust_remote_code": True}}}},
            "--set runner.vllm.extra.trust_remote_code=",
        ),
        (
            {"runner": {"endpoint": {"body": {"tools": [{"type": "web"}]}}}},
            "--set runner.endpoint.body.tools=V",
        ),
        ({"runner": {"endpoint": {"body": {"a\nb": {"c": 1}}}}}, "--set runner.endpoint.body.a b=VALUE$"),
        ({"model": f"lm-eval:local-chat-completions:base_url={URL}"}, "add --trust-task"),
        ({"model": f"anthropic:x,base_url={URL}"}, "add --trust-task"),
    ],
)
def test_a_repeated_run_does_not_choose_where_data_and_keys_go(
    here: Path, changes: dict[str, Any], message: str
) -> None:
    (run,) = store.runs()
    spec = {"model": "openai:m", **run.spec["eval"], **changes}
    rewritten(run, spec=run.spec | {"eval": spec})
    with pytest.raises(SpecError, match=message):
        rerun("answers")
    assert len(store.runs()) == 1


def test_what_the_caller_repeats_is_used(here: Path) -> None:
    (run,) = store.runs()
    spec = run.spec["eval"] | {"runner": {"endpoint": {"base_url": URL, "key": "MY_KEY"}}}
    rewritten(run, spec=run.spec | {"eval": spec})
    assert not rerun("answers", [f"endpoint.base_url={URL}", "endpoint.key=MY_KEY"], workers=1).changes


def test_every_key_of_the_body_is_repeated_with_its_value(here: Path) -> None:
    (run,) = store.runs()
    spec = run.spec["eval"] | {"runner": {"endpoint": {"body": {"top_k": 5, "user": "me"}}}}
    rewritten(run, spec=run.spec | {"eval": spec})
    for settings in (["endpoint.body.top_k=5"], ["endpoint.body.top_k=5", "endpoint.body.other=me"]):
        with pytest.raises(SpecError, match=r"--set runner\.endpoint\.body\.user=VALUE"):
            rerun("answers", settings)
    found = rerun("answers", ["endpoint.body.top_k=6", "endpoint.body.user=me"], workers=1)
    assert found.new.spec["eval"]["runner"]["endpoint"]["body"] == {"top_k": 6, "user": "me"}


@pytest.mark.parametrize(
    ("section", "changes"),
    [
        (
            "databases",
            {
                "engine": "postgres",
                "url": "postgresql://${MY_KEY}:${MY_KEY}@127.0.0.1:{port}/{database}",
                "path": "",
            },
        ),
        ("databases", {"engine": "postgres", "url": "postgresql://127.0.0.1:{port}/{database}", "path": ""}),
        ("databases", {"copy_to": "postgresql://${MY_KEY}@127.0.0.1:{port}/{database}"}),
        ("dataset", {"source": "huggingface", "path": "${MY_KEY}/questions"}),
    ],
)
def test_a_task_of_a_run_sends_no_key_to_a_server(
    here: Path, section: str, changes: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (run,) = store.runs()
    monkeypatch.setenv("MY_KEY", "sk-0123456789")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = str(listening.getsockname()[1])
        written = {name: value.replace("{port}", port) for name, value in changes.items()}
        task = run.spec["task"]
        task = task | {"scoring": task["scoring"] | {"transpile_gold": "copy_to" in changes}}
        rewritten(run, spec=run.spec | {"task": task | {section: task[section] | written}})
        listening.settimeout(0.2)
        assert main(["show", run.id, "one"]) == 0
        assert main(["rerun", run.id]) == 2
        assert main(["board", "--html", str(here / "board.html")]) == 0
        with pytest.raises(TimeoutError):
            listening.accept()
    printed = capsys.readouterr()
    assert f"{section}." in printed.err and "would send your login or variables to" in printed.err
    assert "would send your" in printed.out and "sk-0123456789" not in printed.out + printed.err


@pytest.mark.parametrize("modes", [None, 5, "all", [[]], [None], {"strict": 1}])
def test_modes_of_another_form_are_one_line(here: Path, modes: Any, capsys: Capture) -> None:
    (run,) = store.runs()
    rewritten(run, spec=run.spec | {"modes": modes})
    assert main(["rerun", run.id]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "was judged in the mode '" in err


def other_model(run: Run) -> None:
    identity = run.identity | {"databases": dict.fromkeys(run.identity["databases"], "another content")}
    spec = {**run.spec["eval"], "model": "openai:m"}
    rewritten(run, identity=identity, spec=run.spec | {"eval": spec})


def no_identity(run: Run) -> None:
    rewritten(run, identity={})


def other_databases(run: Run) -> None:
    rewritten(run, identity=run.identity | {"databases": {"club": "0"}})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (no_identity, "does not name the database shop"),
        (other_databases, "does not name the database shop"),
        (other_model, "the database shop has changed"),
    ],
)
def test_only_databases_of_the_run_are_read(here: Path, change: Any, message: str) -> None:
    (run,) = store.runs()
    change(run)
    with pytest.raises(DataError, match=message):
        rerun("answers")
    (run,) = store.runs()
    (shown,) = results(run, store.records(run.id)[:1], workers=1)
    assert message in shown.unavailable and not shown.gold.rows
    if change is not other_model:
        assert not rerun("answers", workers=1, trust=True).changes


def test_tags_are_not_written_through_a_link(home: Path, tmp_path: Path) -> None:
    run = stored("a")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "notes").write_text("mine")
    (store.folder(run.id) / "tags").symlink_to(outside)
    assert tags.read(run.id) == ()
    for change in (tags.add, tags.remove):
        with pytest.raises(DataError, match="is a link"):
            change(run.id, ["notes"])
    assert [path.read_text() for path in outside.iterdir()] == ["mine"]


def test_a_tag_that_is_a_link_makes_no_file_elsewhere(home: Path, tmp_path: Path) -> None:
    run = stored("a")
    tags.add(run.id, ["first"])
    (store.folder(run.id) / "tags" / "second").symlink_to(tmp_path / "outside")
    tags.add(run.id, ["second"])
    assert not (tmp_path / "outside").exists() and tags.read(run.id) == ("first", "second")


def test_a_pipe_in_place_of_the_records_is_no_wait(home: Path) -> None:
    path = store.folder(rewritten(stored("a"), records_sha256="").id) / "records.parquet"
    path.unlink()
    os.mkfifo(path)
    raised: list[str] = []

    def read() -> None:
        try:
            store.records("a")
        except DataError as error:
            raised.append(str(error))

    thread = Thread(target=read, daemon=True)
    thread.start()
    thread.join(20)
    assert raised == ["records of a: records.parquet is not a regular file"]


@pytest.mark.parametrize("column", ["run", "RUN", "filename", "Filename"])
def test_a_column_of_a_file_does_not_pass_for_another_run(home: Path, column: str) -> None:
    stored("a")
    path = store.folder(rewritten(stored("b", right=False), records_sha256="").id) / "records.parquet"
    table = pq.read_table(path)
    pq.write_table(table.append_column(column, pa.array(["/x/a/records.parquet"])), path)
    try:
        rows = store.query("SELECT run, metric FROM records ORDER BY metric", ["a", "b"])
    except DataError as error:
        assert "b" in str(error) and column.lower() == "filename"
    else:
        assert rows == [{"run": "b", "metric": 0.0}, {"run": "a", "metric": 1.0}]


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 2.0])
def test_a_verdict_that_is_no_share_is_damage(home: Path, capsys: Capture, value: float) -> None:
    parent, child = stored("a", model="base"), stored("b", model="next", parent="base")
    path = store.folder(rewritten(child, records_sha256="").id) / "records.parquet"
    table = pq.read_table(path)
    place = table.column_names.index("metric")
    pq.write_table(table.set_column(place, "metric", pa.array([value])), path)
    with pytest.raises(DataError, match=r"metric: .* is not in \[0, 1\]"):
        store.records("b")
    assert main(["compare", "a", "b", "--fail-if", "B < A"]) == 2
    assert gains({"b": parent.id}) == {}
    assert "no gain of b over a: records of a, b: " in capsys.readouterr().err
    with store.open_run(replace(RUN, id="c", digest="c")) as handle:
        handle.append([record("one", metric=value)])
        handle.finish(summary(list(handle.done.values())))
    assert [row.run.id for rows in board().groups.values() for row in rows] == ["b", "a"]
    assert "left out run c: scores.json: " in capsys.readouterr().err


def test_a_backslash_is_part_of_the_name_of_a_run(home: Path) -> None:
    stored("evil\\a")
    assert store.query("SELECT run FROM records", ["evil\\a"]) == [{"run": "evil\\a"}]


def test_what_a_link_leads_to_is_not_the_size_of_a_run(home: Path, tmp_path: Path, capsys: Capture) -> None:
    stored("a")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "data").write_bytes(bytes(100_000))
    (home / "runs" / "link").symlink_to(outside)
    assert catalog.size("link") < 10_000 and catalog.size("a") > 0
    assert main(["runs", "rm", "link", "--yes"]) == 0
    assert (outside / "data").exists()
