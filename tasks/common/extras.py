"""What pip installs an optional dependency from. No package registry has this package."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "sql-harness"
"""Its distribution. On PyPI this is the name of somebody else's package, so no command may name it."""
ROOT = Path(__file__).parents[2]
"""The clone that this code runs from, or the folder in which the package is installed."""


def source(extra: str) -> list[str]:
    """The arguments of ``pip install``: a clone, else what the extra requires; empty if neither is known."""
    if (ROOT / "pyproject.toml").is_file():
        return ["-e", f"{ROOT}[{extra}]"]
    return list(dict.fromkeys(_requirements(extra)))


def remedy(extra: str) -> str:
    """The command that installs an extra, for the end of a message."""
    words = source(extra)
    if not words or "-e" in words:
        return f"pip install -e '.[{extra}]' in a clone"
    return shlex.join(["pip", "install", *words])


def _requirements(extra: str) -> Iterator[str]:
    """The requirements of an extra and of the extras in it; none where the package is not installed."""
    # slow to import, and workers do not need it
    from importlib.metadata import PackageNotFoundError, requires

    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    try:
        required = [Requirement(text) for text in requires(PACKAGE) or ()]
    except PackageNotFoundError:
        return
    for one in required:
        if (
            one.marker is None
            or one.marker.evaluate({"extra": ""})
            or not one.marker.evaluate({"extra": extra})
        ):
            continue
        if canonicalize_name(one.name) == PACKAGE:
            for other in sorted(one.extras - {extra}):
                yield from _requirements(other)
        else:
            one.marker = None
            yield str(one)
