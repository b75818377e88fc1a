"""Harbor tasks: read by Harbor's own loader, their scripts run, and rewards equal to the grader's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import answer_table
import clinic
import pytest
from answer_table import EMPTY, GOLD, write_golds

from harness.adapters import harbor_verifier
from harness.cli import main
from rewards.grader import Grader
from tasks.task import Task

LOADER = """
import json, sys, typing, typing_extensions
from pathlib import Path
if not hasattr(typing, "override"):  # harbor asks for Python 3.12, and lacks only this on 3.11
    typing.override = typing_extensions.override
from harbor.models.task.task import Task
from harbor.models.task.verifier_mode import resolve_verifier_environment_definition

read = []
for folder in sorted(Path(sys.argv[1]).iterdir()):
    task = Task(folder)
    image = resolve_verifier_environment_definition(task.config, task.paths)
    read.append({
        "name": task.name,
        "valid": Task.is_valid_dir(folder),
        "instruction": task.instruction,
        "artifacts": task.config.artifacts,
        "verifier": str(image.directory.relative_to(folder)),
        "brings its tests": image.bundled_tests,
        "solved by": task.paths.discovered_solve_path.name,
        "metadata": task.config.metadata,
    })
print(json.dumps(read))
"""


SERVER = ["--set", "databases.path=''", "--set", "databases.url=postgresql://u@h/{database}"]


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    (tmp_path / "task").mkdir()
    return answer_table.write_task(tmp_path / "task")


@pytest.fixture
def folder(task: Path, tmp_path: Path) -> Path:
    """The exported task of the first question."""
    exported(task, tmp_path / "out")
    return tmp_path / "out" / "people-00000"


def exported(task: Path | str, out: Path, *more: str) -> Path:
    assert main(["export", "harbor", "--task", str(task), "--out", str(out), *more]) == 0
    return out


def run_script(script: Path, place: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A script as in a container, with the paths of the container in a folder."""
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(place / "root")}
    paths = {"TESTS": str(script.parent), "ANSWER": str(place / "answer.sql"), "LOGS": str(place / "logs")}
    return subprocess.run([script], env=env | paths | more, cwd=place, capture_output=True, text=True)


def rewarded(place: Path) -> dict[str, float]:
    values: dict[str, float] = json.loads((place / "logs" / "reward.json").read_text())
    return values


