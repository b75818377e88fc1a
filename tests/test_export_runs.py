"""A run in the formats of other programs, each read by the other side's own reader."""

from __future__ import annotations

import csv
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import published_runs
import pytest

from harness.cli import main
from leaderboards import store
from leaderboards.types import Run

MODES = ("strict", "spider", "spider_ts", "bird", "bird_f1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exports")


@pytest.fixture(scope="module", autouse=True)
def home(folder: Path) -> pytest.MonkeyPatch:  # type: ignore[misc]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(folder / "home"))
        patch.setenv("WANDB_DATA_DIR", str(folder / "wandb"))
        yield patch


@pytest.fixture(scope="module")
def task(folder: Path) -> str:
    return published_runs.task(folder)


@pytest.fixture(scope="module")
def run(folder: Path, task: str) -> Run:
    return published_runs.scored(folder, task)


@pytest.fixture(scope="module")
def several(folder: Path, task: str) -> Run:
    """A run with two answers to each question, the second always right where the gold runs."""
    answers = [[*group, f"SELECT {i}"] for i, group in enumerate(published_runs.ANSWERS)]
    return published_runs.scored(folder, task, "several", answers)


def export(run: Run, form: str, out: Path, *more: str) -> list[Path]:
    assert main(["export", run.id, "--to", form, "--out", str(out), *more]) == 0
    return sorted(path for path in ([out] if out.is_file() else out.rglob("*")) if path.is_file())


def lines_of(file: Path) -> list[str]:
    """The lines of a jsonl file; ``splitlines`` would also end one at U+2028 within a string."""
    return file.read_text(encoding="utf-8").removesuffix("\n").split("\n")


