"""The pages of ``docs/reference`` are what ``python -m tools.reference`` writes, and what they say is so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.cli import main
from leaderboards.alarms import LIMITS
from tools.reference import facts
from tools.reference.__main__ import FOLDER
from tools.reference.members import columns, docstrings, settings
from tools.reference.pages import PAGES

ROOT = Path(__file__).parent.parent
PACKAGES = ("harness", "tasks", "rewards", "runners", "leaderboards")


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_current(name: str) -> None:
    committed = (FOLDER / name).read_text(encoding="utf-8")
    assert committed == PAGES[name](), "stale: run python -m tools.reference"


def test_every_reference_page_is_generated() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(PAGES)


def test_every_alarm_is_described() -> None:
    assert facts.ALARMS.keys() == LIMITS.keys()


def variables(source: str) -> Iterator[str]:
    """Names of environment variables that Python code reads or sets, where they are literals."""
    for node in ast.walk(ast.parse(source)):
        used: list[ast.expr] = []
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith(("os.environ.", "os.getenv")):
            used = node.args[:1]
        elif isinstance(node, ast.Subscript) and ast.unparse(node.value) == "os.environ":
            used = [node.slice]
        elif isinstance(node, ast.Compare) and ast.unparse(node.comparators[0]).startswith("os.environ"):
            left = node.left
            used = list(left.elts) if isinstance(left, ast.Set) else [left]
        yield from (one.value for one in used if isinstance(one, ast.Constant) and isinstance(one.value, str))


def test_every_environment_variable_is_described() -> None:
    read = {
        name
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for name in variables(path.read_text(encoding="utf-8"))
    }
    assert {"HARNESS_HOME", "WANDB_MODE", "LOCAL_RANK", "WORLD_SIZE"} < read
    assert read - facts.VARIABLES.keys() - set(facts.LAUNCHED) == set()


def test_variables_are_found_however_they_are_read() -> None:
    source = 'os.environ["A"], os.environ.get("B", 1), "C" in os.environ, {"D", "E"} <= os.environ.keys()'
    assert set(variables(source)) == set("ABCDE")


def test_exit_codes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["board"]) == 0
    assert main(["board", "--task", "pocket"]) == 0
    assert main(["eval", "--model", "gold", "--task", "nothing"]) == 2
    monkeypatch.setattr("harness.verbs.results.board", interrupted)
    assert main(["board"]) == 130


def interrupted(options: object) -> int:
    raise KeyboardInterrupt


def test_an_evaluation_leaves_the_files_that_are_described(home: Path) -> None:
    assert main(["eval", "--model", "gold", "--task", "pocket", "--limit", "3"]) == 0
    (run,) = (home / "runs").iterdir()
    assert {path.name for path in run.iterdir()} <= facts.RUN_FILES.keys()
    folders = {path.name for path in home.iterdir()}
    assert {name for name in folders if not name.startswith("gold-")} <= facts.HOME_FILES.keys()


def test_a_field_without_a_docstring_is_an_error() -> None:
    from pydantic import BaseModel

    class Section(BaseModel):
        described: int = 1
        """A docstring."""
        undescribed: int = 1

    assert docstrings(Section) == {"described": "A docstring."}
    with pytest.raises(KeyError, match="undescribed"):
        list(settings(Section))
    with pytest.raises(KeyError, match="undescribed"):
        list(columns(Section))
