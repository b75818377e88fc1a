"""The folders of verl and SkyRL: their rows, what they leave out, and what they refuse to replace."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import tiny_models
from answer_table import EMPTY, GOLD, ROWS, write_golds, write_task
from clinic import PRIVATE, SECRET
from clinic import build as build_clinic
from trainer_folder import Exported, exported, rows

from harness.adapters.parquet_folder import Question
from harness.adapters.verl import VerlReward
from harness.cli import main
from tasks.common.errors import DataError

PROGRAMS = ("verl", "skyrl")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The task exported for verl, for tests that only read it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_HOME", str(tmp_path_factory.mktemp("home")))
        return exported("verl", tmp_path_factory.mktemp("club"))


@pytest.mark.parametrize(
    ("program", "columns"),
    [
        ("verl", {"ability": "text-to-sql", "reward_model": {"style": "rule", "ground_truth": GOLD}}),
        ("skyrl", {"env_class": "harness_sql", "reward_spec": {"method": "rule", "ground_truth": GOLD}}),
    ],
)
def test_rows_hold_the_messages_of_an_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], program: str, columns: dict[str, object]
) -> None:
    made = exported(program, tmp_path)
    sample = made.task.samples("dev")[0]
    first, *others = rows(made.folder, "test")
    assert first == {
        "data_source": "people",
        "prompt": list(made.task.messages(sample)),
        **columns,
        "extra_info": {"index": 0, "split": "test", "id": sample.id},
    }
    assert first["prompt"][0] == {"role": "system", "content": "You write SQL."}
    assert ROWS[0][0] in first["prompt"][1]["content"]
    assert len(others) == len(ROWS) - 2, "without the question whose gold fails"
    assert [row["extra_info"]["split"] for row in rows(made.folder, "train")] == ["train"] * 2
    assert "people, dev: 1 of 3 questions left out: the gold fails" in capsys.readouterr().err
    assert any(str(made.folder / "train.parquet") in word for word in made.command)


def test_the_folder_may_move(tmp_path: Path) -> None:
    made = exported("verl", tmp_path, "--limit", "1")
    moved = made.folder.rename(tmp_path / "elsewhere")
    (row,) = rows(moved, "test")
    gold = row["reward_model"]["ground_truth"]
    found = Question.of_row(moved, row["data_source"], row["extra_info"], gold)
    assert found.task.samples == made.task.samples("dev")


@pytest.mark.parametrize(("program", "script"), [("verl", "reward.py"), ("skyrl", "main.py")])
def test_the_script_knows_the_thought_that_a_model_s_template_opens(
    tmp_path: Path, program: str, script: str
) -> None:
    tokenizer = tiny_models.tokenizer()
    tokenizer.chat_template = f"{tiny_models.TEMPLATE}<think>\n"
    tokenizer.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "config.json").write_text(json.dumps({"model_type": "qwen3"}))
    made = exported(program, tmp_path, "--model", str(tmp_path / "model"))
    assert re.search(r"opens.{1,3}\"<think>\"", (made.folder / script).read_text())


def test_a_model_that_is_not_here_has_a_line_on_what_to_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = exported("verl", tmp_path)
    assert 'opens="")' in (made.folder / "reward.py").read_text()
    assert "if its chat template opens a thought, set opens in reward.py" in capsys.readouterr().err


def test_a_prompt_that_no_file_holds_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    task = write_task(tmp_path)
    (tmp_path / "dev.json").write_text(
        json.dumps([{"question": "\ud800?", "query": "SELECT 1", "db_id": "d"}])
    )
    assert main(["export", "verl", "--task", str(task), "--out", str(tmp_path / "out")]) == 2
    assert "people: the prompt of question 0 is not valid Unicode" in capsys.readouterr().err


def test_the_current_folder_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert main(["export", "verl", "--task", str(write_task(tmp_path)), "--out", "."]) == 2
    assert "--out . is the current folder: name a new one" in capsys.readouterr().err


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--out", "{0}/dev.json"], "is a file: name a new folder"),
        (["--out", "{0}"], "is a folder that is not empty: name a new one"),
        (["--set", "prompt.template=completion"], "people: {1} asks by chat messages, not by a completion"),
        (["--split", "dve"], "no split 'dve': did you mean 'dev'?"),
        (["--set", "dataset.train_split=tain"], "no split 'tain': did you mean 'train'?"),
        (["--set", "scoring.reward=gatd"], "did you mean 'gated'?"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], program: str, flags: list[str], says: str
) -> None:
    task = write_task(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    out = [] if "--out" in flags else ["--out", str(tmp_path / "out")]
    line = ["export", program, "--task", str(task), *out, *(flag.format(tmp_path) for flag in flags)]
    assert main(line) == 2
    assert says.format(tmp_path, program) in capsys.readouterr().err.splitlines()[-1]
    after = {path: path.read_bytes() for path in tmp_path.iterdir() if path.name != "home"}
    assert after == before


def test_the_folder_must_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "verl", "--task", str(write_task(tmp_path))]) == 2
    assert "verl: name the folder to write with --out DIR" in capsys.readouterr().err


def test_verl_asks_in_one_turn_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["export", "verl", "--task", str(write_task(tmp_path)), "--out", str(tmp_path / "out")]
    assert main([*line, "--turns", "2"]) == 2
    assert "verl asks once for each question: leave out --turns, or use skyrl or prime-rl" in (
        capsys.readouterr().err
    )


def test_a_task_without_a_gold_that_runs_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = write_task(tmp_path)
    (tmp_path / "dev.json").write_text(json.dumps([{"question": "?", "query": "SELEC", "db_id": "d"}]))
    assert main(["export", "verl", "--task", str(task), "--out", str(tmp_path / "out")]) == 2
    assert (
        "people, train: no question is left: a gold fails or returns no rows: see harness check"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "info", "gold", "says"),
    [
        ("other", {"split": "test", "id": "0"}, GOLD, "scores people, and a row is of 'other'"),
        ("people", {"split": "dev", "id": "0"}, GOLD, "extra_info.split is 'dev', not train or test"),
        ("people", {"id": "0"}, GOLD, "extra_info.split is 'None', not train or test"),
        ("people", {"split": "test", "id": "7"}, GOLD, "no question '7'"),
        ("people", {"split": "train", "id": "1"}, GOLD, "question 1 has changed: export the task again"),
    ],
)
def test_a_row_of_another_task_is_not_scored(
    made: Exported, source: str, info: dict[str, str], gold: str, says: str
) -> None:
    with pytest.raises(DataError, match=re.escape(says)):
        Question.of_row(made.folder, source, info, gold)


def test_a_gold_without_rows_is_evaluated_and_not_trained_on(tmp_path: Path) -> None:
    task = write_task(tmp_path)
    write_golds(task, [GOLD, EMPTY])
    out = tmp_path / "out"
    assert main(["export", "verl", "--task", str(task), "--out", str(out)]) == 0
    golds = [[row["reward_model"]["ground_truth"] for row in rows(out, split)] for split in ("train", "test")]
    assert golds == [[GOLD], [GOLD, EMPTY]]
    reward = VerlReward(out)
    for text, value in ((EMPTY, 1.0), (GOLD, 0.0)):
        result = reward.compute_score("people", text, EMPTY, {"split": "test", "id": "1"})
        assert result["execution_accuracy"] == value and (result["score"] == 1.0) is bool(value)
    with pytest.raises(RuntimeError, match="not scored: correct"):
        reward.compute_score("people", EMPTY, EMPTY, {"split": "train", "id": "1"})


def test_a_secret_reaches_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build_clinic("sqlite", tmp_path / "sqlite")
    golds = ["SELECT name FROM person ORDER BY id", f"SELECT count(*) FROM person WHERE ssn = '{SECRET}'"]
    questions = [{"question": "Who is here?", "query": gold, "db_id": "clinic"} for gold in golds]
    (tmp_path / "rows.json").write_text(json.dumps(questions))
    (tmp_path / "task.yaml").write_text(
        f"name: clinic\ndataset: {{path: '{tmp_path}/rows.json', splits: {{train: x, dev: x}}}}\n"
        f"databases: {{path: '{tmp_path}/sqlite/{{database}}.sqlite'}}\n"
        f"private: {json.dumps(list(PRIVATE))}\nprompt: {{schema: {{rows: 5, values: true}}}}\n"
    )
    out = tmp_path / "out"
    assert main(["export", "verl", "--task", str(tmp_path / "task.yaml"), "--out", str(out)]) == 0
    found = rows(out, "train")
    assert len(found) == 1, "without the question whose gold reads it"
    written = b"".join(path.read_bytes() for path in out.iterdir()) + json.dumps(found).encode()
    assert SECRET.encode() not in written and SECRET not in capsys.readouterr().out
