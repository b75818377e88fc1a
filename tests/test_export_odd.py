"""Evaluations without scores, with several answers or turns, or with F1 as headline, in other formats."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import published_runs
import pytest

from harness.cli import main
from harness.publishing import every_eval_ever, inspect_log, lm_eval_results
from harness.publishing.evaluation import Published
from leaderboards import store

MODES = ("strict", "spider", "spider_ts", "bird", "bird_f1")


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Published]:
    """Evaluations that lack scores, have several turns, or another headline, under their names."""
    folder = tmp_path_factory.mktemp("odd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(folder / "home"))
        run = published_runs.scored(folder, task := published_runs.task(folder))
        twice = [group * 2 for group in published_runs.ANSWERS]
        several = published_runs.scored(folder, task, "several", twice)
        answers, two = store.records(run.id), store.records(several.id)
    none = dict.fromkeys(("metric", "reward", *MODES))
    messages = [
        {"role": role, "content": text} for role, text in (("user", "q"), ("assistant", "a"), ("user", "no"))
    ]
    others = ("no JSON", "[]", "[1]", json.dumps([{"role": "developer", "content": "x"}, *messages]))
    in_roles = [replace(record, prompt=others[i % len(others)]) for i, record in enumerate(answers)]
    in_turns = [replace(record, prompt=json.dumps(messages)) for record in answers]
    f1 = [replace(record, metric=record.bird_f1) for record in answers]
    return {
        "unscored": Published(run, [replace(record, **none) for record in answers], "me/unscored"),  # type: ignore[arg-type]
        "half": Published(
            several,
            [replace(record, **none) if record.sample_index else record for record in two],  # type: ignore[arg-type]
            "me/half",
        ),
        "turns": Published(replace(run, sampling={**run.sampling, "turns": 2}), in_turns, "me/turns"),
        "roles": Published(replace(run, sampling={**run.sampling, "turns": 2}), in_roles, "me/roles"),
        "bird_f1": Published(replace(run, metric="bird_f1"), f1, "me/f1"),
    }


def test_odd_runs_are_read_by_every_eval_ever(odd: dict[str, Published], tmp_path: Path) -> None:
    pytest.importorskip("every_eval_ever")
    scores = {}
    for name, published in odd.items():
        aggregate = every_eval_ever.write(published, tmp_path)[0]
        results = json.loads(aggregate.read_text())["evaluation_results"]
        scores[name] = {row["evaluation_result_id"]: row["metric_config"]["metric_name"] for row in results}
    command = [sys.executable, "-m", "every_eval_ever", "validate", "--format", "json", "data/*/*/*/*.json*"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert scores["unscored"] == {} and next(iter(scores["bird_f1"].items())) == ("bird_f1", "Soft F1 (BIRD)")


def test_odd_runs_are_read_by_lm_eval(odd: dict[str, Published], tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    from datasets import load_dataset
    from lm_eval.utils import make_table

    for name, published in odd.items():
        results, samples = lm_eval_results.write(published, tmp_path)
        table = make_table(json.loads(results.read_text()))
        headline = {"unscored": [], "bird_f1": ["soft_f1"]}.get(name, ["execution_accuracy"])
        assert [one for one in ("soft_f1", "execution_accuracy") if one in table] == headline
        rows = load_dataset("json", data_files=str(samples), cache_dir=str(tmp_path / "cache"))["train"]
        assert len(rows) == len(published.questions)


def test_odd_runs_are_read_by_inspect(odd: dict[str, Published], tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    from inspect_ai.log import read_eval_log

    for name, published in odd.items():
        (file,) = inspect_log.write(published, tmp_path / f"{name}.eval")
        log = read_eval_log(str(file))
        assert log.results is not None and len(log.samples or ()) == len(published.records)
        means = {score.name: score.metrics["mean"].value for score in log.results.scores}
        expected = {metric: published.figures(metric)["ex"] for metric in published.metrics}
        assert means == expected and bool(means) == (name != "unscored")


@pytest.mark.parametrize(
    "changes",
    [
        {"spec": {}},
        {"spec": {"task": None}},
        {"spec": {"eval": None}},
        {"spec": {"eval": {"runner": 1}}},
        {"spec": {"task": {"dataset": {"source": "x"}}}},
        {"spec": {"task": {"prompt": {"examples": {"count": "many"}}}}},
        {"identity": {"model": None}},
        {"sampling": {"temperature": "warm"}},
        {"started": "yesterday"},
        {"ended": "9" * 5000},
    ],
)
def test_a_run_without_what_is_published_is_one_line(
    odd: dict[str, Published],
    changes: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    known = odd["half"].run
    with store.open_run(replace(known, id="a", ended="", records_sha256="")) as writer:
        writer.append(odd["half"].records)
        writer.finish(odd["half"].summary)
    path = store.folder("a") / "run.json"
    content = json.loads(path.read_text())
    del content["crc32"]
    if changes.get("spec"):
        changes = {"spec": {**content["spec"], **changes["spec"]}}
    path.write_text(json.dumps(content | changes))
    for line in (
        "export a --to csv --out x.csv",
        "export a --to lm-eval --out x",
        "push a --to me/a --dry-run x",
    ):
        assert main(line.replace(" x", f" {tmp_path}/x").split()) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and "run a cannot be published: its " in err and len(err) < 400
