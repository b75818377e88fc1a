"""The Python interface: its page, its example, its types and errors; ``import harness`` stays light."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import harness
from harness import api
from tools.api_docs import PAGE, page

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "docs" / "examples" / "notebook.py"


def test_the_package_has_the_names_of_the_interface() -> None:
    assert harness.__all__ == api.__all__
    assert set(api.__all__) <= set(dir(harness))
    assert all(getattr(harness, name) is getattr(api, name) for name in api.__all__)
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        harness.evalute  # noqa: B018


def test_no_module_hides_a_name_of_the_interface() -> None:
    modules = {path.stem for path in (ROOT / "harness").iterdir()}
    assert modules & set(api.__all__) == set()


def test_importing_the_package_loads_nothing_but_it() -> None:
    code = "import sys; before = set(sys.modules); import harness; print(*(set(sys.modules) - before))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(loaded.stdout.split()) <= {"harness", "__future__"}


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "stale: run python -m tools.api_docs"


@pytest.mark.slow
def test_the_example_runs(home: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(EXAMPLE)],
        cwd=ROOT,
        env={**os.environ, "HARNESS_HOME": str(home), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    expected = ("1.0 correct", "0.0 wrong_", "EX 35.0%", " won, ", "p = ", "unknown key 'scoring.metrik'")
    assert [words for words in expected if words not in run.stdout] == []


def test_runs_records_and_frames_agree(home: Path) -> None:
    gold = harness.evaluate("gold", limit=20)
    empty = harness.evaluate("empty", limit=20, overrides={"eval.seed": 3})
    assert (gold.kind, gold.limit, empty.seed, harness.summary(gold)["ex"]) == ("eval", 20, 3, 1.0)
    assert harness.evaluate("gold", limit=20) == gold  # the finished run, read back
    assert [run.id for run in harness.runs()] == [gold.id, empty.id]
    assert harness.runs(kind="train") == harness.runs("spider") == []
    assert harness.runs(frame=True)["id"].tolist() == [gold.id, empty.id]
    answers = harness.records(gold, empty)
    frame = harness.records(gold, empty, frame=True)
    assert len(answers) == len(frame) == 40 and isinstance(answers[0], harness.Record)
    assert frame.groupby("run")["metric"].mean().to_dict() == {"empty": 0.0, "gold": 1.0}
    paired = harness.compare("empty", gold)
    assert (paired.all.wins, paired.to_frame()["b"].sum()) == (20, 20)
    assert harness.board(gold).to_frame()["model"].tolist() == ["gold"]
    assert set(harness.board().to_frame()["ex"]) == {0.0, 1.0}


def test_texts_are_scored_without_a_run(home: Path) -> None:
    task = harness.load_task("pocket", {"scoring.seconds": 5, "scoring.modes": ["bird"]})
    samples = task.samples("test", limit=2)
    grades = harness.score(task, samples, [samples[0].gold[0], "no SQL here"])
    assert task.spec.scoring.seconds == 5 and harness.runs() == []
    assert [grade.scores["reward"].value == 1 for grade in grades] == [True, False]
    assert grades[0].attempt.verdicts["bird"] == 1
    with pytest.raises(ValueError, match="2 samples and 1 texts: give one text for each sample"):
        harness.score(task, samples, ["SELECT 1"])
    with pytest.raises(ValueError, match="text 1 is of type NoneType: pass the answers as strings"):
        harness.score(task, samples, ["SELECT 1", None])  # type: ignore[list-item]


def test_mistakes_are_the_package_s_errors(home: Path, tmp_path: Path) -> None:
    with pytest.raises(harness.SpecError, match=r"did you mean 'pocket'"):
        harness.load_task("pockett")
    with pytest.raises(harness.SpecError, match="seconds"):
        harness.load_task("pocket", {"scoring.secnds": 3})
    with pytest.raises(harness.SpecError, match="not JSON serializable: use text"):
        harness.load_task("pocket", {"scoring.seconds": object()})
    with pytest.raises(harness.SpecError, match="temperature"):
        harness.evaluate("gold", overrides={"eval.temperatur": 1.0})
    with pytest.raises(harness.SpecError, match=r"overrides: eval.model: pass it as the argument model"):
        harness.evaluate("gold", overrides={"eval.model": "empty"})
    with pytest.raises(harness.SpecError, match="overrides: write a mapping"):
        harness.evaluate("gold", overrides=["scoring.seconds=3"])  # type: ignore[arg-type]
    with pytest.raises(harness.SpecError, match=r"no kind of run 'evl': did you mean 'eval'"):
        harness.runs(kind="evl")  # type: ignore[call-overload]
    for ask in (harness.runs, harness.board):
        with pytest.raises(
            harness.DataError, match=r"no evaluation of a task 'pockt': did you mean 'pocket'"
        ):
            ask(task="pockt")
    with pytest.raises(harness.ModelError):
        harness.evaluate(str(tmp_path / "nothing"))
    with pytest.raises(harness.SpecError, match=r"no method 'sftt': did you mean 'sft'"):
        harness.train("nano", "pocket", tmp_path / "out", method="sftt")
    with pytest.raises(harness.SpecError, match="dev_limit"):
        harness.train("nano", "pocket", tmp_path / "out", overrides={"stage.dev_limits": 1})
    with pytest.raises(harness.DataError, match=r"no finished evaluation 'nano'"):
        harness.records("nano")
