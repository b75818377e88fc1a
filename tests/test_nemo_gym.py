"""NeMo Gym: the exported folder, and its resources server, which is asked over HTTP."""

from __future__ import annotations

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import answer_table
import contracts_path
import pytest
import yaml
from answer_table import EMPTY, GOLD, write_golds
from fastapi.testclient import TestClient

from harness.cli import main
from tasks.task import Task

contracts_path.use("nemo_gym")


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    (tmp_path / "task").mkdir()
    return answer_table.write_task(tmp_path / "task")


def exported(task: Path, out: Path, *more: str) -> Path:
    """The folder of the resources server."""
    assert main(["export", "nemo-gym", "--task", str(task), "--out", str(out), *more]) == 0
    return out / "resources_servers" / "harness_people"


def rows(server: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (server / "data" / "rows.jsonl").read_text().splitlines()]


def client(server: Path) -> TestClient:
    """The server that ``app.py`` starts, without its process."""
    from nemo_gym.base_resources_server import BaseResourcesServerConfig

    spec = spec_from_file_location("app", server / "app.py")
    assert spec and spec.loader
    app = module_from_spec(spec)
    sys.modules["app"] = app
    spec.loader.exec_module(app)
    config = BaseResourcesServerConfig(host="127.0.0.1", port=0, entrypoint="app.py", name="harness_people")
    made = app.Server.model_construct(config=config, server_client=None)
    return TestClient(made.setup_webserver())


def response(text: str) -> dict[str, Any]:
    """A response of OpenAI's API with a thought and one message."""
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content}
    thought = {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "SELECT 2"}]}
    return {
        "id": "x",
        "created_at": 0,
        "model": "m",
        "object": "response",
        "output": [thought, message],
        "parallel_tool_calls": False,
        "tool_choice": "none",
        "tools": [],
    }


def verified(asked: TestClient, row: dict[str, Any], text: str) -> dict[str, Any]:
    reply = asked.post("/verify", json={**row, "response": response(text)})
    assert reply.status_code == 200, reply.text
    values: dict[str, Any] = reply.json()
    return values


def test_the_rows_ask_what_an_evaluation_asks(task: Path, tmp_path: Path) -> None:
    server = exported(task, tmp_path / "out")
    loaded = Task.named(str(task))
    for row, sample in zip(rows(server), loaded.samples()[:2], strict=True):  # the third gold fails
        assert row["responses_create_params"] == {
            "input": [dict(message) for message in loaded.messages(sample)],
            "max_output_tokens": 256,
        }
        assert (row["id"], row["database"]) == (sample.id, "d")
        assert sample.gold[0] not in json.dumps(row)


def test_every_answer_gets_the_graders_reward(task: Path, tmp_path: Path) -> None:
    server = exported(task, tmp_path / "out")
    asked, row = client(server), rows(server)[0]
    for text, grade in zip(answer_table.ANSWERS, answer_table.graded(task), strict=True):
        values = verified(asked, row, text)
        assert values["reward"] == grade.scores["reward"].value, text[:80]
        assert values["execution_accuracy"] == grade.attempt.verdicts["strict"]
        assert values["reason"] == grade.attempt.reason.value
        assert not values["mask_sample"] and values["failure_kind"] is None


def test_an_unscored_answer_is_masked(task: Path, tmp_path: Path) -> None:
    server = exported(task, tmp_path / "out")
    values = verified(client(server), {**rows(server)[0], "id": "2"}, answer_table.BROKEN)
    assert values["mask_sample"] and values["failure_kind"] == "verifier_error"
    assert values["failure_reason"] == "gold_failed: no such column: gone"
    assert values["execution_accuracy"] is None


@pytest.mark.parametrize(("split", "golds"), [("dev", [GOLD, EMPTY]), ("train", [GOLD])])
def test_a_gold_without_rows_is_evaluated_and_not_trained_on(
    task: Path, tmp_path: Path, split: str, golds: list[str]
) -> None:
    write_golds(task, [GOLD, EMPTY])
    server = exported(task, tmp_path / "out", "--split", split)
    asked, made = client(server), rows(server)
    values = [verified(asked, row, gold) for row, gold in zip(made, golds, strict=True)]
    assert all(one["reward"] == 1.0 and not one["mask_sample"] for one in values)


def test_the_configuration_names_the_server_and_its_files(task: Path, tmp_path: Path) -> None:
    server = exported(task, tmp_path / "out", "--limit", "1", "--split", "train")
    settings = yaml.safe_load((server / "configs" / "harness_people.yaml").read_text())
    resources = settings["harness_people_resources_server"]["resources_servers"]["harness_people"]
    agent = settings["harness_people_agent"]["responses_api_agents"]["simple_agent"]
    (dataset,) = agent["datasets"]
    assert (server / resources["entrypoint"]).is_file() and resources["domain"] == "coding"
    assert agent["resources_server"]["name"] in settings and len(rows(server)) == 1
    assert (tmp_path / "out" / dataset["jsonl_fpath"]).is_file() and dataset["type"] == "train"
    (wheel,) = server.glob("*.whl")
    assert wheel.as_uri() in (server / "requirements.txt").read_text()


def test_what_a_program_does_not_take_is_refused(
    task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["export", "nemo-gym", "--task", str(task), "--set", "prompt.template=completion"]
    assert main([*line, "--out", str(tmp_path / "new")]) == 2
    assert "not by a completion prompt" in capsys.readouterr().err and not (tmp_path / "new").exists()
    assert (
        main(["export", "lm-eval", "--task", str(task), "--limit", "5", "--out", str(tmp_path / "new")]) == 2
    )
    assert "leave out --limit: it reads a whole split" in capsys.readouterr().err
