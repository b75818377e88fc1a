"""This package as a wheel, for images in which another program scores answers.

No registry has the package. The wheel is put together from the files that run here, because an installed
package can not be built again. Format: https://packaging.python.org/specifications/binary-distribution-format
"""

from __future__ import annotations

import base64
import zipfile
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

from packaging.requirements import Requirement

from tasks.common.errors import DataError
from tasks.common.extras import PACKAGE, ROOT

PACKAGES = ("harness", "leaderboards", "rewards", "runners", "tasks")
FORMAT = "Wheel-Version: 1.0\nGenerator: harness export\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_wheel(folder: Path) -> Path:
    """Write the wheel into a folder; equal files give equal bytes. Raises DataError: no installed package."""
    try:
        installed = distribution(PACKAGE)
    except PackageNotFoundError:
        raise DataError("sql-harness is not installed: pip install it before you export") from None
    name = f"{PACKAGE.replace('-', '_')}-{installed.version}"
    info = f"{name}.dist-info"
    metadata = installed.read_text("METADATA") or installed.read_text("PKG-INFO") or ""  # a clone has an egg
    contents = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in _sources()}
    contents[f"{info}/METADATA"] = metadata.encode()
    contents[f"{info}/WHEEL"] = FORMAT.encode()
    lines = [f"{file},sha256={_digest(content)},{len(content)}" for file, content in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*lines, f"{info}/RECORD,,\n"]).encode()
    wheel = folder / f"{name}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for file, content in contents.items():
            archive.writestr(zipfile.ZipInfo(file), content, zipfile.ZIP_DEFLATED)
    return wheel


def pinned() -> list[str]:
    """The core dependencies in the versions that run here, as ``name==version``."""
    required = [Requirement(text) for text in distribution(PACKAGE).requires or ()]
    core = [one.name for one in required if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [f"{name}=={version(name)}" for name in sorted(core)]


def _sources() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(sha256(content).digest()).rstrip(b"=").decode()
