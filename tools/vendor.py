"""``python -m tools.vendor``: fetch the JavaScript files of other projects that the repository carries.

Each is one file of a package of the npm registry, of a fixed version and SHA-256. The licences and versions
are written beside them, so that nobody needs node to use, test or install the package.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent
REGISTRY = "https://registry.npmjs.org"


@dataclass(frozen=True, slots=True)
class Library:
    """One file of an npm package, and where the repository keeps it."""

    package: str
    version: str
    licence: str
    file: str
    """Path in the package."""
    sha256: str
    """Of that file."""
    target: str
    """Path in the repository."""


LIBRARIES = (
    Library(
        "d3",
        "7.9.2",
        "ISC",
        "dist/d3.min.js",
        "912111098ea99503a6f4967361d2bbdc9dbf58cf9c678c8e27e5b02d1a07f0c1",
        "harness/page/vendor/d3.min.js",
    ),
    Library(
        "@observablehq/plot",
        "0.6.17",
        "ISC",
        "dist/plot.umd.min.js",
        "4358086467740777dd788d6b27a95cebdbaefdd50c730a3060117073bd7134cb",
        "harness/page/vendor/plot.min.js",
    ),
    Library(
        "axe-core",
        "4.14.1",
        "MPL-2.0",
        "axe.min.js",
        "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c",
        "tests/vendor/axe.min.js",
    ),
)
"""d3 and Plot draw the charts of ``harness board --html``; axe-core checks it in tests."""


def tarball(library: Library) -> bytes:
    """The package's archive, as the registry has it. Raises httpx.HTTPError."""
    name = library.package.rpartition("/")[2]
    answer = httpx.get(f"{REGISTRY}/{library.package}/-/{name}-{library.version}.tgz", timeout=60)
    answer.raise_for_status()
    return answer.content


def members(archive: bytes, names: tuple[str, ...]) -> list[bytes]:
    """The contents of these files of a package's archive. Raises KeyError: there is no such file."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = [tar.extractfile(f"package/{name}") for name in names]
        return [file.read() for file in files if file]


def fetch(library: Library) -> str:
    """Write the library's file; returns its section of the README. Raises ValueError: another content."""
    content, licence = members(tarball(library), (library.file, "LICENSE"))
    digest = hashlib.sha256(content).hexdigest()
    if digest != library.sha256:
        raise ValueError(f"{library.package} {library.version}: SHA-256 {digest}, not {library.sha256}")
    target = ROOT / library.target
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    facts = f"`{library.package}` {library.version}, {library.licence}, SHA-256 `{digest}`"
    return f"## {target.name}\n\n{facts}\n\n```text\n{licence.decode().strip()}\n```\n"


def main() -> None:
    """Fetch every library, and write a README.md into each folder of them."""
    sections: dict[Path, list[str]] = {}
    for library in LIBRARIES:
        sections.setdefault((ROOT / library.target).parent, []).append(fetch(library))
    for folder, texts in sections.items():
        head = "# Files of other projects\n\nFetched and checked by `python -m tools.vendor`; not modified.\n"
        (folder / "README.md").write_text("\n".join([head, *texts]), encoding="utf-8")


if __name__ == "__main__":
    main()
