"""The recipes of the demo: their settings fit, and a short one runs to the closing screen."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli import main
from harness.demo import run_demo
from harness.recipes import NANO, RECIPES, recipe_of
from leaderboards import store
from tasks.common.errors import SpecError
from tasks.spec import load

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_names_a_shipped_task_and_settings_that_divide(recipe: object) -> None:
    assert isinstance(recipe, type(NANO))
    assert recipe_of(recipe.model, recipe.task) is recipe
    assert load(recipe.task, recipe.overrides).name == recipe.task
    assert recipe.sft.items_per_pass(1) and recipe.grpo.items_per_pass(1)
    assert recipe.sft.same_prefix == 0 or recipe.sft.micro_batch % recipe.sft.same_prefix == 0


def test_each_recipe_has_a_folder_of_its_own() -> None:
    assert len({recipe.name for recipe in RECIPES}) == len(RECIPES) and NANO.name == "demo"


def test_a_demo_without_a_recipe_names_those_there_are(capsys: Capture) -> None:
    with pytest.raises(SpecError, match="--model smollm2 --task spider_small"):
        recipe_of("nano", "spider")
    assert main(["demo", "--model", "gpt-2"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_short_recipe_runs_to_the_closing_screen(home: Path, tmp_path: Path, capsys: Capture) -> None:
    """With other keys than the task's, on drawn questions; the second call repeats nothing."""
    recipe = replace(
        NANO,
        about="a test",
        sft_rows=16,
        sft=NANO.sft.model_copy(update={"batch_size": 8, "micro_batch": 8, "epochs": 1, "same_prefix": 4}),
        grpo=NANO.grpo.model_copy(
            update={"max_steps": 2, "prompts_per_step": 4, "micro_groups": 2, "same_prefix": 2}
        ),
        dev_limit=0,
        questions=10,
        overrides=("prompt.template=select",),
    )
    run_demo(recipe, 0, tmp_path / "out")
    printed = capsys.readouterr().out
    assert (
        "nano" in printed
        and "saw 16 questions" in printed
        and re.search(r"answered 8 of 12,000 questions", printed)
    )
    assert len(re.findall("--set prompt.template=select", printed)) == 2
    runs = {run.id for run in store.runs()}
    run_demo(recipe, 0, tmp_path / "out")
    assert {run.id for run in store.runs()} == runs
    evaluations = [run for run in store.runs() if run.kind == "eval"]
    assert {len(store.records(run.id)) for run in evaluations} == {10}
