"""``harness push``: to a local server that has the Hub's API, and to a folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import published_runs
import pytest
import yaml

pytest.importorskip("huggingface_hub")

from huggingface_hub import (
    DatasetCard,
    EvalResultEntry,
    ModelCard,
    constants,
    metadata_load,
    parse_eval_result_entries,
)
from huggingface_hub.repocard_data import model_index_to_eval_results
from servers.hub import TOKEN, Hub, hub

from harness.cli import main
from harness.provenance import lineage
from harness.publishing.card import plain
from harness.publishing.model_folder import is_allowed
from leaderboards import store, validation
from leaderboards.types import Run
from runners.known.models import MODELS

KEPT_AT_HOME = (
    *(".env", "optimizer.pt", "optimizer.bin", "scheduler.pt", "rng_state.pth", "training_args.bin"),
    *("trainer_state.json", "pytorch_model.bin", "id_rsa", ".cache/x.json", "checkpoint-2/model.safetensors"),
    *("wandb/run.json", "secrets.json", "notes.txt", "model.py", "__pycache__/x.pyc", ".git/config"),
)
MODEL_FILES = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "LICENSE"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("push")


@pytest.fixture(scope="module", autouse=True)
def environment(folder: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(folder / "home"))
        patch.setenv("HF_TOKEN", TOKEN)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    """An evaluation of a model in a folder that holds much that must not be uploaded."""
    model = folder / "runs" / "sft" / "model"
    shutil.copytree(MODELS["nano"].folder, model)
    (model / "LICENSE").write_text("Apache-2.0\n")
    for name in KEPT_AT_HOME:
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text("SECRET")
    line = ["eval", "--model", str(model), "--task", published_runs.task(folder), "--workers", "1"]
    assert main([*line, "--max-new-tokens", "8"]) == 0
    return store.runs()[-1]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", running.url)
        yield running


def test_a_dry_run_holds_what_is_allowed_and_its_cards_are_valid(
    run: Run, tmp_path: Path, server: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    out = tmp_path / "dry"
    assert main(["push", run.id, "--to", "me/sql", "--dry-run", str(out)]) == 0
    assert server.repos == {}
    written = {
        path.relative_to(out / "model").as_posix() for path in (out / "model").rglob("*") if path.is_file()
    }
    assert written >= MODEL_FILES | {"README.md", "harness.json", ".eval_results/numbers-dev.yaml"}
    assert not written & set(KEPT_AT_HOME)
    everything = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert b"SECRET" not in everything
    card = ModelCard.load(out / "model" / "README.md")
    card.validate()
    name, results = model_index_to_eval_results(metadata_load(out / "model" / "README.md")["model-index"])
    figures = store.summary(run.id)
    assert (name, results[0].metric_type, results[0].metric_value) == (
        "sql",
        "sql_harness.strict",
        figures["ex"],
    )
    for section in ("Scores", "Task", "Data", "Training", "Limitations", "How to reproduce", "Versions"):
        assert f"## {section}\n" in card.text
    assert "<b>" not in card.text and "1 answers could not be judged" in card.text
    (entry,) = parse_eval_result_entries(
        yaml.safe_load((out / "model" / ".eval_results" / "numbers-dev.yaml").read_text())
    )
    assert isinstance(entry, EvalResultEntry)
    assert (entry.dataset_id, entry.task_id, entry.value) == ("me/sql-records", "numbers", figures["ex"])
    DatasetCard.load(out / "records" / "README.md").validate()
    assert validation.run(out / "records").digest == run.digest
    assert (
        lineage.content(out / "model") == json.loads((out / "model" / "harness.json").read_text())["content"]
    )


def test_the_pushed_records_give_the_same_verdicts(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "dry"
    assert main(["push", run.id, "--to", "me/sql", "--dry-run", str(out)]) == 0
    task = str(folder / "task.yaml")
    assert main(["score", str(out / "records"), "--task", task, "--workers", "1"]) == 0
    again = {record.key: record.metric for record in store.records(store.runs()[-1].id)}
    assert again == {record.key: record.metric for record in store.records(run.id)}


def test_a_push_is_private_tagged_and_not_repeated(
    run: Run, server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["push", run.id, "--to", "me/sql"]
    assert main(line) == 0
    first = capsys.readouterr().out
    assert first == (
        f"{server.url}/datasets/me/sql-records  v1  private  pushed\n"
        f"{server.url}/me/sql  v1  private  pushed\n"
    )
    model, records = server.repos["model", "me/sql"], server.repos["dataset", "me/sql-records"]
    assert model.private and records.private
    source = Path(run.model)
    assert model.files["model.safetensors"] == (source / "model.safetensors").read_bytes()
    assert records.files["records.parquet"] == (store.folder(run.id) / "records.parquet").read_bytes()
    assert not model.files.keys() & set(KEPT_AT_HOME)
    uploads = len(server.uploads)
    assert main(line) == 0
    assert capsys.readouterr().out == first.replace("pushed", "already there, equal")
    assert len(server.uploads) == uploads and len(model.commits) == 1 and model.tags.keys() == {"v1"}
    model.files["README.md"] = b"older\n"
    model.files["adapter_model.safetensors"] = b"of an older push"
    model.files["picture.png"] = b"mine"
    assert main([*line, "--public"]) == 0
    assert f"{server.url}/me/sql  v2  public  pushed" in capsys.readouterr().out
    assert not model.private and model.tags.keys() == {"v1", "v2"}
    assert "adapter_model.safetensors" not in model.files and model.files["picture.png"] == b"mine"


def test_an_interrupted_push_continues(run: Run, server: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["push", run.id, "--to", "me/sql"]
    server.broken_uploads = 1
    assert main(line) == 2
    (error,) = [text for text in capsys.readouterr().err.splitlines() if text.startswith("harness push")]
    assert "run the same command again" in error
    done = list(server.uploads)
    assert done and server.repos["model", "me/sql"].commits == []
    server.broken_tags = 1
    assert main(line) == 2
    assert main(line) == 0
    assert server.repos["model", "me/sql"].tags.keys() == {"v1"}
    assert len(server.uploads) == len(set(server.uploads)), "no object is uploaded twice"
    assert server.uploads[: len(done)] == done and len(server.uploads) > len(done)


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("no token", "the Hub needs a token: set HF_TOKEN"),
        ("bad token", "the Hub refused the token"),
        ("read only", "the token may not write to me/sql-records"),
        ("other owner", "the token may not write to you/sql-records"),
        ("taken", "the name me/sql-records is taken: choose another --to"),
        ("foreign", "the dataset me/sql-records exists and was not pushed by harness: choose another --to"),
        ("down", "cannot be reached"),
        ("bad name", "--to me: write it as ORG/NAME"),
        ("worse name", "--to me/a--b"),
    ],
)
def test_an_error_of_the_hub_is_one_line(
    case: str,
    says: str,
    run: Run,
    server: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    to = {"other owner": "you/sql", "bad name": "me", "worse name": "me/a--b"}.get(case, "me/sql")
    if case == "no token":
        monkeypatch.delenv("HF_TOKEN")
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    elif case == "bad token":
        monkeypatch.setenv("HF_TOKEN", "hf_wrong_123456789")
    elif case == "read only":
        server.readers.add("hf_reader_123456789")
        monkeypatch.setenv("HF_TOKEN", "hf_reader_123456789")
    elif case == "taken":
        server.taken.add("me/sql-records")
    elif case == "foreign":
        from servers.hub import Repo

        server.repos["dataset", "me/sql-records"] = Repo(True, {"README.md": b"mine", "data.csv": b"1"})
    elif case == "down":
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", "http://127.0.0.1:9")
    assert main(["push", run.id, "--to", to]) == 2
    (error,) = capsys.readouterr().err.splitlines()
    assert says in error and "hf_" not in error
    assert all(repo.commits == [] for repo in server.repos.values())


def test_the_endpoint_of_the_environment_is_used(run: Run, server: Hub) -> None:
    """In a process of its own, as a user starts it."""
    settings = {"HF_ENDPOINT": server.url, "HF_HUB_DISABLE_XET": "1"}
    command = [sys.executable, "-m", "harness.cli", "push", run.id, "--to", "me/sql", "--no-records"]
    done = subprocess.run(command, env={**os.environ, **settings}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{server.url}/me/sql  v1  private  pushed\n"
    assert server.repos.keys() == {("model", "me/sql")}
    assert not any(name.startswith(".eval_results") for name in server.repos["model", "me/sql"].files)


def test_only_records_are_pushed_of_answers_without_a_model(
    folder: Path, run: Run, server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = published_runs.scored(folder, str(folder / "task.yaml"))
    assert main(["push", stored.id, "--to", "me/sql"]) == 0
    assert "has no folder: only the records are pushed" in capsys.readouterr().err
    assert server.repos.keys() == {("dataset", "me/sql-records")}
    assert main(["push", stored.id, "--to", "me/sql", "--no-records"]) == 2


@pytest.fixture
def copied(run: Run) -> Iterator[Path]:
    """The model's folder, which is restored after the test."""
    model = Path(run.model)
    shutil.copytree(model, model.with_name("kept"), symlinks=True)
    yield model
    shutil.rmtree(model, ignore_errors=True)
    model.with_name("kept").rename(model)


