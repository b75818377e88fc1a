"""A split as Harbor tasks: a folder for each question, in which an agent writes its SQL to a file.

The agent's image has the database, and not this package, which can make the golds of the embedded task. The
verifier's image has the golds, every instance of the database and this package. Harbor runs it apart from the
agent (``environment_mode = "separate"``), so that no agent can change what scores it.
Format: harbor 0.25, ``harbor/models/task/config.py`` and its ``template-task``.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.adapters.golds import scorable
from harness.adapters.options import ExportOptions
from harness.adapters.out import Copies, new_out
from harness.adapters.question_file import Question
from harness.adapters.task_file import ExportedTask
from harness.adapters.toml import toml
from harness.adapters.wheel import pinned, write_wheel
from harness.render.progress import bar
from tasks.common.errors import SpecError
from tasks.databases.state import CONTENTS, file_of
from tasks.spec import TaskSpec
from tasks.task import Task
from tasks.types import Engine, Sample

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
ANSWER = "/app/answer.sql"
"""The file in which an agent leaves its answer."""
SETTINGS = """\
schema_version = "1.4"
artifacts = [{answer}]

[task]
name = {name}

[metadata]
id = {id}
task = {task}
split = {split}
database = {database}
difficulty = {difficulty}
digest = {digest}

[agent]
timeout_sec = 900.0

[verifier]
timeout_sec = {seconds}
environment_mode = "separate"

