"""The structure of the code: which package may import which, what stays light, and how long things may be."""

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
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LEVELS = {"tasks": 1, "rewards": 2, "runners": 2, "leaderboards": 3, "harness": 4}
HEAVY = {"torch", "transformers", "trl", "vllm", "datasets", "duckdb", "pandas", "pyarrow", "peft", "wandb"}
FORBIDDEN = {
    "tasks.common": {"tasks"},
    "tasks.databases": {"tasks.spec", "tasks.task", "tasks.prompts", "tasks.sources", "tasks.pocket"},
    "tasks.databases.engines": {"tasks.databases.sandbox"},
    "rewards.matching": {"rewards"},
    "rewards.structure": {"rewards"},
    "runners.decoding": {"runners.training"},
    "runners.endpoints": {"runners.training"},
    "runners.weights": {"runners.training"},
    "harness.provenance": {"harness.render"},
}
"""Package -> what no file in it or below it may import; its own modules are always allowed."""
ALLOWED = {"rewards.types"}
"""Pages of types, which every package below theirs may import."""
MOST_IN_RUNNERS = 12
"""Files directly in ``runners/``; training, decoding, endpoints and weights are packages of their own."""
OF_EXTRAS = {"tasks": {"datasets", "psycopg", "pymysql", "ray"}, "rewards": set(), "leaderboards": set()}
"""What these packages may import beyond the core dependencies; the other packages may use every extra."""
CALLERS = {"chz", "nemo-gym", "openenv", "tinker", "tinker-cookbook", "uvicorn"}
"""Programs that load one of ``harness/adapters``, and what comes with them: installed where it runs."""
INDIRECT = {"pytz"}
"""Core dependencies that only another core dependency imports."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


def files(root: Path, packages: Mapping[str, int] = LEVELS) -> list[Path]:
    return sorted(path for package in packages for path in (root / package).rglob("*.py"))


FILES = files(ROOT)


@cache
def import_statements(source: str) -> tuple[ast.Import | ast.ImportFrom, ...]:
    return tuple(
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)
    )


def modules(source: str, known: frozenset[str] = frozenset()) -> Iterator[str]:
    """All modules that a file imports, inside functions too.

    ``from package import name`` yields ``package.name`` where that is one of the ``known`` modules.
    """
    for node in import_statements(source):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif node.module and node.level == 0:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in known else node.module


def imported(path: Path) -> set[str]:
    """Top-level names of all modules that a file imports."""
    return {name.partition(".")[0] for name in modules(path.read_text(encoding="utf-8"))}


def upward(root: Path) -> list[str]:
    """Imports of another package on the same level or on a higher one."""
    return [
        f"{path.relative_to(root)} imports {target}"
        for path in files(root)
        for target in sorted(imported(path) & LEVELS.keys())
        if target != (package := path.relative_to(root).parts[0]) and LEVELS[target] >= LEVELS[package]
    ]


def module_name(path: Path, root: Path) -> str:
    return ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def module_names(root: Path) -> dict[Path, str]:
    """Every file of the packages with its module name."""
    return {path: module_name(path, root) for path in files(root)}


def forbidden(root: Path) -> list[str]:
    """Imports that ``FORBIDDEN`` rules out."""
    names = module_names(root)
    known = frozenset(names.values())
    return [
        f"{name} imports {target}"
        for path, name in names.items()
        for target in sorted(set(modules(path.read_text(encoding="utf-8"), known)) - ALLOWED)
        for package, banned in FORBIDDEN.items()
        if within(name, package) and not within(target, package)
        if any(within(target, other) for other in banned)
    ]


def within(module: str, package: str) -> bool:
    """Whether a module is the package or in it."""
    return f"{module}.".startswith(f"{package}.")


def cycles(root: Path) -> set[tuple[str, ...]]:
    """Sets of files, by module name, that import each other, directly or through others of the set."""
    names = module_names(root)
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
    """All modules that ``start`` imports, directly or through others."""
    reached: set[str] = set()
    waiting = set(direct[start])
    while waiting:
        name = waiting.pop()
        reached.add(name)
        waiting |= direct[name] - reached
    return reached


def declared(extras: bool = True, dev: bool = False) -> set[str]:
    """Names of the distributions that ``pyproject.toml`` declares as dependencies.

    ``dev``: with those of tests, also the ones that are installed without their own dependencies.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = list(project["dependencies"])
    for extra, dependencies in project["optional-dependencies"].items():
        if (dev if extra == "dev" else extras) and extra != "all":
            lines += dependencies
    if dev:
        text = (ROOT / "tests" / "without_dependencies.txt").read_text(encoding="utf-8")
        lines += [line for line in text.splitlines() if not line.startswith("#")]
    return {normal(re.split(r"[\[<>=~!; ]", line)[0]) for line in lines}


