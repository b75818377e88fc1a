"""``pocket``, the embedded task: 12 small databases and questions on them, built on first use.

Layout under HARNESS_HOME: ``pocket-1/<database>/<database>.sqlite``, beside it the second instance
``<database>_2.sqlite``, and ``pocket-1/<split>.json`` with the rows of each split.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import nullcontext
from pathlib import Path

from tasks.common import files
from tasks.common.errors import DataError, nearest
from tasks.common.home import home

VERSION = 1
SPLITS = ("train", "dev", "test")
STAMP = "sources.sha256"


def rows(split: str) -> list[dict[str, str]]:
    """The rows of ``train``, ``dev`` or ``test``: id, question, query, db_id, difficulty, family, part.

    Raises DataError: the split is unknown, or HARNESS_HOME cannot be written.
    """
    if split not in SPLITS:
        raise DataError(f"pocket has no split '{split}': {nearest(split, SPLITS)}")
    data: list[dict[str, str]] = json.loads((ensure() / f"{split}.json").read_text(encoding="utf-8"))
    return data


def ensure() -> Path:
    """The built folder. It is built if it is missing, or if it was built from other sources than these.

    Raises DataError: HARNESS_HOME cannot be written.
    """
    folder = home() / f"pocket-{VERSION}"
    if _stamp(folder) == _digest():
        return folder
    try:
        home().mkdir(parents=True, exist_ok=True)
        lock = files.lock(folder.with_suffix(".lock"), wait=True)
        with lock or nullcontext():
            if _stamp(folder) != _digest():
                with files.new_folder(folder, replace=True) as new:
                    build(new)
    except (OSError, ValueError, sqlite3.OperationalError) as error:
        raise DataError(f"pocket cannot be built in HARNESS_HOME ({home()}): {error}") from error
    return folder


def build(folder: Path) -> None:
    """Write all databases and rows into a new folder. They are always the same."""
    from tasks.pocket.domains import DOMAINS
    from tasks.pocket.fill import INSTANCES, Columns, fill, write
    from tasks.pocket.sampling import sample

    base: dict[str, Columns] = {}
    paths: dict[str, list[Path]] = {}
    for domain in DOMAINS:
        place = folder / domain.name
        place.mkdir(parents=True)
        paths[domain.name] = [place / f"{domain.name}.sqlite", place / f"{domain.name}_2.sqlite"]
        for instance, file in zip(INSTANCES, paths[domain.name], strict=True):
            columns = fill(domain, instance)
            write(domain, columns, file)
            base.setdefault(domain.name, columns)
    for split, rows in sample(base, paths).items():
        (folder / f"{split}.json").write_text(json.dumps(rows, indent=0), encoding="utf-8")
    (folder / STAMP).write_text(_digest(), encoding="utf-8")


def _stamp(folder: Path) -> str:
    file = folder / STAMP
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def _digest() -> str:
    """SHA-256 of the sources of this package, so that an upgrade builds again."""
    sources = sorted(Path(__file__).parent.rglob("*.py"))
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()
