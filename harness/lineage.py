"""Where a model comes from: a digest of its files, and the note that training leaves beside them."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

NOTE = "harness.json"
PACKAGES = ("sql-harness", "torch", "transformers", "trl", "peft", "sqlglot", "duckdb", "vllm", "lm-eval")


@dataclass(frozen=True, slots=True)
class Lineage:
    """What is known of a model. ``training`` says what each stage was given, the first stage first."""

    method: str = "base"
    parent: str = ""
    task: str = ""
    run: str = ""
    """Id of the training run that made it."""
    training: Mapping[str, Any] = field(default_factory=dict)


def read(folder: Path | None) -> Lineage:
    """The lineage noted in a model folder; an unknown model is a base."""
    note = folder / NOTE if folder and folder.is_dir() else None
    return Lineage(**json.loads(note.read_text(encoding="utf-8"))) if note and note.is_file() else Lineage()


def write(folder: Path, lineage: Lineage) -> None:
    """Note a lineage in a model folder."""
    (folder / NOTE).write_text(json.dumps(asdict(lineage), indent=2) + "\n", encoding="utf-8")


def fingerprint(path: Path | None) -> str:
    """Changes when the files of a model (or the file of its answers) do; "" for what is no path."""
    if path is None:
        return ""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            state = file.stat()
            digest.update(f"{file.relative_to(path)} {state.st_size} {state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]


def versions() -> dict[str, str]:
    """Package -> version, of those that can change a number and are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The git commit of the current folder, with ``+`` where files differ from it; "" outside git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return described.stdout.strip()
