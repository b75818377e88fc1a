"""The folder of a training run: its files, and how an interrupted run is resumed.

``settings.json`` holds model, rows and settings; ``curve.jsonl`` has one row per step; ``checkpoints/`` and
``best/`` exist while the training runs. At the end there are ``model/`` (a plain model folder), ``adapter/``
(LoRA only) and ``training.json``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runners.training import distributed
from tasks.common import files
from tasks.common.errors import ModelError
from tasks.common.terminal import say

CurveRow = dict[str, float]
LOGGING = ("tracker", "wandb")
"""Settings that may differ when a training is resumed; trainings of older versions have ``wandb``."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """The result of a training. ``best_step`` is the step whose weights were saved."""

    model: str
    steps: int
    seconds: float
    tokens: int
    best_step: int
    best: float | None = None


def rows_digest(rows: Sequence[object]) -> str:
    """SHA-256 of the training rows, 16 hex digits."""
    sha = hashlib.sha256()
    for row in rows:
        sha.update(repr(row).encode())
    return sha.hexdigest()[:16]


class RunFolder:
    """The folder of one training, which is resumed if the folder is opened again with the same settings."""

    def __init__(self, out: Path, settings: Mapping[str, Any]) -> None:
        """Open or create the folder. Raises ModelError: it holds a training with other settings."""
        self.out = out
        self.checkpoints = out / "checkpoints"
        self.best = out / "best"
        out.mkdir(parents=True, exist_ok=True)
        path = out / "settings.json"
        wanted = json.loads(json.dumps(settings))
        if not distributed.is_main():
            return
        if path.is_file():
            _check_same_settings(out, read_json(path), wanted)
        else:
            write_json(path, wanted)

    def result(self) -> TrainingResult | None:
        """The result of a training that has ended, else None. Raises ModelError: the file is damaged."""
        path = self.out / "training.json"
        if not path.is_file():
            return None
        try:
            return TrainingResult(**read_json(path)["result"])
        except (KeyError, TypeError):
            raise ModelError(f"{path}: damaged: it holds no result of a training") from None

    def last_checkpoint(self) -> Path | None:
        """The newest complete checkpoint, or None; removes incomplete ones."""
        complete = []
        for folder in self.checkpoints.glob("checkpoint-*"):
            if (folder / "complete").is_file():
                complete.append(folder)
            elif distributed.is_main():
                shutil.rmtree(folder)
        return max(complete, key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)

    def curve(self) -> list[CurveRow]:
        """The rows of the curve so far."""
        return curve(self.out)

    def truncate_curve(self, step: int) -> None:
        """Remove the rows after ``step``, because their steps will be repeated."""
        rows = [row for row in self.curve() if row["step"] <= step]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (self.out / "curve.jsonl").write_text(text)


def curve(out: Path) -> list[CurveRow]:
    """The rows of a training's curve; the number of damaged lines is printed on stderr."""
    path = out / "curve.jsonl"
    if not path.is_file():
        return []
    rows = [_row(line) for line in path.read_bytes().split(b"\n")]
    if damaged := rows[:-1].count(None):
        say(f"{path}: {damaged} damaged lines are left out")
    return [row for row in rows if row is not None]


def _row(line: bytes) -> CurveRow | None:
    """The row in a line of the curve; None if it is incomplete or damaged."""
    try:
        row = json.loads(line)
        return row if "step" in row and all(type(value) in (int, float) for value in row.values()) else None
    except (ValueError, AttributeError, RecursionError):
        return None


def completed_steps(out: Path) -> int:
    """The step of the newest complete checkpoint, from which a training is resumed; 0 without one."""
    complete = out.glob("checkpoints/checkpoint-*/complete")
    return max((int(path.parent.name.rpartition("-")[2]) for path in complete), default=0)


def _check_same_settings(out: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    flat_stored, flat_wanted = _flat(stored), _flat(wanted)
    for key in {**flat_stored, **flat_wanted}:
        if key.rpartition(".")[2] in LOGGING:
            continue
        before, now = flat_stored.get(key), flat_wanted.get(key)
        if before != now:
            raise ModelError(
                f"{out} holds a training run with {key} = {before}, this one has {now}:"
                " choose another folder or remove it"
            )


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def read_json(path: Path) -> dict[str, Any]:
    """The mapping that ``write_json`` wrote. Raises ModelError: it is damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: damaged: {error}: restore it, or train into another folder") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path}: damaged: not a mapping but {type(content).__name__}")
    return content


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a mapping to a JSON file atomically. Raises DataError: it cannot be written."""
    files.write(path, files.as_json(data))
