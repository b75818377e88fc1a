"""What ``harness push`` must not do: publish by accident, mix versions, or name this machine's folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import published_runs
import pytest
import yaml

pytest.importorskip("huggingface_hub")

from huggingface_hub import constants
from servers.hub import TOKEN, Hub, Repo, hub

from harness.cli import main
from leaderboards import store
from leaderboards.types import Run


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
    """An evaluation of a model in a folder."""
    return published_runs.evaluated(folder)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub() as running:
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        monkeypatch.setattr("huggingface_hub.hf_api.constants.ENDPOINT", running.url)
        yield running


def test_no_file_that_a_link_leads_to_is_pushed(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "netrc"
    mine.write_text("password")
    folder = store.folder(run.id)
    for name in ("scores.json", "records.parquet"):
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        (folder / name).symlink_to(mine)
        if name == "records.parquet":
            mine.write_bytes(content)  # records, but of no run
        out = tmp_path / name
        assert main(["push", run.id, "--to", "me/sql", "--dry-run", str(out)]) == 2 * (name != "scores.json")
        (folder / name).unlink()
        (folder / name).write_bytes(content)
    assert "records.parquet is a link: put the file itself there" in capsys.readouterr().err
    pushed = tmp_path / "scores.json" / "records" / "scores.json"
    assert pushed.read_bytes() == (folder / "scores.json").read_bytes()


@pytest.mark.parametrize(("kind", "name"), [("model", "me/sql"), ("dataset", "me/sql-records")])
def test_nothing_becomes_public_without_the_flag(
    kind: str, name: str, run: Run, server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    server.repos[kind, name] = Repo(private=False)
    assert main(["push", run.id, "--to", "me/sql"]) == 2
    assert f"the {kind} {name} is public: add --public" in capsys.readouterr().err
    assert server.repos.keys() == {(kind, name)} and server.uploads == []
    assert main(["push", run.id, "--to", "me/sql", "--public"]) == 0
    assert main(["push", run.id, "--to", "me/sql"]) == 2


def test_results_of_an_older_push_are_removed(run: Run, server: Hub) -> None:
    line = ["push", run.id, "--to", "me/sql"]
    assert main(line) == 0
    model = server.repos["model", "me/sql"]
    model.files[".eval_results/spider-dev.yaml"] = b"- value: 0.9\n"
    model.files[".eval_results/notes.txt"] = b"mine"
    assert main(line) == 0
    left = {name for name in model.files if name.startswith(".eval_results/")}
    assert left == {".eval_results/numbers-dev.yaml", ".eval_results/notes.txt"}


def test_a_commit_of_somebody_else_during_the_push_is_not_overwritten(
    run: Run, server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["push", run.id, "--to", "me/sql"]
    assert main(line) == 0
    records = server.repos["dataset", "me/sql-records"]
    records.files["README.md"] = b"older"

    def meanwhile() -> None:
        records.sha = "a" * 40

    server.before["commit"] = meanwhile
    assert main(line) == 2
    assert "me/sql-records has changed during the push: run the same command again" in capsys.readouterr().err
    assert records.files["README.md"] == b"older"
    assert main(line) == 0


def test_the_model_of_a_push_is_the_one_that_was_evaluated(
    run: Run, server: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    config = Path(run.model) / "config.json"
    kept = config.read_bytes()

    def meanwhile() -> None:
        config.write_bytes(kept + b"\n")

    server.before["info"] = meanwhile
    try:
        assert main(["push", run.id, "--to", "me/sql"]) == 2
        assert "has changed since the run" in capsys.readouterr().err and server.repos == {}
        config.write_bytes(kept)
        server.before["commit"] = meanwhile
        assert main(["push", run.id, "--to", "me/sql"]) == 0
    finally:
        config.write_bytes(kept)
    assert server.repos["model", "me/sql"].files["config.json"] == kept


def test_the_model_names_the_revision_of_its_records(run: Run, server: Hub) -> None:
    assert main(["push", run.id, "--to", "me/sql"]) == 0
    server.repos["dataset", "me/sql-records"].files["README.md"] = b"older"
    assert main(["push", run.id, "--to", "me/sql"]) == 0
    model = server.repos["model", "me/sql"].files
    (result,) = yaml.safe_load(model[".eval_results/numbers-dev.yaml"])
    assert result["source"]["url"] == f"{server.url}/datasets/me/sql-records/tree/v2"
    assert result["dataset"]["revision"] == "v2"
    assert "the dataset `me/sql-records`, revision v2." in model["README.md"].decode()
