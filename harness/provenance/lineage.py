"""Where a model comes from: the note that training leaves beside its files."""

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
from runners.weights.identity import of_folder
from tasks.common import files
from tasks.common.digests import digest_of
from tasks.common.errors import ModelError
from tasks.common.terminal import say

NOTE = "harness.json"
BY_FOLDER = ("settings", "order of questions", "curriculum")
IDENTITY = "identity.json"
"""In a training's folder: what it is made of."""
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
    parent_content: str = ""
    """Digest of the parent's content."""
    content: str = ""
    """Digest of the files that the note is of."""


def model_path(model: str) -> Path | None:
    """The folder or file behind a model's name, where it is one on this machine."""
    from runners.nano import FOLDER

    prefix, _, rest = model.partition(":")
    name = rest if prefix in ("replay", "hf", "vllm") else model
    path = FOLDER if name == "nano" else Path(name)
    if not path.exists():
        path = Path(name.rpartition("+")[2])
    return path if path.exists() else None


def of(run: Run, task: str) -> Lineage:
    """The lineage of what a training run makes. ``task``: as it was named."""
    method = run.method or "base"
    return Lineage(method, run.parent, task, run.id, run.training, run.parent_content)


def read(folder: Path | None) -> Lineage:
    """The lineage noted in a model folder; an unknown model is a base.

    A note that was written beside other files says nothing of these: they are a base, and stderr says so.
    """
    note = folder / NOTE if folder and folder.is_dir() else None
    if folder is None or note is None or not note.is_file():
        return Lineage()
    lineage = _noted(note)
    if lineage.content and lineage.content != content(folder):
        say(f"{note} was written of other files than are there now: taken for a base model")
        return Lineage()
    return lineage


def _noted(note: Path) -> Lineage:
    """What a note says; fields of a newer version are ignored. Raises ModelError: it is damaged."""
    try:
        found = validation.read_json(note)
        values = {one.name: found[one.name] for one in fields(Lineage) if one.name in found}
        for one in fields(Lineage):
            if not isinstance(values.get(one.name, ""), str) and one.name != "training":
                raise ValueError(f"{one.name} is no text")
        if not isinstance(values.get("training", {}), dict):
            raise ValueError("training is no mapping")
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{note}: damaged: {error}: restore it, or remove it to take the model for a base"
        ) from None
    return Lineage(**values)


def write(folder: Path, lineage: Lineage) -> None:
    """Note a lineage, and of which files it is, in a model folder."""
    noted = asdict(replace(lineage, content=content(folder)))
    (folder / NOTE).write_text(json.dumps(noted, indent=2) + "\n", encoding="utf-8")


def is_trained(run: Run, model: Path) -> bool:
    """Whether a finished training of these very inputs made the model that is there, wherever it was then."""
    made = read(model).run
    wanted = identity_of(run)
    return any(one.id == made and one.finished and identity_of(one) == wanted for one in store.runs())


def expect_same(out: Path, run: Run) -> None:
    """Note in its folder what a training is made of; raise ModelError where it began with something else.

    Settings and rows are compared by ``runners.training.folder``, which names them one by one.
    """
    file = out / IDENTITY
    wanted = identity_of(run)
    if wanted is None or not (out / "settings.json").is_file():
        out.mkdir(parents=True, exist_ok=True)
        files.write(file, files.as_json(run.identity))
        return
    try:
        found = parsed(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        found = None
    remedy = "choose another folder or remove it"
    if found is None:
        raise ModelError(f"{out} holds a training that did not record what it is made of: {remedy}")
    words = differences(_without_rows(wanted), _without_rows(found), run.task, run.parent)
    if words:
        raise ModelError(f"{listed(words)} changed since the training in {out} began: {remedy}")


def _without_rows(identity: Identity) -> Identity:
    """Without what ``runners.training.folder`` compares, and names better."""
    others = {key: value for key, value in identity.training.items() if key not in BY_FOLDER}
    return replace(identity, training=others)


def content(folder: Path) -> str:
    """One digest of all of a model's (or adapter's) files."""
    return digest_of(of_folder(folder))


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