def test_harbors_own_loader_reads_the_tasks(task: Path, tmp_path: Path) -> None:
    pytest.importorskip("harbor")
    out = exported(task, tmp_path / "out")
    done = subprocess.run([sys.executable, "-c", LOADER, str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    read = json.loads(done.stdout)
    loaded = Task.named(str(task))
    assert [one["name"] for one in read] == ["harness/people-00000", "harness/people-00001"]
    for one, sample in zip(read, loaded.samples()[:2], strict=True):  # the third gold fails
        prompt = "\n\n".join(message["content"] for message in loaded.messages(sample))
        assert one["valid"] and one["instruction"].startswith(prompt)
        assert "`/app/answer.sql`" in one["instruction"] and "`/app/database.sqlite`" in one["instruction"]
        assert (one["verifier"], one["brings its tests"], one["solved by"]) == ("tests", True, "solve.sh")
        assert one["artifacts"] == ["/app/answer.sql"]
        assert (one["metadata"]["id"], one["metadata"]["split"]) == (sample.id, "dev")


def test_the_solution_gets_one_and_nothing_else_is_written(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "container"
    place.mkdir()
    before = sorted(folder.rglob("*"))
    assert run_script(folder / "solution" / "solve.sh", place).returncode == 0
    done = run_script(folder / "tests" / "test.sh", place)
    assert done.returncode == 0, done.stderr
    assert rewarded(place) == {"reward": 1.0, "execution_accuracy": 1.0, "strict": 1.0, "bird": 1.0}
    written = {str(path.relative_to(place)) for path in place.rglob("*")}
    assert written == {"answer.sql", "logs", "logs/reward.json"}
    assert sorted(folder.rglob("*")) == before


def test_modules_that_an_agent_left_are_not_imported(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "container"
    for package in ("harness", "json"):
        (place / package).mkdir(parents=True)
        (place / package / "__init__.py").write_text("raise SystemExit(0)")
    (place / "answer.sql").write_text("SELECT 1")
    done = run_script(folder / "tests" / "test.sh", place, PYTHONPATH=str(place))
    assert done.returncode == 0 and rewarded(place)["execution_accuracy"] == 0.0, done.stderr


def scored(folder: Path, place: Path) -> dict[str, float] | None:
    """What the verifier writes for ``place/answer.sql``; None where it writes nothing."""
    logs = place / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    status = harbor_verifier.main(str(folder / "tests"), str(place / "answer.sql"), str(logs))
    assert status == (0 if logs.exists() else 1)
    return rewarded(place) if logs.exists() else None


def test_every_answer_gets_the_graders_reward(task: Path, folder: Path, tmp_path: Path) -> None:
    expected = answer_table.graded(task)
    for text, grade in list(zip(answer_table.ANSWERS, expected, strict=True))[::2]:
        (tmp_path / "answer.sql").write_text(text)
        values = scored(folder, tmp_path)
        assert values == {
            "reward": grade.scores["reward"].value,
            "execution_accuracy": grade.attempt.verdicts["strict"],
            **grade.attempt.verdicts,
        }, text[:80]


@pytest.mark.parametrize(("split", "golds"), [("dev", [GOLD, EMPTY]), ("train", [GOLD])])
def test_a_gold_without_rows_is_evaluated_and_not_trained_on(
    task: Path, tmp_path: Path, split: str, golds: list[str]
) -> None:
    write_golds(task, [GOLD, EMPTY])
    made = sorted(exported(task, tmp_path / "out", "--split", split).iterdir())
    for folder, gold in zip(made, golds, strict=True):
        (tmp_path / "answer.sql").write_text(gold)
        values = scored(folder, tmp_path)
        assert values and values["reward"] == 1.0


def test_what_is_no_plain_file_of_text_is_no_answer(folder: Path, tmp_path: Path) -> None:
    """A link to the question's file would give the gold; a pipe would never end."""
    answer = tmp_path / "answer.sql"
    gold = folder / "solution" / "answer.sql"
    kinds = {
        "none": lambda: None,
        "link": lambda: answer.symlink_to(folder / "tests" / "question.json"),
        "link to a right answer": lambda: answer.symlink_to(gold),
        "pipe": lambda: os.mkfifo(answer),
        "folder": lambda: answer.mkdir(),
        "large": lambda: answer.write_text(answer_table.GOLD + " " * 2**20),
        "bytes": lambda: answer.write_bytes(b"\xff\xfe" + answer_table.GOLD.encode("utf-16-le")),
    }
    for kind, make in kinds.items():
        make()
        values = scored(folder, tmp_path)
        assert values and values["execution_accuracy"] == 0.0, kind
        if answer.is_dir():
            answer.rmdir()
        answer.unlink(missing_ok=True)


def test_an_unscored_answer_gets_no_reward(folder: Path, tmp_path: Path) -> None:
    (folder / "tests" / "0.sqlite").unlink()
    (tmp_path / "answer.sql").write_text(answer_table.GOLD)
    assert scored(folder, tmp_path) is None


def test_the_agents_image_has_the_database_and_no_gold(task: Path, tmp_path: Path) -> None:
    out = exported(task, tmp_path / "out")
    for folder in out.iterdir():
        assert {file.name for file in (folder / "environment").iterdir()} == {"Dockerfile", "database.sqlite"}
        seen = [*(folder / "environment").iterdir(), folder / "instruction.md", folder / "task.toml"]
        golds = [gold.encode() for _, gold in answer_table.ROWS]
        assert not any(gold in file.read_bytes() for file in seen for gold in golds)
        assert not any("harness" in line for line in (folder / "environment" / "Dockerfile").open())
    files = [*out.rglob("*.sqlite"), *out.rglob("*.whl")]
    assert len({file.stat().st_ino for file in files}) == 2  # one database and one wheel, linked


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_private_data_is_in_no_file(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    database = clinic.build(engine, tmp_path / "db")  # type: ignore[arg-type]
    rows = [{"question": "Names?", "query": "SELECT name FROM person", "db_id": "clinic"}]
    (tmp_path / "dev.json").write_text(json.dumps(rows))
    (tmp_path / "task.yaml").write_text(
        f"name: clinic\ndataset: {{path: '{tmp_path}/dev.json', splits: {{dev: dev}}}}\n"
        f"databases: {{engine: {engine}, path: '{database.instances[0]}'}}\n"
        f"private: {list(clinic.PRIVATE)}\n"
    )
    out = exported(tmp_path / "task.yaml", tmp_path / "out")
    for file in out.rglob("*"):
        assert not file.is_file() or clinic.SECRET.encode() not in file.read_bytes(), file
        assert not file.is_file() or str(tmp_path / "db").encode() not in file.read_bytes(), file
    folder = out / "clinic-00000"
    loaded = Task.named(str(tmp_path / "task.yaml"))
    texts = ["SELECT name FROM person", "SELECT ssn FROM person", "SELECT * FROM person"]
    with Grader(loaded.spec.scoring, workers=1) as grader:
        grades = grader.grade(loaded, loaded.samples() * 3, texts)
    assert [grade.attempt.reason.value for grade in grades] == ["correct", "private_data", "private_data"]
    for text, grade in zip(texts, grades, strict=True):
        (tmp_path / "answer.sql").write_text(text)
        values = scored(folder, tmp_path)
        assert values and values["reward"] == grade.scores["reward"].value


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ([], "harbor: name the folder to write with --out DIR"),
        (["--out", "{file}"], "is a file: name a new folder"),
        (["--out", "{folder}"], "is a folder that is not empty: name a new one"),
        (["--out", "{new}", "--split", "tset"], "tset"),
        (["--out", "{new}", "--limit", "0"], "--limit"),
        (["--out", "{file}/below"], "cannot write"),
        (["--out", "{new}", "--set", "prompt.template=completion"], "not a completion prompt"),
        (
            ["--out", "{new}", *SERVER],
            "these are on a postgres server: name files in databases.path",
        ),
        (["--out", "{new}", "--set", "scoring.reward=json:loads", "--trust-task"], "set a preset"),
    ],
)
def test_mistakes_are_one_line(
    more: list[str], says: str, task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "kept").write_text("")
    places = {"{file}": "file", "{folder}": "full", "{new}": "new"}
    for name, place in places.items():
        more = [word.replace(name, str(tmp_path / place)) for word in more]
    line = ["export", "harbor", "--task", str(task), *more]
    try:
        status = main(line)
    except SystemExit as ended:
        status = int(ended.code or 0)
    error = capsys.readouterr().err
    assert status == 2 and says in error and len(error.strip().splitlines()) == 1, error
    assert not (tmp_path / "new").exists() and (tmp_path / "full" / "kept").exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_texts_of_a_dataset_do_not_leave_their_places(tmp_path: Path, task: Path) -> None:
    """Ids, names and golds that would change a path, a script or the TOML file."""
    hostile = "x\"\n[verifier]\nenvironment_mode = 'shared'\n$(touch pwned) ../../\x1b"
    rows = [{"id": hostile, "question": hostile, "query": f"SELECT 1 /* {hostile}\nEOF\n*/", "db_id": "d"}]
    (task.parent / "dev.json").write_text(json.dumps(rows))
    out = exported(task, tmp_path / "out", "--set", "name=a b-c", "--set", "dataset.fields.id=id")
    (folder,) = out.iterdir()
    config = tomllib.loads((folder / "task.toml").read_text())
    assert folder.name == "a-b-c-00000" and config["metadata"]["id"] == hostile
    assert config["verifier"]["environment_mode"] == "separate"
    place = tmp_path / "container"
    place.mkdir()
    assert run_script(folder / "solution" / "solve.sh", place).returncode == 0
    assert (place / "answer.sql").read_text() == rows[0]["query"]
    assert not list(tmp_path.rglob("pwned"))


@pytest.mark.slow
def test_the_script_installs_what_it_needs_where_the_agent_worked(folder: Path, tmp_path: Path) -> None:
    """For programs that grade in the agent's container. The verifier's image is made by the same command."""
    image = (folder / "tests" / "Dockerfile").read_text()
    (wheel,) = (folder / "tests").glob("*.whl")
    assert f"pip install --no-cache-dir -c /opt/harness/constraints.txt /opt/harness/{wheel.name}" in image
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    place = tmp_path / "container"
    place.mkdir()
    shutil.copy(folder / "solution" / "answer.sql", place)
    more = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    more["PATH"] = f"{tmp_path / 'venv' / 'bin'}:/usr/bin:/bin"
    done = run_script(folder / "tests" / "test.sh", place, **more)
    assert done.returncode == 0 and rewarded(place)["reward"] == 1.0, done.stderr