def required(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: `make test` installs it")


def verdicts(run: Run) -> dict[tuple[str, int], tuple[object, ...]]:
    return {
        record.key: (*(getattr(record, mode) for mode in MODES), record.reward, record.reason, record.sql)
        for record in store.records(run.id)
    }


@pytest.mark.parametrize("which", ["run", "several"])
def test_a_csv_read_back_gives_the_same_verdicts(
    which: str, task: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    run: Run = request.getfixturevalue(which)
    (file,) = export(run, "csv", tmp_path / f"{which}.csv")
    with file.open(newline="", encoding="utf-8") as text:
        rows = {(row["sample_id"], int(row["sample_index"])): row for row in csv.DictReader(text)}
    for record in store.records(run.id):
        row = rows[record.key]
        assert (row["completion"], row["gold"], row["question"]) == (
            record.completion,
            record.gold,
            record.question,
        )
        assert row["metric"] == ("" if record.metric is None else str(record.metric))
    assert main(["score", str(file), "--task", task, "--workers", "1"]) == 0
    assert verdicts(store.runs()[-1]) == verdicts(run)
    assert store.summary(run.id)["unscored"] == len(rows) // 9


def test_lm_eval_reads_its_results(run: Run, several: Run, tmp_path: Path) -> None:
    pytest.importorskip("lm_eval")
    from datasets import load_dataset
    from lm_eval.utils import (
        get_file_datetime,
        get_results_filenames,
        get_sample_results_filenames,
        make_table,
        sanitize_model_name,
    )

    for one in (run, several):
        files = export(one, "lm-eval", tmp_path / one.id, "--model-id", "me/numbers")
        names = [str(path) for path in files]
        (results_file,), (samples_file,) = get_results_filenames(names), get_sample_results_filenames(names)
        assert Path(results_file).parent.name == sanitize_model_name("me/numbers")
        assert get_file_datetime(samples_file) == get_file_datetime(results_file).replace(".json", "")
        results = json.loads(Path(results_file).read_text())
        figures = store.summary(one.id)
        assert f"{figures['ex']:.4f}" in make_table(results)
        assert results["results"]["harness_numbers"]["execution_accuracy,none"] == figures["ex"]
        samples = load_dataset("json", data_files=samples_file, cache_dir=str(tmp_path / "cache"))["train"]
        records = store.records(one.id)
        assert [text for row in samples for text in row["resps"][0]] == [one.completion for one in records]
        scored = [row["execution_accuracy"] for row in samples if row["execution_accuracy"] is not None]
        assert sum(scored) / len(scored) == figures["ex"]


def test_lm_eval_s_own_file_has_the_same_keys(run: Run, task: str, tmp_path: Path) -> None:
    """Compared with what its tracker saves of its own evaluation of the exported task."""
    pytest.importorskip("lm_eval")
    import lm_eval
    from lm_eval.api.model import LM
    from lm_eval.loggers import EvaluationTracker

    from harness.adapters.lm_eval import LmEvalTask
    from tasks.task import Task

    class Same(LM):
        """Answers as the stored file does."""

        def generate_until(self, requests: list[object], disable_tqdm: bool = False) -> list[str]:
            return [published_runs.ANSWERS[one.doc["number"]][0] for one in requests]  # type: ignore[attr-defined]

        loglikelihood = loglikelihood_rolling = None  # type: ignore[assignment]

    exported = LmEvalTask(Task.named(task))
    name = exported.name
    results = lm_eval.evaluate(Same(), {name: exported.in_memory()}, bootstrap_iters=0, log_samples=True)
    tracker = EvaluationTracker(output_path=str(tmp_path / "theirs"))
    tracker.general_config_tracker.model_name_sanitized = "m"
    samples = results.pop("samples")
    tracker.save_results_aggregated(results, samples)
    tracker.save_results_samples(name, samples[name])
    (theirs,) = (tmp_path / "theirs").rglob("results_*.json")
    (their_samples,) = (tmp_path / "theirs").rglob("samples_*.jsonl")
    ours, our_samples = export(run, "lm-eval", tmp_path / "ours")
    mine, their = json.loads(ours.read_text()), json.loads(theirs.read_text())
    means = {key: mean for key, mean in their["results"][name].items() if key.endswith(",none")}
    assert means.keys() >= {"execution_accuracy,none", "strict,none", "reward,none"}
    for key in (key for key in means if "_stderr" not in key):
        assert mine["results"][name][key] == pytest.approx(means[key])
    assert mine["n-samples"] == their["n-samples"] and mine["group_subtasks"] == their["group_subtasks"]
    rows = [json.loads(line) for line in lines_of(our_samples)]
    for row, other in zip(rows, map(json.loads, lines_of(their_samples)), strict=True):
        assert other.keys() - row.keys() == set()
        assert (row["resps"], row["filtered_resps"], row["target"]) == (
            other["resps"],
            other["filtered_resps"],
            other["target"],
        )


@pytest.mark.parametrize("which", ["run", "several"])
def test_every_eval_ever_s_validator_passes_both_files(
    which: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    required("every_eval_ever")
    run: Run = request.getfixturevalue(which)
    aggregate, samples = export(run, "every-eval-ever", tmp_path / "out", "--model-id", "me/numbers")
    command = [sys.executable, "-m", "every_eval_ever", "validate", "--format", "json", "data/*/*/*/*.json*"]
    done = subprocess.run(command, cwd=tmp_path / "out", capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    log = json.loads(aggregate.read_text())
    headline = log["evaluation_results"][0]
    figures, records = store.summary(run.id), store.records(run.id)
    assert headline["score_details"]["score"] == figures["ex"]
    interval = headline["score_details"]["uncertainty"]["confidence_interval"]
    assert (interval["lower"], interval["upper"]) == (figures["low"], figures["high"])
    rows = [json.loads(line) for line in lines_of(samples)]
    scores = {
        (row["sample_id"], int(row["metadata"]["sample_index"])): row["evaluation"]["score"]
        for row in rows
        if row["evaluation_result_id"] == run.metric
    }
    assert scores == {record.key: record.metric for record in records if record.metric is not None}


@pytest.mark.parametrize("which", ["run", "several"])
def test_inspect_reads_its_log(which: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    required("inspect_ai")
    from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries

    run: Run = request.getfixturevalue(which)
    (file,) = export(run, "inspect", tmp_path / "run.eval")
    log = read_eval_log(str(file))
    assert log.status == "success" and log.eval.task == "numbers" and log.results is not None
    (headline,) = (score for score in log.results.scores if score.name == run.metric)
    assert headline.metrics["mean"].value == store.summary(run.id)["ex"]
    found = {(str(one.id), one.epoch - 1): one for one in log.samples or []}
    for record in store.records(run.id):
        sample = found.pop(record.key)
        assert (sample.output.completion, sample.target) == (record.completion, record.gold)
        assert sample.scores is not None
        value = sample.scores[run.metric].value
        assert value == record.metric if record.metric is not None else value != value
    assert not found
    assert len(read_eval_log_sample_summaries(str(file))) == len(store.records(run.id))


def test_a_wandb_table_holds_every_record(run: Run, tmp_path: Path) -> None:
    wandb = pytest.importorskip("wandb")
    export(run, "wandb", tmp_path / "out")
    (file,) = (tmp_path / "out").glob("wandb/offline-run-*/files/media/table/records*.json")
    table = wandb.Table.from_json(json.loads(file.read_text()), None)
    frame = table.get_dataframe()
    records = store.records(run.id)
    assert list(frame["completion"]) == [record.completion for record in records]
    assert [None if value != value else value for value in frame["metric"]] == [r.metric for r in records]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["RUN", "--to", "csv"], "--to csv: name the file or folder to write with --out"),
        (["RUN", "--to", "csv", "--out", "x.txt"], "--out x.txt: the name must end with .csv"),
        (["RUN", "--to", "csv", "--out", "there.csv"], "there.csv exists and holds something else"),
        (["RUN", "--to", "csv", "--out", "x.csv", "--model-id", "me"], "--model-id me: write it as ORG/NAME"),
        (["nosuch", "--to", "csv", "--out", "x.csv"], "no finished evaluation 'nosuch'"),
        (["RUN"], "write a run with --to FORMAT"),
        (["lm-eval", "--task", "pocket", "--to", "csv"], "write a run with --to FORMAT"),
        (["lm-evil", "--task", "pocket"], "no program 'lm-evil' for a task: did you mean 'lm-eval'?"),
        (["RUN", "--to", "cvs", "--out", "x"], "no choice 'cvs': did you mean 'csv'?"),
    ],
)
def test_a_wrong_export_is_one_line(
    line: list[str],
    says: str,
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there.csv").write_text("mine\n")
    words = [run.id if word == "RUN" else word for word in line]
    try:
        code = main(["export", *words])
    except SystemExit as stop:
        code = int(stop.code or 0)
    (error,) = capsys.readouterr().err.splitlines()
    assert code == 2 and says in error
    assert Path("there.csv").read_text() == "mine\n" and not Path("x.csv").exists()
