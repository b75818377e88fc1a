"""Where the files of a task are: its YAML file, and the paths in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tasks.common.errors import nearest


def missing(path: Path, shipped: Sequence[str]) -> str:
    """Why there is no task file at a path, with the nearest right name."""
    if path.is_dir():
        return f"it is a folder, expected a YAML file{_near(path / 'task.yaml', '; in it')}"
    return f"not a file{_near(path, ':')}, and not a shipped task ({nearest(str(path), shipped)})"


def _near(path: Path, before: str) -> str:
    """The YAML file beside ``path`` whose name is nearest, if one is near."""
    found = [one.name for one in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    near = nearest(path.name, found) if found else ""
    return f"{before} {near.rstrip('?')}" if near.startswith("did") else ""


def from_folder(data: dict[str, Any], folder: Path) -> dict[str, Any]:
    """A task as read from a YAML file, with the relative paths in it taken from the file's folder.

    A template is a path if there is such a file. Places that begin with ``${VARIABLE}`` stay as they are.
    """
    dataset, prompt = data.get("dataset"), data.get("prompt")
    for section, key in (("dataset", "path"), ("databases", "path"), ("databases", "instances")):
        part = data.get(section)
        path = part.get(key) if isinstance(part, dict) else None
        if not isinstance(path, str) or not path or path.startswith(("/", "$", "~")):
            continue
        source = dataset.get("source", "file") if isinstance(dataset, dict) else "file"
        if section == "databases" or source in ("file", "text2sql") or (folder / path).is_dir():
            data[section] = {**data[section], key: str(folder / path)}
    template = prompt.get("template") if isinstance(prompt, dict) else None
    if isinstance(template, str) and (folder / template).is_file():
        data["prompt"] = {**data["prompt"], "template": str(folder / template)}
    return data
