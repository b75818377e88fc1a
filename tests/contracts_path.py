"""Where a package cannot be installed beside the others, tests take the copied part of its interface."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path


def use(package: str) -> None:
    """Make ``tests/contracts/PACKAGE`` importable if the package itself is not."""
    if find_spec(package) is None:
        sys.path.append(str(Path(__file__).parent / "contracts"))
