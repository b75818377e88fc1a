"""The command line shows no warning and no notice of a library, and leaves no global state behind."""

import ast
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path

from runners.compat.quiet import LOGGERS, VARIABLES, quiet

ROOT = Path(__file__).parent.parent


def test_warnings_and_notices_of_libraries_are_not_shown_and_ours_are() -> None:
    logger = logging.getLogger("trl.trainer.grpo_trainer")
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with quiet():
            warnings.warn_explicit("old", FutureWarning, "trl/trainer.py", 1, "trl.trainer")
            assert not logger.isEnabledFor(logging.WARNING) and logger.isEnabledFor(logging.ERROR)
        assert shown == [] and logger.isEnabledFor(logging.WARNING)
        warnings.warn_explicit("old", FutureWarning, "trl/trainer.py", 1, "trl.trainer")
        assert [str(one.message) for one in shown] == ["old"]


CALLS = {"addFilter", "filterwarnings", "setLevel", "set_verbosity", "simplefilter"}


def at_import(path: Path) -> list[str]:
    """Calls that change the state of logging or warnings, outside functions."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    found = []
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
            found.append(node.func.attr)
        waiting += ast.iter_child_nodes(node)
    return found


def test_importing_a_module_changes_no_logger_and_no_filter() -> None:
    packages = ("harness", "leaderboards", "rewards", "runners", "tasks")
    paths = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    assert {str(path.relative_to(ROOT)): at_import(path) for path in paths if at_import(path)} == {}


def test_settings_are_restored_where_the_block_raises() -> None:
    filters, levels = [*warnings.filters], [logging.getLogger(name).level for name in LOGGERS]
    try:
        with quiet():
            raise ValueError
    except ValueError:
        pass
    assert warnings.filters == filters and [logging.getLogger(name).level for name in LOGGERS] == levels
    assert not set(VARIABLES) & os.environ.keys()


def test_python_set_to_show_warnings_shows_them() -> None:
    code = (
        "import warnings\nfrom runners.compat import quiet\n"
        "with quiet.quiet():\n    warnings.warn('old', FutureWarning)"
    )
    for options, shown in ([], False), (["-W", "always"], True):
        done = subprocess.run(
            [sys.executable, *options, "-c", code], cwd=ROOT, capture_output=True, text=True
        )
        assert ("FutureWarning" in done.stderr) is shown
