"""The sources of questions: a source turns a dataset spec and a split into plain rows.

Rows keep the dataset's own column names; ``tasks.samples`` turns them into Samples.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tasks import readers
from tasks.common.errors import DataError, HarnessError, MissingData, MissingExtra, first_line, nearest
from tasks.common.home import expand
from tasks.common.named_code import load_object
from tasks.common.terminal import one_line, say
from tasks.dataset import DatasetSpec
from tasks.formats import livesqlbench, spider2, text2sql, wikisql, wikitables

Rows = list[dict[str, Any]]
_SLICE = re.compile(r"(?P<name>.*)\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\]")


def rows(spec: DatasetSpec, split: str) -> Rows:
    """All rows of a split, in the dataset's order, before ``dataset.where``.

    Raises DataError: the split is unknown or empty, or its file is missing or cannot be read.
    """
    if split not in spec.splits:
        raise DataError(f"no split '{split}': {nearest(split, spec.splits)}")
    rows = SOURCES[spec.source](spec, spec.splits[split])
    if not rows:
        raise DataError(f"the split '{split}' of {spec.path} is empty")
    return rows


def _from_file(spec: DatasetSpec, entry: str) -> Rows:
    name, cut = sliced(entry)
    rows = [row for file in _files(Path(expand(spec.path, split=name))) for row in readers.read(file)]
    return rows[cut(len(rows))] if cut else rows


def _files(path: Path) -> list[Path]:
    """The file of a path, or those that match it, by name, where its last part has ``*`` or ``?``."""
    matching = sorted(path.parent.glob(path.name)) if set("*?") & set(path.name) else []
    return matching or [path]


def state(spec: DatasetSpec) -> str:
    """``found`` if the evaluation split is on this machine, ``Hub`` if it is read from there, else what is
    missing."""
    if spec.source == "python":
        return "found"
    name, _ = sliced(spec.splits[spec.eval_split])
    try:
        path = Path(expand(spec.path, split=name))
    except HarnessError as error:
        return str(error)
    if any(file.exists() for file in _files(path)):
        return "found"
    return "Hub" if spec.source == "huggingface" else f"{path}: no such file"


def warn_of_equal_splits(task: str, spec: DatasetSpec, split: str) -> None:
    """Print a line on stderr for each other split that reads the same rows of the same file."""
    if spec.source != "file":
        return

    def rows_of(split: str) -> tuple[str, str]:
        name, _ = sliced(spec.splits[split])
        return expand(spec.path, split=name), spec.splits[split].removeprefix(name)

    for other in spec.splits:
        if other != split and rows_of(other) == rows_of(split):
            say(f"{task}: the splits '{split}' and '{other}' are the same rows of one file")


def sliced(entry: str) -> tuple[str, Callable[[int], slice] | None]:
    """A split's entry without ``[from:to]``, and a function from the number of rows to that slice.

    As on the Hub, a bound is a row number, negative from the end, or a share such as ``10%``. The function is
    None where the entry has no slice.
    """
    match = _SLICE.fullmatch(entry)
    if match is None:
        return entry, None

    def bound(text: str | None, rows: int) -> int | None:
        if not text:
            return None
        return round(int(text[:-1]) * rows / 100) if text.endswith("%") else int(text)

    return match["name"], lambda rows: slice(bound(match["start"], rows), bound(match["stop"], rows))


def _from_huggingface(spec: DatasetSpec, entry: str) -> Rows:
    try:
        import datasets
    except ImportError:
        raise MissingExtra("datasets", "train") from None
    path = expand(spec.path)
    try:
        if Path(path).is_dir() and _is_saved_dataset(Path(path)):
            data = datasets.load_from_disk(path)
            chosen = data[entry] if isinstance(data, datasets.DatasetDict) else data
        else:
            chosen = datasets.load_dataset(
                path, spec.config or None, split=entry, revision=spec.revision or None
            )
    except Exception as error:  # the library raises its own, the hub's and the file system's errors
        cause = one_line(str(error))[:200] if isinstance(error, ValueError) else first_line(error)
        raise MissingData(f"dataset {path} [{entry}]: {type(error).__name__}: {cause}") from error
    return [dict(row) for row in chosen]


def _is_saved_dataset(folder: Path) -> bool:
    """Whether ``datasets`` wrote this folder with ``save_to_disk``."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _from_python(spec: DatasetSpec, entry: str) -> Rows:
    try:
        function = load_object(spec.path)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(
            f"'{spec.path}' names nothing to import (module:name): {first_line(error)}"
        ) from error
    try:
        rows = function(entry)
    except HarnessError:
        raise
    except Exception as error:  # the function is the user's
        raise DataError(f"'{spec.path}' raised {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DataError(f"'{spec.path}' must return a list of dicts, one for each row")
    return rows


def _from_format(read: Callable[[Path, str], Rows]) -> Callable[[DatasetSpec, str], Rows]:
    """A source whose files have a format of their own: ``read`` takes a path and the split's entry."""

    def rows(spec: DatasetSpec, entry: str) -> Rows:
        name, cut = sliced(entry)
        found = read(Path(expand(spec.path, split=name)), name)
        return found[cut(len(found))] if cut else found

    return rows


SOURCES: dict[str, Callable[[DatasetSpec, str], Rows]] = {
    "file": _from_file,
    "huggingface": _from_huggingface,
    "python": _from_python,
    "text2sql": _from_format(text2sql.rows),
    "wikitables": _from_format(wikitables.rows),
    "wikisql": _from_format(wikisql.rows),
    "livesqlbench": _from_format(livesqlbench.rows),
    "spider2": _from_format(spider2.rows),
}
