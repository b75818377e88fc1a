"""The shape of the code: which floor may import which, what stays light, and how long things may be."""

from __future__ import annotations

import ast
import os
import re
import resource
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {"tasks": 1, "rewards": 2, "runners": 2, "leaderboards": 3, "harness": 4}
HEAVY = {"torch", "transformers", "trl", "vllm", "datasets", "duckdb", "pandas", "pyarrow", "peft", "wandb"}
LAZY_PAIRS: set[tuple[str, ...]] = set()
"""Files that import each other, one of them inside a function. None is to be added."""
OF_EXTRAS = {"tasks": {"datasets"}, "rewards": set(), "leaderboards": set()}
"""What these packages may import beyond the core dependencies: the others may use every extra."""
INDIRECT = {"pytz"}
"""Core dependencies that are imported by another one of them, not by us."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def files(root: Path, packages: Mapping[str, int] = FLOORS) -> list[Path]:
    return sorted(path for package in packages for path in (root / package).rglob("*.py"))


FILES = files(ROOT)


def modules(source: str, known: frozenset[str] = frozenset()) -> Iterator[str]:
    """All that a file imports, inside functions too; a name taken from a package counts as the ``known``
    module that it is.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else node.module


def imported(path: Path) -> set[str]:
    """Top-level names of all that a file imports."""
    return {name.partition(".")[0] for name in modules(path.read_text(encoding="utf-8"))}


def upward(root: Path) -> list[str]:
    """Imports of a package on the same floor or a higher one."""
    return [
        f"{path.relative_to(root)} imports {target}"
        for path in files(root)
        for target in sorted(imported(path) & FLOORS.keys())
        if target != (package := path.relative_to(root).parts[0]) and FLOORS[target] >= FLOORS[package]
    ]


def circles(root: Path) -> set[tuple[str, ...]]:
    """Sets of files, by module name, that reach each other by imports."""
    names = {path: ".".join(path.relative_to(root).with_suffix("").parts) for path in files(root)}
    names = {path: name.removesuffix(".__init__") for path, name in names.items()}
    known = frozenset(names.values())
    direct = {
        name: set(modules(path.read_text(encoding="utf-8"), known)) & known - {name}
        for path, name in names.items()
    }
    reached = {name: reachable(name, direct) for name in direct}
    return {
        tuple(sorted(other for other in reached[name] if name in reached[other]))
        for name in direct
        if name in reached[name]
    }


