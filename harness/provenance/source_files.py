"""Find the source files of a user's module and of its imports, without other installed packages."""

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
"""Our packages, which the scorer's version covers."""


def source_files(module: str) -> list[Path]:
    """The files of a module and of all modules that it imports, directly or not, each once.

    If the module is in an installed package, only modules of this package are followed. Modules that cannot
    be found are left out.
    """
    files: dict[str, Path] = {}
    unread = [module]
    while unread:
        name = unread.pop()
        top = name.partition(".")[0]
        file = _file(name)
        if name in files or file is None or top in OURS:
            continue
        if top == module.partition(".")[0] or not str(file.resolve()).startswith(INSTALLED):
            files[name] = file
            unread += _imported(file, name)
    return list(dict.fromkeys(files[name] for name in sorted(files)))


def _file(name: str) -> Path | None:
    """The Python file of a module; None if there is none."""
    try:
        spec = find_spec(name)
    except Exception:  # find_spec imports parent packages, which are the user's code
        return None
    file = Path(spec.origin) if spec and spec.origin else None
    return file if file and file.suffix == ".py" and file.is_file() else None


def _imported(file: Path, name: str) -> Iterator[str]:
    """Names of imported modules, of their parents, and of imported names that may be modules."""
    try:
        tree = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):
        return
    package = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [imported.name for imported in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*parents, *filter(None, [node.module])])
            names = [base, *(f"{base}.{imported.name}" for imported in node.names)]
        else:
            continue
        for imported in names:
            parts = imported.split(".")
            yield from (".".join(parts[:end]) for end in range(1, len(parts) + 1))
