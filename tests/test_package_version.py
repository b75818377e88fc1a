"""A change of any of our files is another version, also of files that decide no verdict."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.provenance.package_version import package_version
from harness.provenance.source_files import OURS

ROOT = Path(__file__).parent.parent
PRINT = "from harness.provenance.package_version import package_version; print(package_version())"


@pytest.mark.parametrize("changed", ["", "harness/training/train.py", "runners/types.py", "rewards/judge.py"])
def test_every_file_counts(tmp_path: Path, changed: str) -> None:
    for package in OURS:
        shutil.copytree(ROOT / package, tmp_path / package)
    if changed:
        with (tmp_path / changed).open("a") as file:
            file.write("\n")
    other = subprocess.check_output([sys.executable, "-c", PRINT], cwd=tmp_path, text=True).strip()
    assert (other == package_version()) is not bool(changed)
