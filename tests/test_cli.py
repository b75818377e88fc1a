"""The command line as a user meets it: exit codes, one clear line for a mistake, JSON beside every table."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.cli import main
from runners.open import PREFIXES
from tasks.spec import shipped

Capture = pytest.CaptureFixture[str]


def run(*arguments: str) -> int:
    """The exit code of a command line, also where argparse leaves by SystemExit."""
    try:
        return main(arguments)
    except SystemExit as left:
        return int(left.code or 0)


@pytest.fixture(autouse=True)
def _at_home(home: Path) -> None:
    """Every test has a HARNESS_HOME of its own."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place with things that are not what they should be."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.yaml").write_text("name: [")
    (tmp_path / "typo.yaml").write_text("name: x\ndataset: {path: x.json, splits: {dev: x}}\nscorng: {}\n")
    (tmp_path / "none.json").write_text("[]")
    (tmp_path / "none.yaml").write_text(
        f"name: x\ndataset: {{path: {tmp_path}/none.json, splits: {{dev: x}}}}\n"
    )
    (tmp_path / "nogold.json").write_text('[{"question": "q", "query": "", "db_id": "d"}]')
    (tmp_path / "nogold.yaml").write_text(
        f"name: x\ndataset: {{path: {tmp_path}/nogold.json, splits: {{dev: x}}}}\n"
    )
    (tmp_path / "d.sqlite").write_bytes(b"this is no database" * 99)
    (tmp_path / "corrupt.json").write_text('[{"question": "q", "query": "SELECT 1", "db_id": "d"}]')
    (tmp_path / "corrupt.yaml").write_text(
        f"name: x\ndataset: {{path: {tmp_path}/corrupt.json, splits: {{dev: x}}}}\n"
        f"databases: {{path: '{tmp_path}/{{database}}.sqlite'}}\n"
    )
    (tmp_path / "short.sql").write_text("SELECT 1\nSELECT 2\n")
    return tmp_path


MISTAKES = [
    ("eval --model gold --task spidr", "did you mean 'spider'?"),
    ("eval --model nan --task pocket", "did you mean 'nano'?"),
    ("eval --model gold --task pocket --task spider", "--task is given twice: give it once"),
    ("score x.sql --task pocket --limit 3 --limit 4", "--limit is given twice: give it once"),
    ("eval --model rplay:x --task pocket", "replay"),
    ("eval --model {}/empty --task pocket", "config.json"),
    ("eval --model gold --task pocket --split tst", "did you mean 'test'?"),
    ("eval --model gold --task pocket --set scoring.secnds=1", "did you mean 'seconds'?"),
    ("eval --model gold --task pocket --set scoring.reward=gatd", "did you mean 'gated'?"),
    ("eval --model gold --task pocket --set scoring", "key.path=value"),
    ("eval --model gold --task pocket --set train.epochs=1", "pocket with overrides: unknown key 'train'"),
    ("eval --model gold --task pocket --set 'databases.path=\"\"'", "databases.path is not set"),
    ("eval --model gold --task {}/broken.yaml", "not YAML"),
    ("eval --model gold --task {}/typo.yaml", "did you mean 'scoring'?"),
    ("eval --model gold --task {}/none.yaml", "empty"),
    ("eval --model gold --task {}/nogold.yaml", "row 0 lacks its gold"),
    ("eval --model gold --task {}/corrupt.yaml", "d.sqlite"),
    ("eval --model replay:{}/missing.sql --task pocket", "missing.sql"),
    ("eval --model replay:{}/short.sql --task pocket", "has 2 lines, the dataset has 1200 rows"),
    ("eval --model gold --task pocket --limit 0", "not a positive number"),
    ("eval --model gold --task pocket --limit x", "'x' is not a positive number"),
    ("eval --task pocket", "--model"),
    ("eval --model gold --task pocket --temperature 0,-1", "--temperature"),
    ("eval --model gold --task pocket --top-p 0", "--top-p"),
    ("eval --model gold --task pocket --set runner.hf.dtyp=1", "did you mean 'dtype'?"),
    ("train --task pocket --method sft --model nano --out {}/o --set train.lerning_rate=1", "learning_rate"),
    ("train --task pocket --method ppo --model nano --out {}/o", "ppo"),
    ("train --task pocket --method grpo --model nano --out {}/o --set train.group_size=1", "group_size"),
    ("check nosuch", "no task 'nosuch'"),
    ("compare a b", "no finished evaluation 'a'"),
    ("compare", "required: A, B (see"),
    ("runs tag", "required: RUN (see"),
    ("board --port 1", "--port is an option of --serve"),
    ("board --serve --tables 3", "--tables is an option of --html"),
    ("board --newest 3", "--newest is an option of --html or --serve"),
    ("board --html {}/x.html --csv", "leave out the options of the table"),
    ("show a 1", "no finished evaluation 'a'"),
    ("boord", "did you mean 'board'?"),
    ("", "VERB"),
    ("--jsn", "--jsn"),
    ("eval --model gold --task pocket --samples 0", "'0' is not a positive number"),
    ("eval --model gold --task pocket --seed -1", "'-1' is not a whole number"),
    ("eval --model gold --task pocket --workers many", "'many' is not a positive number"),
    ("eval --model gold --task pocket --set databases.path=/{{databse}}.sqlite", "did you mean 'database'?"),
    ("eval --model gold --task pocket --set name=../x", "must not be empty or a path"),
    ("eval --model gold --task pocket --set 'name=\"\"'", "must not be empty or a path"),
    ("train --task pocket --method spft --model nano --out {}/o", "did you mean 'sft'?"),
    ("train --task pocket --method sft --model nano --out {}/o --only databse=x", "did you mean 'database'?"),
    ("train --task pocket --method sft --model nano --out {}/o --only database=x,y", "--only database=x,y"),
    ("train --tsk pocket --method sft --model nano --out {}/o", "did you mean '--task'?"),
    ("train --task pocket --method sft --model nano --limit 9 --out {}/typo.yaml", "typo.yaml"),
    ("sample --model gold --task pocket --out {}/x --keep corect", "did you mean 'correct'?"),
    ("sample --model gold --task pocket --out {}/x --temperature 0", "'0' is not a number above 0"),
    ("sample --model gold --task pocket --out {}/typo.yaml", "choose another file"),
    ("train --task pocket --method sft --model nano --out=", "argument --out: it is empty"),
    ("eval --model gold --task pocket --out=", "argument --out: it is empty"),
    ("score {}/missing.sql --task pocket", "missing.sql"),
    ("score {}/short.sql --task nosuch", "no task 'nosuch'"),
    ("score {}/short.sql --task pocket --limit -3", "'-3' is not a positive number"),
    ("check pocket --split tst", "did you mean 'test'?"),
    ("check pocket --tokenizer {}/empty", "config.json"),
    ("export lmeval --task pocket", "did you mean 'lm-eval'?"),
    ("export lm-eval --task pocket --split tst --out {}/x", "did you mean 'test'?"),
    ("export prime-rl --task nosuch", "no task 'nosuch'"),
    ("board --task spidr", "did you mean 'spider'?"),
    ("board --json x", "unexpected argument"),
    ("board --reason-s", "did you mean '--reasons'?"),
    ("compare a", "required: B"),
    ("compare a b c", "no finished evaluation 'a'"),
    ("compare a b --fail-if 'B = A'", "--fail-if 'B = A': write 'B < A'"),
    ("compare a b --fail-if 'C < A'", "there is no run C: the runs are A, B"),
    ("compare a b --fail-if 'A < A'", "name two different runs"),
    ("compare a b --fail-if ''", "--fail-if"),
    ("show a", "required: QUESTION"),
    ("show a 1 --jsno", "did you mean '--json'?"),
    ("tasks nope", "no task 'nope'"),
    ("tasks --jsn", "--json"),
    ("tasks --json=1", "--json"),
    ("demo --seed x", "'x' is not a whole number"),
    ("demo --sed 1", "did you mean '--seed'?"),
    ("demo now", "unexpected argument: now"),
    ("eval --model gold --tsk pocket", "--tsk"),
]


@pytest.mark.parametrize(("line", "says"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(line: str, says: str, folder: Path, capsys: Capture) -> None:
    assert run(*shlex.split(line.format(*[folder] * line.count("{}")))) == 2
    captured = capsys.readouterr()
    last = captured.err.strip().split("\n")[-1]
    assert says in last
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_tasks_lists_what_is_shipped(capsys: Capture) -> None:
    assert run("tasks", "--json") == 0
    assert list(json.loads(capsys.readouterr().out)) == shipped()


def test_gold_scores_one_and_empty_scores_zero(capsys: Capture) -> None:
    command = ("eval", "--task", "pocket", "--limit", "60", "--json", "--model")
    assert run(*command, "gold", "--model", "empty") == 0
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    assert {row["model"]: row["ex"] for row in group["rows"]} == {"gold": 1.0, "empty": 0.0}


def test_a_model_that_ends_in_a_bug_does_not_end_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setitem(PREFIXES, "bug", lambda rest, config: 1 / 0)
    models = ("--model", "gold", "--model", "bug:x", "--model", "nowhere", "--model", "empty")
    assert run("eval", *models, "--task", "pocket", "--limit", "5", "--json") == 1
    captured = capsys.readouterr()
    (group,) = json.loads(captured.out)["groups"]
    assert [(row["model"], row["ex"]) for row in group["rows"]] == [("gold", 1.0), ("empty", 0.0)]
    assert "harness eval: bug:x: division by zero" in captured.err and "Traceback" in captured.err
    assert "harness eval: nowhere: no model 'nowhere'" in captured.err
    with pytest.raises(ZeroDivisionError):
        run("eval", "--model", "bug:x", "--task", "pocket")


def test_several_greedy_answers_are_pointed_out(capsys: Capture) -> None:
    line = ("eval", "--model", "empty", "--task", "pocket", "--limit", "2", "--samples", "4")
    assert run(*line) == 0
    assert "temperature 0 draws one answer 4 times: set --temperature" in capsys.readouterr().err
    assert run(*line, "--temperature", "1") == 0
    assert "temperature 0" not in capsys.readouterr().err


def test_the_evidence_of_an_answer_can_be_read(capsys: Capture) -> None:
    run("eval", "--task", "pocket", "--limit", "5", "--model", "empty", "--json")
    (group,) = json.loads(capsys.readouterr().out)["groups"]
    run_id = group["rows"][0]["run"]
    from leaderboards import store

    sample = store.records(run_id)[0].sample_id
    assert run("show", run_id, sample, "--json") == 0
    (record,) = json.loads(capsys.readouterr().out)["records"]
    assert (record["reason"], record["metric"]) == ("no_sql", 0.0)
    assert run("show", run_id, "nosuch") == 2


def test_board_and_compare_read_what_eval_wrote(capsys: Capture) -> None:
    run("eval", "--task", "pocket", "--limit", "40", "--model", "gold", "--model", "empty")
    capsys.readouterr()
    assert run("board", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["groups"][0]["rows"]) == 2
    assert run("compare", "empty", "gold", "--json") == 0
    paired = json.loads(capsys.readouterr().out)
    assert (paired["wins"], paired["losses"], paired["n"]) == (40, 0, 40)
    assert paired["p"] < 1e-9


def test_an_empty_board_says_so(capsys: Capture) -> None:
    assert run("board") == 0
    assert "harness eval" in capsys.readouterr().out


def test_a_finished_evaluation_is_not_run_again(capsys: Capture) -> None:
    command = ("eval", "--task", "pocket", "--limit", "20", "--model", "gold", "--json")
    ids = []
    for extra in ((), (), ("--fresh",)):
        run(*command, *extra)
        (group,) = json.loads(capsys.readouterr().out)["groups"]
        ids.append(group["rows"][0]["run"])
    assert ids[0] == ids[1] != ids[2]


def test_a_killed_evaluation_goes_on_and_ends_the_same(tmp_path: Path, capsys: Capture) -> None:
    command = [sys.executable, "-m", "harness.cli", "eval", "--task", "pocket", "--model", "gold", "--fresh"]
    process = subprocess.Popen(command, env=os.environ | {"COLUMNS": "200"}, stderr=subprocess.DEVNULL)
    partial = _wait_for_partial(tmp_path / "home", process)
    process.kill()
    process.wait()
    kept = partial.read_text().count("\n")
    assert 0 < kept < 1200
    assert run("eval", "--task", "pocket", "--model", "gold", "--json") == 0
    captured = capsys.readouterr()
    (group,) = json.loads(captured.out)["groups"]
    assert (group["rows"][0]["ex"], group["rows"][0]["completions"]) == (1.0, 1200)
    assert partial.parent.name == group["rows"][0]["run"]


def _wait_for_partial(home: Path, process: subprocess.Popen[bytes]) -> Path:
    """The partial records of the one run, once it has some."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        for path in home.glob("runs/*/partial.jsonl"):
            if path.stat().st_size:
                return path
        time.sleep(0.002)
    raise AssertionError("the evaluation ended before it could be killed")


def test_ctrl_c_keeps_what_is_done_and_exits_130(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.cli", "eval", "--task", "pocket", "--model", "gold"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    partial = _wait_for_partial(tmp_path / "home", process)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "what was finished is kept" in error
    assert "Traceback" not in error
    assert partial.stat().st_size


@pytest.mark.parametrize("line", ["--help", "board"])
def test_ctrl_c_while_it_starts_is_one_line(line: str) -> None:
    """At any moment of the start; before Python runs our first line there is nobody to say anything."""
    for milliseconds in range(0, 301, 50):
        command = [sys.executable, "-m", "harness.cli", line]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        time.sleep(milliseconds / 1000)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
        ours = [part for part in error.splitlines() if "harness/" in part or "tasks/" in part]
        assert ours == [], f"{milliseconds} ms: {error}"
        if process.returncode == 130:
            assert error == "harness: stopped; what was finished is kept\n"


def test_a_closed_or_full_output_is_no_traceback() -> None:
    start = f"{sys.executable} -m harness.cli"
    for redirected, code in {
        "tasks >/dev/full": 2,
        "board --json >&-": 0,
        "compare a b 2>&-": 2,
        "--help | true": 0,
    }.items():
        done = subprocess.run(["bash", "-c", f"{start} {redirected}"], capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), (redirected, done.stderr)
        assert "Exception ignored" not in done.stderr


def test_only_one_place_writes_to_stderr() -> None:
    """``tasks.common.terminal.say`` makes control characters visible; no print goes round it."""
    root = Path(__file__).parent.parent
    packages = ("harness", "leaderboards", "rewards", "runners", "tasks")
    files = [path for name in packages for path in (root / name).rglob("*.py")]
    writes = {path.relative_to(root).as_posix() for path in files if "file=sys.stderr" in path.read_text()}
    assert writes == {"tasks/common/terminal.py"}


def test_help_is_quick_and_light() -> None:
    heavy = {"torch", "transformers", "trl", "vllm", "datasets", "duckdb", "pandas"}
    code = (
        "import sys, time, resource\nimport harness.cli\n"
        f"print(sorted({heavy!r} & set(sys.modules)))\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_utime)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    loaded, seconds = out.strip().split("\n")
    assert loaded == "[]"
    assert float(seconds) < 0.3


@pytest.mark.parametrize("content", [b"A=\xff\xfe\n", b"A=\0b\n"])
def test_an_env_file_that_cannot_be_read_is_one_line(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_bytes(content)
    monkeypatch.chdir(tmp_path)
    assert main(["tasks"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("harness: .env: cannot be read") and error.count("\n") == 1


def test_an_env_file_that_is_a_pipe_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / ".env")
    monkeypatch.chdir(tmp_path)
    assert main(["tasks"]) == 2
    assert capsys.readouterr().err == "harness: .env: cannot be read: .env is not a regular file\n"


def test_an_empty_split_is_the_one_that_is_evaluated(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["check", "pocket", "--set", "dataset.eval_split=dev", "--json", "--split", ""]
    assert main(line) == 0
    assert [one["split"] for one in json.loads(capsys.readouterr().out)["splits"]] == ["dev"]
