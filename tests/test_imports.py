"""The shape of the code: which floor may import which, what stays light, and how long things may be."""

from __future__ import annotations

import ast
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {"tasks": 1, "rewards": 2, "runners": 2, "leaderboards": 3, "harness": 4}
HEAVY = {"torch", "transformers", "trl", "vllm", "datasets", "duckdb", "pandas", "pyarrow", "peft", "wandb"}
FILES = sorted(path for package in FLOORS for path in (ROOT / package).rglob("*.py"))

Function = ast.FunctionDef | ast.AsyncFunctionDef


def imported(source: str) -> Iterator[str]:
    """Top-level names of all that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module.partition(".")[0]


def allowed(importer: str, target: str) -> bool:
    """Whether one of the packages may import the other: itself, or any floor below."""
    return importer == target or FLOORS[target] < FLOORS[importer]


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def parameters(function: Function) -> int:
    found = function.args
    names = [one.arg for one in found.posonlyargs + found.args + found.kwonlyargs]
    return (
        len([name for name in names if name not in ("self", "cls")]) + bool(found.vararg) + bool(found.kwarg)
    )


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


@pytest.mark.parametrize(
    ("importer", "target", "may"),
    [
        ("harness", "tasks", True),
        ("leaderboards", "rewards", True),
        ("rewards", "rewards", True),
        ("rewards", "runners", False),
        ("runners", "rewards", False),
        ("tasks", "rewards", False),
        ("leaderboards", "harness", False),
    ],
)
def test_the_floors_are_those_of_the_design(importer: str, target: str, may: bool) -> None:
    assert allowed(importer, target) is may


def test_every_import_goes_down() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {target}"
        for path in FILES
        for target in imported(path.read_text(encoding="utf-8"))
        if target in FLOORS and not allowed(path.relative_to(ROOT).parts[0], target)
    ]
    assert wrong == []


def test_nothing_but_the_packages_is_imported_from_the_checkout() -> None:
    others = {"tests", "benchmarks"}
    assert [str(path) for path in FILES if others & set(imported(path.read_text(encoding="utf-8")))] == []


def test_files_are_at_most_250_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert [f"{where(path, 1)} has {lines} lines" for path, lines in lengths.items() if lines > 250] == []


def test_functions_are_at_most_40_lines() -> None:
    lengths = [
        (path, one, (one.end_lineno or 0) - one.lineno + 1) for path in FILES for one in functions(path)
    ]
    long = [f"{where(path, one.lineno)} {one.name}: {lines}" for path, one, lines in lengths if lines > 40]
    assert long == []


def test_functions_have_at_most_6_parameters() -> None:
    counts = [(path, one, parameters(one)) for path in FILES for one in functions(path)]
    many = [f"{where(path, one.lineno)} {one.name}: {count}" for path, one, count in counts if count > 6]
    assert many == []


def test_nothing_that_comes_with_a_model_is_run() -> None:
    """Weights are safetensors; pickle is for our own worker processes alone."""
    calls = re.compile(r"torch\.load\((?!.*weights_only=True)|pickle\.load|trust_remote_code=True")
    models = [path for path in FILES if path.relative_to(ROOT).parts[0] != "tasks"]
    assert [f"{path}: {call}" for path in models for call in calls.findall(path.read_text())] == []


def fresh(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("module", ["harness.cli", "tasks.spec", "leaderboards.board", "leaderboards.store"])
def test_light_modules_load_nothing_heavy(module: str) -> None:
    loaded = fresh(f"import sys, {module}; print(*sys.modules)").split()
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()


def test_help_answers_in_under_300_ms_of_cpu() -> None:
    best = min(cpu_seconds([sys.executable, "-m", "harness.cli", "--help"]) for _ in range(3))
    assert best < 0.3


def cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, env={**os.environ, "COLUMNS": "100"}, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_verifiers_module_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['verifiers'] = None\n"
        "try:\n    import harness_sql\nexcept ImportError as error:\n    print(error)"
    )
    assert fresh(code) == "verifiers is not installed: pip install 'sql-harness[verifiers]'\n"
