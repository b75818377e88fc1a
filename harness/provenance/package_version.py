"""The version of all our packages, which the machines of one training must share."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from harness.provenance.source_files import OURS
from rewards.version import digest_of_files


@cache
def package_version() -> str:
    """Changes with every byte of the Python files of our packages."""
    folders = [Path(import_module(name).__path__[0]) for name in OURS]
    return digest_of_files(file for folder in folders for file in sorted(folder.rglob("*.py")))