def test_a_link_that_leaves_the_folder_is_refused(
    run: Run, copied: Path, tmp_path: Path, server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = tmp_path / "config.json"
    shutil.move(copied / "config.json", outside)
    for target in (outside, copied / ".env"):
        (copied / "config.json").unlink(missing_ok=True)
        (copied / "config.json").symlink_to(target)
        assert main(["push", run.id, "--to", "me/sql"]) == 2
        assert server.repos == {}
    assert "config.json is a link out of the model's files" in capsys.readouterr().err.splitlines()[0]


def test_a_model_that_has_changed_is_refused(
    run: Run, copied: Path, server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    (copied / "generation_config.json").write_text("{}")
    assert main(["push", run.id, "--to", "me/sql"]) == 2
    assert f"has changed since the run {run.id}: evaluate it again" in capsys.readouterr().err
    shutil.rmtree(copied)
    assert main(["push", run.id, "--to", "me/sql"]) == 2
    assert "is not here" in capsys.readouterr().err
    assert server.repos == {}


@pytest.mark.parametrize("name", KEPT_AT_HOME)
def test_what_is_not_listed_is_not_allowed(name: str) -> None:
    assert not is_allowed(name)


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("<script>alert(1)</script>", r"&lt;script&gt;alert\(1\)&lt;/script&gt;"),
        ("a | b\n\n# c", r"a \| b \# c"),
        ("[x](javascript:y)", r"\[x\]\(javascript:y\)"),
        ("\x1b[31m\u202ered", r"\[31m red"),
        ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
    ],
)
def test_text_in_a_card_is_neither_markdown_nor_html(text: str, escaped: str) -> None:
    assert plain(text) == escaped
