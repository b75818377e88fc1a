"""Commands to type next, as they work when they are copied into a fresh shell in the current folder."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def command(*words: str) -> str:
    """A ``harness`` command with the program and the HARNESS_HOME that this process was started with."""
    home = os.environ.get("HARNESS_HOME")
    return (f"HARNESS_HOME={shlex.quote(home)} " if home else "") + shlex.join([*_program(), *words])


def _program() -> list[str]:
    """By its name where any shell finds it, else by its path: a virtual environment may not be active."""
    path = Path(sys.argv[0])
    if path.name != "harness" or not path.is_file():
        return [_shortest(Path(sys.executable)), "-m", "harness.cli"]
    found = shutil.which("harness")
    everywhere = sys.prefix == sys.base_prefix and found and Path(found).samefile(path)
    return ["harness"] if everywhere else [_shortest(path)]


def _shortest(path: Path) -> str:
    """A path from the current folder where it lies below that, else the whole path."""
    whole = path.absolute()
    if not whole.is_relative_to(Path.cwd()):
        return str(whole)
    short = whole.relative_to(Path.cwd())
    return str(short) if len(short.parts) > 1 else f"./{short}"
