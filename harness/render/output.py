"""Print results on stdout: tables, JSON, CSV or Markdown; and the commands to type next."""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from rich.console import RenderableType

from harness.render.sheets import Sheet, as_csv, as_markdown
from harness.render.terminal import SafeConsole

READS_TASK = ("ask", "check", "eval", "generate", "train")
"""Verbs that read the data of a task."""
WIDTH = 140
"""Columns of a table that is not written to a terminal, so that little is cut in a file."""


class Result(Protocol):
    """A result that can be printed as JSON."""

    def as_dict(self) -> dict[str, Any]:
        """The result as JSON can hold it."""
        ...


R = TypeVar("R", bound=Result)


def emit(result: R, render: Callable[[R], RenderableType], as_json: bool) -> None:
    """Print a result as JSON, or as ``render`` draws it."""
    if as_json:
        print(json.dumps(_finite(result.as_dict()), indent=2, allow_nan=False))
        return
    console = SafeConsole()
    if not console.is_terminal:
        console = SafeConsole(width=WIDTH)
    console.print(render(result), crop=False)


def _finite(value: Any) -> Any:
    """The value with None for numbers that JSON does not have: not a number, and infinite ones."""
    if isinstance(value, Mapping):
        return {name: _finite(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def emit_table(
    result: R,
    render: Callable[[R], RenderableType],
    sheets: Callable[[R], Sequence[Sheet]],
    options: argparse.Namespace,
) -> None:
    """Print a result in the form that ``harness.verbs.options.add_formats`` has read."""
    if options.form:
        sys.stdout.write({"csv": as_csv, "markdown": as_markdown}[options.form](sheets(result)))
    else:
        emit(result, render, options.json)


def command(*words: str) -> str:
    """A ``harness`` command that can be copied into a fresh shell in the current folder.

    It names the program and the HARNESS_HOME that this process was started with, and HARNESS_DATA for a verb
    that reads a task.
    """
    names = ("HARNESS_HOME", "HARNESS_DATA") if words[0] in READS_TASK else ("HARNESS_HOME",)
    given = [f"{name}={shlex.quote(os.environ[name])} " for name in names if os.environ.get(name)]
    return "".join(given) + shlex.join([*_program(), *words])


def _program() -> list[str]:
    """``harness`` if every shell finds it, else its path: a virtual environment may not be active."""
    path = Path(sys.argv[0])
    if path.name != "harness" or not path.is_file():
        return [_shortest(Path(sys.executable)), "-m", "harness.cli"]
    on_path = shutil.which("harness")
    everywhere = sys.prefix == sys.base_prefix and on_path and Path(on_path).samefile(path)
    return ["harness"] if everywhere else [_shortest(path)]


def _shortest(path: Path) -> str:
    """The path relative to the current folder where it is below that, else the absolute path."""
    absolute = path.absolute()
    if not absolute.is_relative_to(Path.cwd()):
        return str(absolute)
    short = absolute.relative_to(Path.cwd())
    return str(short) if len(short.parts) > 1 else f"./{short}"
