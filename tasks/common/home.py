"""Paths that depend on the environment: HARNESS_HOME, and ``${VARIABLE}`` in the paths of a task file."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tasks.common.errors import SpecError, UnsetVariable, nearest


def home() -> Path:
    """The folder of runs, built databases and caches: HARNESS_HOME, else ``~/.harness``.

    Raises SpecError: ``~`` cannot be expanded.
    """
    path = os.environ.get("HARNESS_HOME") or "~/.harness"
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise SpecError(f"no home directory for '{path}': set HARNESS_HOME to a folder") from None


def expand(pattern: str, **names: str) -> str:
    """A path pattern with its ``{name}`` and ``${VARIABLE}`` filled in.

    HARNESS_HOME has a default (``home``), no other variable has. Raises SpecError: a variable that is not
    set, or a placeholder that is not one of ``names``.
    """

    def variable(match: re.Match[str]) -> str:
        name = match[1]
        if name == "HARNESS_HOME":
            return str(home())
        if name not in os.environ:
            raise UnsetVariable(f"{pattern}: the environment variable {name} is not set")
        return os.environ[name]

    for unknown in re.findall(r"(?<!\$)\{(\w+)\}", pattern):
        if unknown not in names:
            raise SpecError(f"{pattern}: no placeholder {{{unknown}}}: {nearest(unknown, names)}")
    filled = re.sub(r"\$\{(\w+)\}", variable, pattern)
    for name, value in names.items():
        filled = filled.replace("{" + name + "}", value)
    return filled
