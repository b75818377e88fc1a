"""The lineage of a model: a file beside the model's files, written by the training that made it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from leaderboards import store, validation
from leaderboards.identity import Identity, differences, identity_of, listed, parsed
from leaderboards.types import Run
from runners.known.models import MODELS
from runners.weights.identity import of_folder
from tasks.common import files
from tasks.common.digests import digest_of
from tasks.common.errors import ModelError
from tasks.common.terminal import say

LINEAGE_FILE = "harness.json"
CHECKED_BY_FOLDER = ("settings", "order of questions", "curriculum")
"""Components that ``runners.training.folder`` compares."""
IDENTITY = "identity.json"
"""File in a training's folder with the identity of its inputs."""
PACKAGES = ("sql-harness", "torch", "transformers", "trl", "peft", "sqlglot", "duckdb", "vllm", "lm-eval")


@dataclass(frozen=True, slots=True)
class Lineage:
    """The origin of a model. ``training``: the rows and settings of each stage, in order."""

    method: str = "base"
    parent: str = ""
    task: str = ""
    run: str = ""
    """Id of the training run that made the model."""
    training: Mapping[str, Any] = field(default_factory=dict)
    parent_content: str = ""
    """Digest of the parent's content."""
    content: str = ""
    """Digest of the model's files."""


def model_path(model: str) -> Path | None:
    """The folder or file of a model; None if its name refers to no file on this machine."""
    prefix, _, rest = model.partition(":")
    name = rest if prefix in ("replay", "hf", "vllm") else model
    path = MODELS[name].folder if name in MODELS else Path(name)
    if not path.exists():
        path = Path(name.rpartition("+")[2])
    return path if path.exists() else None


def of(run: Run, task: str) -> Lineage:
    """The lineage of the model that a training run makes. ``task``: its name or file, as in the command."""
    method = run.method or "base"
    return Lineage(method, run.parent, task, run.id, run.training, run.parent_content)


def read(folder: Path | None) -> Lineage:
    """Read the lineage in a model folder; a model without one is a base.

    If the model's files have changed since it was written, it is ignored, with a line on stderr.
    """
    file = folder / LINEAGE_FILE if folder and folder.is_dir() else None
    if folder is None or file is None or not file.is_file():
        return Lineage()
    lineage = _read_file(file)
    if lineage.content and lineage.content != content(folder):
        say(f"{file} describes other files than those in the folder: the model counts as a base")
        return Lineage()
    return lineage


def _read_file(file: Path) -> Lineage:
    """Read a lineage file, without the fields of a newer version. Raises ModelError: it is damaged."""
    try:
        stored = validation.read_json(file)
        values = {field.name: stored[field.name] for field in fields(Lineage) if field.name in stored}
        for name in (field.name for field in fields(Lineage)):
            if not isinstance(values.get(name, ""), str) and name != "training":
                raise ValueError(f"{name} is not a text")
        if not isinstance(values.get("training", {}), dict):
            raise ValueError("training is not a mapping")
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{file}: damaged: {error}: restore it, or remove it so that the model counts as a base"
        ) from None
    return Lineage(**values)


def write(folder: Path, lineage: Lineage) -> None:
    """Write a lineage and the digest of the files it describes into a model folder."""
    values = asdict(replace(lineage, content=content(folder)))
    (folder / LINEAGE_FILE).write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def is_trained(run: Run, model: Path) -> bool:
    """Whether a finished training with the same inputs made this model, in any folder."""
    made_by = read(model).run
    wanted = identity_of(run)
    return any(
        other.id == made_by and other.finished and identity_of(other) == wanted for other in store.runs()
    )


def expect_same(out: Path, run: Run) -> None:
    """Write the identity of a training into its folder.

    Raises ModelError: the training in the folder began with other inputs. ``runners.training.folder``
    compares settings and rows, and names what differs.
    """
    file = out / IDENTITY
    wanted = identity_of(run)
    if wanted is None or not (out / "settings.json").is_file():
        out.mkdir(parents=True, exist_ok=True)
        files.write(file, files.as_json(run.identity))
        return
    try:
        stored = parsed(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        stored = None
    remedy = "choose another folder or remove it"
    if stored is None:
        raise ModelError(f"{out} holds a training that did not record its inputs: {remedy}")
    words = differences(_without_rows(wanted), _without_rows(stored), run.task, run.parent)
    if words:
        raise ModelError(f"{listed(words)} changed since the training in {out} began: {remedy}")


def _without_rows(identity: Identity) -> Identity:
    """The identity without the parts that ``runners.training.folder`` compares."""
    others = {key: value for key, value in identity.training.items() if key not in CHECKED_BY_FOLDER}
    return replace(identity, training=others)


def content(folder: Path) -> str:
    """One digest of all files of a model or an adapter."""
    return digest_of(of_folder(folder))


def versions() -> dict[str, str]:
    """Package -> version, for the installed packages that can change a figure."""
    installed = {}
    for package in PACKAGES:
        try:
            installed[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return installed


def commit() -> str:
    """The git commit of the current folder, with ``+`` where files are modified; "" outside git."""
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