def without_dependencies() -> set[str]:
    """Names of the distributions that only tests use, and that are installed without their dependencies."""
    lines = (ROOT / "tests" / "without_dependencies.txt").read_text(encoding="utf-8").splitlines()
    return {normal(line.partition("==")[0]) for line in lines if not line.startswith("#")}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def undeclared(paths: list[Path], known: set[str]) -> list[str]:
    """Third-party imports whose distribution is not ``known``; files of the same folder do not count.

    Nor do the benchmarks' files in tests.
    """
    by_name = packages_distributions()
    ours = {*LEVELS, "harness_sql", "tools"}
    missing = []
    for path in paths:
        folders = (path.parent, ROOT / "benchmarks") if path.parent == ROOT / "tests" else (path.parent,)
        siblings = {other.stem for folder in folders for other in folder.glob("*")}
        for name in sorted(imported(path) - ours - siblings - sys.stdlib_module_names):
            if not {normal(distribution) for distribution in by_name.get(name, [name])} & known:
                missing.append(f"{path.name} imports {name}")
    return missing


def functions(path: Path) -> Iterator[Function]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, Function):
            yield node


def parameters(function: Function) -> int:
    arguments = function.args
    names = [one.arg for one in arguments.posonlyargs + arguments.args + arguments.kwonlyargs]
    own = [name for name in names if name not in ("self", "cls")]
    return len(own) + bool(arguments.vararg) + bool(arguments.kwarg)


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the packages' Python files, into which a test writes a mistake."""
    for package in LEVELS:
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
def test_an_upward_import_is_reported(copy: Path, file: str, line: str, target: str) -> None:
    with (copy / file).open("a") as source:
        source.write(f"\n{line}\n")
    assert upward(copy) == [f"{file} imports {target}"]


def test_no_package_imports_what_is_forbidden_to_it() -> None:
    assert forbidden(ROOT) == []


@pytest.mark.parametrize(
    ("file", "line", "target"),
    [
        ("tasks/common/parse.py", "from tasks.spec import TaskSpec", "tasks.spec"),
        ("tasks/databases/engines/duckdb.py", "def late():\n    import tasks.databases.sandbox.pool", None),
        ("rewards/matching/order.py", "from rewards.grader import Grader", "rewards.grader"),
        ("rewards/structure/clauses.py", "from rewards import judge", "rewards.judge"),
        ("runners/decoding/generation.py", "from runners.training import grpo", "runners.training.grpo"),
    ],
)
def test_a_forbidden_import_is_reported(copy: Path, file: str, line: str, target: str | None) -> None:
    with (copy / file).open("a") as source:
        source.write(f"\n{line}\n")
    module = file.removesuffix(".py").replace("/", ".")
    assert forbidden(copy) == [f"{module} imports {target or line.split()[-1]}"]


def test_every_package_of_the_forbidden_imports_exists() -> None:
    folders = {name.replace(".", "/") for name in FORBIDDEN}
    assert [folder for folder in sorted(folders) if not list((ROOT / folder).glob("*.py"))] == []


def test_runners_holds_few_files_directly() -> None:
    assert len(list((ROOT / "runners").glob("*.py"))) <= MOST_IN_RUNNERS


def test_no_two_files_import_each_other() -> None:
    assert cycles(ROOT) == set()


