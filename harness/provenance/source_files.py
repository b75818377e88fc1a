"""The files of a user's module and of what it imports, as far as these are not installed packages."""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

INSTALLED = tuple(
    {str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "purelib", "platlib")}
)
OURS = ("harness", "leaderboards", "rewards", "runners", "tasks")
"""Packages that the scorer's version covers."""


def source_files(module: str) -> list[Path]:
    """The file of a module, then those of the modules that it imports, at whatever depth, each once.

    Of an installed package its own modules only. None for what cannot be found.
    """
    found: dict[str, Path] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        top = name.partition(".")[0]
        place = _file(name)
        if name in found or place is None or top in OURS:
            continue
        if top == module.partition(".")[0] or not str(place.resolve()).startswith(INSTALLED):
            found[name] = place
            waiting += _imported(place, name)
    return list(dict.fromkeys(found[name] for name in sorted(found)))


def _file(name: str) -> Path | None:
    try:
        spec = find_spec(name)
    except Exception:  # it imports the packages above, which are the user's
        return None
    place = Path(spec.origin) if spec and spec.origin else None
    return place if place and place.suffix == ".py" and place.is_file() else None


def _imported(file: Path, name: str) -> Iterator[str]:
    """Names that a module imports, the packages above them, and what may be a module or a name in one."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            names = [base, *(f"{base}.{one.name}" for one in node.names)]
        else:
            continue
        for one in names:
            parts = one.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))