def reachable(start: str, direct: Mapping[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = set(direct[start])
    while waiting:
        name = waiting.pop()
        found.add(name)
        waiting |= direct[name] - found
    return found


def declared(extras: bool = True, dev: bool = False) -> set[str]:
    """Names of the distributions that ``pyproject.toml`` asks for."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra, more in project["optional-dependencies"].items():
        if (dev if extra == "dev" else extras) and extra != "all":
            lines += more
    return {normal(re.split(r"[\[<>=~!; ]", line)[0]) for line in lines}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def undeclared(paths: list[Path], known: set[str]) -> list[str]:
    """Third-party imports whose distribution is not ``known``; files beside ours are no third party."""
    by_name = packages_distributions()
    ours = {*FLOORS, "harness_sql", "tools"}
    found = []
    for path in paths:
        beside = {other.stem for other in path.parent.glob("*")}
        for name in sorted(imported(path) - ours - beside - sys.stdlib_module_names):
            if not {normal(one) for one in by_name.get(name, [name])} & known:
                found.append(f"{path.name} imports {name}")
    return found


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


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages' Python files, to plant mistakes in."""
    for package in FLOORS:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=not_python)
    return tmp_path


def not_python(folder: str, names: list[str]) -> set[str]:
    return {name for name in names if "." in name and not name.endswith(".py")} | {"__pycache__"}


def test_every_import_goes_down() -> None:
    assert upward(ROOT) == []


@pytest.mark.parametrize(
    ("file", "line", "target"),
    [
        ("tasks/common/parse.py", "from harness.cli import main", "harness"),
        ("tasks/databases/engines/sqlite.py", "import rewards.types as types", "rewards"),
        ("rewards/grader.py", "def late():\n    from runners import open", "runners"),
        ("runners/training/grpo.py", "import os, rewards", "rewards"),
        ("leaderboards/store.py", "if TYPE_CHECKING:\n    import harness", "harness"),
    ],
)
def test_an_import_that_goes_up_is_found(copy: Path, file: str, line: str, target: str) -> None:
    with (copy / file).open("a") as source:
        source.write(f"\n{line}\n")
    assert upward(copy) == [f"{file} imports {target}"]


def test_no_two_files_import_each_other() -> None:
    assert circles(ROOT) == LAZY_PAIRS


def test_files_that_import_each_other_are_found(copy: Path) -> None:
    (copy / "tasks" / "one.py").write_text("from tasks import other\n")
    (copy / "tasks" / "other.py").write_text("def late():\n    import tasks.one\n")
    (copy / "runners" / "first.py").write_text("from runners.second import x\n")
    (copy / "runners" / "second.py").write_text("from runners.third import x\n")
    (copy / "runners" / "third.py").write_text("from runners.first import x\n")
    three = ("runners.first", "runners.second", "runners.third")
    assert circles(copy) == LAZY_PAIRS | {("tasks.one", "tasks.other"), three}


def test_results_know_nothing_of_rendering() -> None:
    assert [str(path) for path in files(ROOT, {"leaderboards": 3}) if "rich" in imported(path)] == []


def test_every_import_is_a_declared_dependency() -> None:
    for package, more in OF_EXTRAS.items():
        assert undeclared(files(ROOT, {package: 0}), declared(extras=False) | more) == []
    assert undeclared([*FILES, ROOT / "harness_sql.py"], declared()) == []
    others = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert undeclared(sorted(others), declared(dev=True)) == []


def test_an_undeclared_dependency_is_found(copy: Path) -> None:
    (copy / "tasks" / "fetch.py").write_text("import json, pip\nfrom setuptools.command import build\n")
    assert undeclared(files(copy), declared(dev=True)) == [
        "fetch.py imports pip",
        "fetch.py imports setuptools",
    ]


def test_every_core_dependency_is_used() -> None:
    by_name = packages_distributions()
    used = {normal(one) for path in FILES for name in imported(path) for one in by_name.get(name, [])}
    assert declared(extras=False) - used == INDIRECT


def test_nothing_but_the_packages_is_imported_from_the_checkout() -> None:
    others = {"tests", "benchmarks", "tools"}
    assert [str(path) for path in FILES if others & imported(path)] == []


def test_files_are_at_most_300_lines() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert [f"{where(path, 1)} has {lines} lines" for path, lines in lengths.items() if lines > 300] == []


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


LOGGING_AND_WARNINGS = """
import importlib, logging, sys, warnings

def settings():
    loggers = {"root": logging.root, **logging.root.manager.loggerDict}
    found = {
        name: (one.level, tuple(one.handlers), tuple(one.filters), one.propagate, one.disabled)
        for name, one in loggers.items()
        if isinstance(one, logging.Logger)
    }
    found = {name: values for name, values in found.items() if values != (0, (), (), True, False)}
    return found, tuple(warnings.filters), warnings.showwarning, logging.root.manager.disable

def load(name):
    try:
        importlib.import_module(name)
    except ImportError as error:
        if error.name and error.name.partition(".")[0] in OURS:
            raise

OURS = {"harness", "leaderboards", "rewards", "runners", "tasks"}
libraries, modules = (names.split() for names in sys.argv[1:])
for name in libraries:
    load(name)  # what a library changes is not our doing
for name in modules:
    before = settings()
    load(name)
    if settings() != before:
        print(name)
"""
"""Prints the modules whose import changes a logger or a warning filter. Libraries that are not installed are
left out, and so are the modules that need them."""


def names_of(paths: list[Path], root: Path = ROOT) -> list[str]:
    parts = [path.relative_to(root).with_suffix("").parts for path in paths]
    return [".".join(one).removesuffix(".__init__") for one in parts]


def changing_logging_or_warnings(
    paths: list[Path], root: Path = ROOT, left_out: frozenset[str] | set[str] = frozenset()
) -> list[str]:
    """Which of these files do so; ``left_out``: libraries that they import inside functions only."""
    every = {name for path in paths for name in modules(path.read_text(encoding="utf-8"))}
    known = {*FLOORS, "tools", *sys.stdlib_module_names}
    libraries = sorted(name for name in every if name.partition(".")[0] not in known | left_out)
    arguments = [" ".join(libraries), " ".join(names_of(paths, root))]
    command = [sys.executable, "-c", LOGGING_AND_WARNINGS, *arguments]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_importing_a_light_module_changes_no_logger_or_warning_filter() -> None:
    light = files(ROOT, {"tasks": 1, "rewards": 2, "leaderboards": 3})
    assert changing_logging_or_warnings(light, left_out=HEAVY) == []


@pytest.mark.slow
def test_importing_any_module_changes_no_logger_or_warning_filter() -> None:
    assert changing_logging_or_warnings(FILES) == []


def test_a_module_that_changes_a_logger_or_warning_filter_is_found(tmp_path: Path) -> None:
    lines = {
        "level": "logging.getLogger('sqlglot').setLevel(logging.ERROR)",
        "handler": "logging.root.addHandler(logging.NullHandler())",
        "filter": "logging.getLogger('x').addFilter(lambda record: False)",
        "warning": "warnings.simplefilter('ignore')",
        "nothing": "logging.getLogger('y').debug('')",
    }
    paths = [tmp_path / f"{name}.py" for name in lines]
    for path in paths:
        path.write_text(f"import logging, warnings\n{lines[path.stem]}\n")
    assert changing_logging_or_warnings(paths, tmp_path) == ["level", "handler", "filter", "warning"]


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
