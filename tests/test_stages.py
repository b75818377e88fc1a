"""`harness sample`, and `harness train` in stages: nano's own right answers, SFT into GRPO."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli import main
from harness.provenance import lineage
from harness.sample import right_answers
from leaderboards import store
from leaderboards.types import Record

Capture = pytest.CaptureFixture[str]
SMALL = ["--limit", "24", "--sample-seed", "0", "--workers", "1"]
SFT = ["--set", "sft.max_steps=2", "--set", "sft.batch_size=4", "--set", "sft.micro_batch=4"]
GRPO = ["--set", "grpo.max_steps=1", "--set", "grpo.prompts_per_step=2", "--set", "grpo.group_size=2"]
GRPO += ["--set", "grpo.max_new_tokens=24", "--no-eval"]


@pytest.fixture(autouse=True)
def _at_home(home: Path) -> None:
    """Every test has a HARNESS_HOME of its own."""


def answer(sample: str, number: int, sql: str, **fields: object) -> Record:
    values = {"metric": 1.0, "gold_rows": 3, "sql": sql, "completion": sql} | fields
    return Record(sample, "q", "d", reason="correct", sample_index=number, **values)  # type: ignore[arg-type]


def test_right_answers_are_kept_once_and_those_that_prove_nothing_are_not() -> None:
    records = [
        answer("a", 0, "SELECT 1", logprob=-2.0),
        answer("a", 1, "SELECT  1\n"),
        answer("a", 2, "SELECT 2", logprob=-1.0),
        answer("a", 3, "SELECT 3", metric=0.0),
        answer("b", 0, "SELECT 1"),
        answer("c", 0, "SELECT 4", gold_rows=0),
        answer("d", 0, "SELECT 5", metric=None),
    ]
    kept = [(one.sample_id, one.sample_index) for one in right_answers(records, "correct")]
    assert kept == [("a", 0), ("a", 2), ("b", 0)]
    assert [(one.sample_id, one.sample_index) for one in right_answers(records, "likeliest")] == [
        ("a", 2), ("b", 0)
    ]  # fmt: skip


@pytest.mark.slow
def test_a_model_is_trained_on_its_own_right_answers(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "own" / "rows.jsonl"
    command = ["sample", "--model", "nano", "--task", "pocket", "--samples", "4", "--out", str(out), *SMALL]
    assert main(command) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert 4 <= len(rows) <= 24 * 4 and {row["split"] for row in rows} == {"train"}
    assert len({(row["id"], row["sql"]) for row in rows}) == len(rows)
    first, runs = out.read_text(), len(store.runs())
    out.unlink()
    assert main(command) == 0  # the run is on the board: nothing is drawn again
    assert out.read_text() == first and len(store.runs()) == runs

    train = ["train", "--task", "pocket", "--method", "sft", "--model", "nano", "--data", str(out)]
    assert main([*train, "--out", str(tmp_path / "rft"), "--no-eval", *SFT, *SMALL]) == 0
    given = lineage.read(tmp_path / "rft" / "model").training["sft"]
    assert given["rows"] == len(rows) and given["sees"] == f"the rows of {out}"
    mixed = [*train, "--data", "gold", "--out", str(tmp_path / "mixed"), "--no-eval", *SFT, *SMALL]
    assert main(mixed) == 0
    given = lineage.read(tmp_path / "mixed" / "model").training["sft"]
    assert given["rows"] == len(rows) + 24 and given["sees"].startswith("questions and gold SQL, the rows of")


@pytest.mark.slow
def test_sft_goes_straight_into_grpo_and_a_finished_stage_is_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "both"
    command = ["train", "--task", "pocket", "--method", "sft+grpo", "--model", "nano", "--out", str(out)]
    command += [*SMALL, "--sft-limit", "8", *SFT, *GRPO, "--set", "train.eval_every=1"]
    assert main(command) == 0
    sft, grpo = (run for run in store.runs() if run.kind == "train")
    assert (sft.method, sft.parent, sft.training["sft"]["rows"]) == ("sft", "nano", 8)
    assert (grpo.method, grpo.parent) == ("grpo", str(out / "sft" / "model"))
    assert list(grpo.training) == ["sft", "grpo"] and grpo.training["grpo"]["rows"] == 24
    assert (sft.training["sft"]["eval_every"], grpo.training["grpo"]["eval_every"]) == (1, 1)
    known = lineage.read(out / "grpo" / "model")
    assert (known.method, known.run) == ("grpo", grpo.id)
    weights = (out / "grpo" / "model" / "model.safetensors").stat().st_mtime_ns
    assert main(command) == 0
    assert (out / "grpo" / "model" / "model.safetensors").stat().st_mtime_ns == weights
    assert len(store.runs()) == 2


Writes = Callable[[Path], str]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (None, "no such file"),
        ("{", "line 1: not a row of 'prompt' and 'completion' messages"),
        ('{"prompt": [], "completion": []}', "line 1: not a row"),
        (
            '{"prompt": [], "completion": [{"content": "x"}], "task": "pocket", "split": "test"}',
            "line 1: a question of 'test', which pocket is evaluated on",
        ),
    ],
)
def test_a_file_that_cannot_be_trained_on_is_refused_in_one_line(
    tmp_path: Path, capsys: Capture, row: str | None, message: str
) -> None:
    file = tmp_path / "rows.jsonl"
    if row is not None:
        file.write_text(row + "\n")
    train = ["train", "--task", "pocket", "--method", "sft", "--model", "nano", "--out", str(tmp_path / "o")]
    assert main([*train, "--data", str(file), "--no-eval"]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("grpo.max_steps=1", "--method sft has no grpo stage"),
        ("sft.max_stps=1", "did you mean 'max_steps'?"),
        ("train.lora.rank=4", "unknown key 'sft.lora.rank'"),
    ],
)
def test_a_setting_of_no_stage_is_refused(
    tmp_path: Path, capsys: Capture, settings: str, message: str
) -> None:
    train = ["train", "--task", "pocket", "--method", "sft", "--model", "nano", "--out", str(tmp_path / "o")]
    assert main([*train, "--set", settings]) == 2
    assert message in capsys.readouterr().err
