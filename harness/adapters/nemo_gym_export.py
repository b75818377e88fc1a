"""A split as a folder for NeMo Gym: its rows, and the resources server that scores answers to them.

Format: nemo-gym 0.7.0, the servers of its wheel and ``nemo_gym/task_data.py``. The folder is one of those in
which ``gym`` searches (``--search-dir``).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from harness.adapters.chat import expect_chat
from harness.adapters.golds import scorable
from harness.adapters.options import ExportOptions
from harness.adapters.out import new_out
from harness.adapters.task_file import ExportedTask
from harness.adapters.wheel import write_wheel
from harness.render.progress import bar
from tasks.task import Task

APP = '''"""The resources server of one task; written by `harness export nemo-gym`."""

from pathlib import Path

from harness.adapters.nemo_gym import SqlResourcesServer


class Server(SqlResourcesServer):
    task_file = Path(__file__).with_name("task.json")


if __name__ == "__main__":
    Server.run_webserver()
'''
TASK_DATA = '''"""What a row has beside the request; written by `harness export nemo-gym`."""

from pydantic import BaseModel, ConfigDict


class TaskData(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str
    database: str
    difficulty: str = ""
'''


def export(options: ExportOptions) -> str:
    """Write the folder; the commands that use it. Raises SpecError, DataError."""
    task = Task.named(options.task, options.overrides, options.trust)
    expect_chat(task.spec, "NeMo Gym")
    name = "harness_" + re.sub(r"[^a-z0-9]+", "_", task.name.lower()).strip("_")
    with new_out("nemo-gym", options.out) as folder:
        exported = ExportedTask(task, options.split)
        server = folder / "resources_servers" / name
        for part in ("configs", "data"):
            (server / part).mkdir(parents=True)
        exported.write(server / "task.json")
        rows = "data/rows.jsonl"
        with (server / rows).open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row) + "\n" for row in _rows(exported, options.limit))
        wheel = Path(options.out).resolve() / "resources_servers" / name / write_wheel(server).name
        (server / "requirements.txt").write_text(
            f"nemo-gym[dev]\nsql-harness @ {wheel.as_uri()}\n", encoding="utf-8"
        )
        (server / "app.py").write_text(APP, encoding="utf-8")
        (server / "task_data.py").write_text(TASK_DATA, encoding="utf-8")
        settings = yaml.safe_dump(_settings(name, exported, rows), sort_keys=False, allow_unicode=True)
        (server / "configs" / f"{name}.yaml").write_text(settings, encoding="utf-8")
    search = f"--search-dir {shlex.quote(options.out)}"
    return (
        f"gym env start {search} --model-type vllm_model --resources-server {name}\n"
        f"gym eval run {search} --no-serve --agent {name}_agent --input resources_servers/{name}/{rows}"
        " --output results/rollouts.jsonl\n"
    )


def _rows(exported: ExportedTask, limit: int) -> Iterator[dict[str, Any]]:
    """The rows of the dataset: the request that asks each question, without its gold."""
    samples = scorable(exported, exported.samples[: limit or None])
    with bar("rows", len(samples)) as report:
        for sample in samples:
            request = {
                "input": [dict(message) for message in exported.task.messages(sample)],
                "max_output_tokens": exported.task.spec.answer.max_new_tokens,
            }
            yield {
                "responses_create_params": request,
                "id": sample.id,
                "database": sample.database,
                "difficulty": sample.difficulty,
            }
            report(1)


def _settings(name: str, exported: ExportedTask, rows: str) -> dict[str, Any]:
    """The configuration: the resources server, and an agent that answers each question once."""
    dataset = {
        "name": exported.split,
        "type": "train" if exported.is_training else "validation",
        "jsonl_fpath": f"resources_servers/{name}/{rows}",
        "license": "TBD",
    }
    server = {
        "entrypoint": "app.py",
        "domain": "coding",
        "verified": False,
        "description": f"Text-to-SQL: {exported.task.name}, scored by execution",
    }
    agent = {
        "entrypoint": "app.py",
        "resources_server": {"type": "resources_servers", "name": f"{name}_resources_server"},
        "model_server": {"type": "responses_api_models", "name": "policy_model"},
        "datasets": [dataset],
    }
    environment = {
        "entrypoint": "app.py",
        "agent_server": {"type": "responses_api_agents", "name": f"{name}_agent"},
    }
    return {
        f"{name}_resources_server": {"resources_servers": {name: server}},
        f"{name}_agent": {"responses_api_agents": {"simple_agent": agent}},
        f"{name}_environment_server": {"environment_servers": {"legacy_agent": environment}},
    }