[environment]
build_timeout_sec = 1200.0
"""
AGENT_IMAGE = """\
FROM python:{python}-slim
RUN {tools}
WORKDIR /app
{copy}"""
TOOLS: Mapping[Engine, str] = {
    "sqlite": "apt-get update && apt-get install -y --no-install-recommends sqlite3"
    " && rm -rf /var/lib/apt/lists/*",
    "duckdb": f"pip install --no-cache-dir duckdb=={version('duckdb')}",
}
"""What an agent needs to ask the database."""
VERIFIER_IMAGE = """\
FROM python:{python}-slim
COPY {wheel} constraints.txt /opt/harness/
RUN pip install --no-cache-dir -c /opt/harness/constraints.txt /opt/harness/{wheel}
WORKDIR /app
COPY . /tests/
"""
"""The first three layers are equal for all questions, so that Docker builds them once."""
TEST = """\
#!/bin/bash
# Scores the answer. Where it cannot be scored, no reward is written and Harbor reports an error.
tests=${TESTS:-/tests}
if ! python3 -I -c "import harness" 2>/dev/null; then  # not in the verifier's image, but in the agent's
    pip install --quiet --no-cache-dir -c "$tests/constraints.txt" "$tests"/*.whl || exit 1
fi
exec python3 -I -m harness.adapters.harbor_verifier \\
    "$tests" "${ANSWER:-/app/answer.sql}" "${LOGS:-/logs/verifier}"
"""
SOLVE = """\
#!/bin/bash
cp "$(dirname "$0")/answer.sql" "${ANSWER:-/app/answer.sql}"
"""


class HarborTasks:
    """Writes the questions of one split as Harbor tasks into a new folder."""

    def __init__(self, exported: ExportedTask, folder: Path, package: Path) -> None:
        self._exported = exported
        self._task = exported.task
        self._folder = folder
        self._package = package
        """The folder with the wheel and its constraints, which the verifier's image installs."""
        self._copies = Copies()

    def write(self, number: int, sample: Sample) -> None:
        """Write the question at this place of the split. Raises DataError, SpecError, OSError."""
        name = f"{_slug(self._task.name)}-{number:05d}"
        folder = self._folder / name
        folder.mkdir()
        (folder / "task.toml").write_text(self._settings(name, sample), encoding="utf-8")
        (folder / "instruction.md").write_text(self._instruction(sample), "utf-8", "replace")
        self._write_environment(folder / "environment", sample)
        self._write_tests(folder / "tests", sample)
        if self._task.spec.dataset.gives_sql:
            solution = folder / "solution"
            solution.mkdir()
            (solution / "answer.sql").write_text(sample.gold[0], "utf-8", "replace")
            _write_script(solution / "solve.sh", SOLVE)

    def _settings(self, name: str, sample: Sample) -> str:
        scoring = self._task.spec.scoring
        values = {
            "answer": ANSWER,
            "name": f"harness/{name}",
            "id": sample.id,
            "task": self._task.name,
            "split": self._exported.split,
            "database": sample.database,
            "difficulty": sample.difficulty,
            "digest": self._exported.digest,
            "seconds": 600.0 + 2 * scoring.seconds * scoring.instances,
        }
        return SETTINGS.format(**{key: toml(value) for key, value in values.items()})

    def _instruction(self, sample: Sample) -> str:
        """The messages that an evaluation sends, and where the answer goes."""
        database = self._task.prompt_database(sample)
        texts = [message["content"] for message in self._task.messages(sample)]
        where = f" The database is `/app/database.{database.engine}`." if database.instances else ""
        return "\n\n".join([*texts, f"Write your answer, one SQL query, to the file `{ANSWER}`.{where}\n"])

    def _write_environment(self, folder: Path, sample: Sample) -> None:
        """The agent's image: the database that prompts describe, without golds and private data."""
        database = self._task.prompt_database(sample)
        folder.mkdir()
        if database.instances:
            file = folder / f"database.{database.engine}"
            self._copies.add_database(file_of(database, 0), database.engine, file)
        names = " ".join(sorted(file.name for file in folder.iterdir()))
        copy = f"COPY {names} /app/\n" if names else ""
        image = AGENT_IMAGE.format(python=PYTHON, tools=TOOLS[database.engine], copy=copy)
        (folder / "Dockerfile").write_text(image, encoding="utf-8")

    def _write_tests(self, folder: Path, sample: Sample) -> None:
        """The verifier's image: the golds, the instances of the database and the script that scores."""
        database = self._task.database(sample)
        scoring, training = self._task.spec.scoring, self._exported.is_training
        Question(sample.id, sample.gold, database, scoring, training).write(folder, self._copies)
        for file in sorted(self._package.iterdir()):
            self._copies.add(file, folder / file.name)
        (wheel,) = self._package.glob("*.whl")
        image = VERIFIER_IMAGE.format(python=PYTHON, wheel=wheel.name)
        (folder / "Dockerfile").write_text(image, encoding="utf-8")
        _write_script(folder / "test.sh", TEST)


def export(options: ExportOptions) -> str:
    """Write the tasks; the command that runs them. Raises SpecError, DataError."""
    task = Task.named(options.task, options.overrides, options.trust)
    _expect_self_contained(task.spec)
    with new_out("harbor", options.out) as folder, TemporaryDirectory() as package:
        exported = ExportedTask(task, options.split)
        asked = exported.samples[: options.limit or None]
        samples = set(scorable(exported, asked))
        write_wheel(Path(package))
        Path(package, "constraints.txt").write_text("\n".join(pinned()) + "\n", encoding="utf-8")
        tasks = HarborTasks(exported, folder, Path(package))
        with bar("Harbor tasks", len(samples)) as report:
            for number, sample in enumerate(asked):
                if sample in samples:
                    tasks.write(number, sample)
                    report(1)
    return f"harbor run --path {shlex.quote(options.out)} --agent oracle\n"


def _expect_self_contained(spec: TaskSpec) -> None:
    """Raise SpecError where a container could not ask or score the task's questions."""
    if spec.prompt.is_completion:
        raise SpecError(f"{spec.name}: Harbor gives an agent instructions, not a completion prompt")
    if spec.databases.runs_on in CONTENTS:
        raise SpecError(
            f"{spec.name}: Harbor's tasks hold the files of their databases, and these are on a"
            f" {spec.databases.runs_on} server: name files in databases.path"
        )
    if ":" in spec.scoring.reward:
        raise SpecError(
            f"{spec.name}: scoring.reward runs code that the verifier's image lacks: set a preset, such as"
            " --set scoring.reward=gated"
        )


def _slug(name: str) -> str:
    """A task's name as part of a folder's and of Harbor's name."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-").lower() or "task"


def _write_script(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    file.chmod(0o755)