def test_an_import_cycle_is_reported(copy: Path) -> None:
    (copy / "tasks" / "one.py").write_text("from tasks import other\n")
    (copy / "tasks" / "other.py").write_text("def late():\n    import tasks.one\n")
    (copy / "runners" / "first.py").write_text("from runners.second import x\n")
    (copy / "runners" / "second.py").write_text("from runners.third import x\n")
    (copy / "runners" / "third.py").write_text("from runners.first import x\n")
    three = ("runners.first", "runners.second", "runners.third")
    assert cycles(copy) == {("tasks.one", "tasks.other"), three}


def rendering(root: Path) -> list[str]:
    """The files of ``leaderboards`` that import rich."""
    return [path.name for path in files(root, {"leaderboards": 3}) if "rich" in imported(path)]


def test_results_know_nothing_of_rendering(copy: Path) -> None:
    assert rendering(ROOT) == []
    (copy / "leaderboards" / "table.py").write_text("def late():\n    from rich.table import Table\n")
    assert rendering(copy) == ["table.py"]


def test_every_import_is_a_declared_dependency() -> None:
    for package, more in OF_EXTRAS.items():
        assert undeclared(files(ROOT, {package: 0}), declared(extras=False) | more) == []
    assert undeclared([*FILES, ROOT / "harness_sql.py"], declared() | CALLERS) == []
    others = [*(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")]
    assert undeclared(sorted(others), declared(dev=True) | CALLERS | without_dependencies()) == []


def test_an_undeclared_dependency_is_reported(copy: Path) -> None:
    (copy / "tasks" / "fetch.py").write_text("import json, pip\nfrom setuptools.command import build\n")
    assert undeclared(files(copy), declared(dev=True) | CALLERS) == [
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
        (path, function, (function.end_lineno or 0) - function.lineno + 1)
        for path in FILES
        for function in functions(path)
    ]
    long = [f"{where(path, f.lineno)} {f.name}: {lines}" for path, f, lines in lengths if lines > 40]
    assert long == []


def test_functions_have_at_most_6_parameters() -> None:
    counts = [(path, function, parameters(function)) for path in FILES for function in functions(path)]
    many = [f"{where(path, f.lineno)} {f.name}: {count}" for path, f, count in counts if count > 6]
    assert many == []


def test_nothing_that_comes_with_a_model_is_run() -> None:
    """Weights are safetensors; only our own worker processes use pickle."""
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
    values = {
        name: (logger.level, tuple(logger.handlers), tuple(logger.filters), logger.propagate, logger.disabled)
        for name, logger in loggers.items()
        if isinstance(logger, logging.Logger)
    }
    changed = {name: value for name, value in values.items() if value != (0, (), (), True, False)}
    return changed, tuple(warnings.filters), warnings.showwarning, logging.root.manager.disable

def load(name):
    try:
        importlib.import_module(name)
    except ImportError as error:
        if error.name and error.name.partition(".")[0] in OURS:
            raise

OURS = {"harness", "leaderboards", "rewards", "runners", "tasks"}
libraries, modules = (names.split() for names in sys.argv[1:])
for name in libraries:
    load(name)  # changes that a library makes do not count
for name in modules:
    before = settings()
    load(name)
    if settings() != before:
        print(name)
"""
"""Prints the modules whose import changes a logger or a warning filter. Libraries that are not installed are
skipped, and so are the modules that need them."""


def changing_logging_or_warnings(
    paths: list[Path], root: Path = ROOT, left_out: frozenset[str] | set[str] = frozenset()
) -> list[str]:
    """The files whose import does so; ``left_out``: libraries that they import inside functions only."""
    every = {name for path in paths for name in modules(path.read_text(encoding="utf-8"))}
    known = {*LEVELS, "tools", *sys.stdlib_module_names}
    libraries = sorted(name for name in every if name.partition(".")[0] not in known | left_out)
    arguments = [" ".join(libraries), " ".join(module_name(path, root) for path in paths)]
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


def test_a_module_that_changes_a_logger_or_warning_filter_is_reported(tmp_path: Path) -> None:
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


def test_the_verifiers_module_names_the_extra_to_install() -> None:
    code = (
        "import sys; sys.modules['verifiers'] = None\n"
        "try:\n    import harness_sql\nexcept ImportError as error:\n    print(error)"
    )
    assert fresh(code) == "verifiers is not installed: pip install -e '.[verifiers]' in a clone\n"
