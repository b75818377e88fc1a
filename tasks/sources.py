"""Where questions come from: each source turns a dataset spec and a split into plain rows.

Rows keep the dataset's own column names; ``tasks.task`` maps them to Samples.
"""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tasks.errors import DataError, HarnessError, MissingExtra, nearest
from tasks.spec import DatasetSpec, expand

Rows = list[dict[str, Any]]


def rows(spec: DatasetSpec, split: str) -> Rows:
    """All rows of a split, in the dataset's order, before any filter.

    Raises DataError: unknown split, missing or unreadable file, no rows.
    """
    if split not in spec.splits:
        raise DataError(f"no split '{split}': {nearest(split, spec.splits)}")
    found = SOURCES[spec.source](spec, spec.splits[split])
    if not found:
        raise DataError(f"the split '{split}' of {spec.path} is empty")
    return found


def _from_file(spec: DatasetSpec, entry: str) -> Rows:
    path = Path(expand(spec.path, split=entry))
    if not path.is_file():
        raise DataError(f"no such file: {path}")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path}: cannot read '{path.suffix}' files; known: {', '.join(READERS)}")
    try:
        return list(reader(path))
    except HarnessError:
        raise
    except Exception as error:  # a reader of foreign files may raise anything; the file is the user's
        raise DataError(f"{path}: cannot be read: {type(error).__name__}: {first_line(error)}") from error


def _json(path: Path) -> Iterator[dict[str, Any]]:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data, list) or not all(isinstance(row, dict) for row in data):
        raise DataError(f"{path}: a dataset in JSON is a list of objects")
    yield from data


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{path}, line {number}: {error.msg}") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}, line {number}: not an object")
        yield row


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet

    yield from pyarrow.parquet.read_table(path).to_pylist()


def _from_huggingface(spec: DatasetSpec, entry: str) -> Rows:
    try:
        import datasets
    except ImportError:
        raise MissingExtra("datasets", "train") from None
    path = expand(spec.path)
    try:
        if Path(path).is_dir() and _saved(Path(path)):
            data = datasets.load_from_disk(path)
            chosen = data[entry] if isinstance(data, datasets.DatasetDict) else data
        else:
            chosen = datasets.load_dataset(path, split=entry, revision=spec.revision or None)
    except Exception as error:  # the library raises its own, the hub's and the file system's errors
        raise DataError(f"dataset {path} [{entry}]: {type(error).__name__}: {first_line(error)}") from error
    return [dict(row) for row in chosen]


def _saved(folder: Path) -> bool:
    """Whether ``datasets`` wrote this folder with ``save_to_disk``."""
    return any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _from_python(spec: DatasetSpec, entry: str) -> Rows:
    function = load_object(spec.path)
    try:
        found = function(entry)
    except HarnessError:
        raise
    except Exception as error:  # the function is the user's
        raise DataError(f"'{spec.path}' raised {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise DataError(f"'{spec.path}' must return a list of dicts, one a row")
    return found


def load_object(path: str) -> Any:
    """The object that ``module:name`` names. Raises DataError where there is none."""
    module, _, name = path.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise DataError(f"'{path}' names nothing to import (module:name): {first_line(error)}") from error


def _from_text2sql(spec: DatasetSpec, entry: str) -> Rows:
    """The text2sql-data format: templates with variables, filled in for every sentence.

    The columns are ``question``, ``query`` (all equivalent golds) and ``id`` (position in the file).
    Source: https://github.com/jkkummerfeld/text2sql-data, ``tools/json_to_flat.py``.
    """
    position = 0
    found: Rows = []
    for template in _from_file(spec, entry):
        for sentence in template["sentences"]:
            if sentence["question-split"] == entry:
                found.append(_filled(template, sentence) | {"id": str(position)})
            position += 1
    return found


def _filled(template: dict[str, Any], sentence: dict[str, Any]) -> dict[str, Any]:
    question, golds = sentence["text"], list(template["sql"])
    for name, value in sentence["variables"].items():
        question = question.replace(name, value)
        golds = [gold.replace(name, value) for gold in golds]
    for variable in template["variables"]:
        if variable["name"] not in sentence["variables"]:
            golds = [gold.replace(variable["name"], variable["example"]) for gold in golds]
    return {"question": question, "query": golds}


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for one-line messages."""
    return str(error).strip().split("\n")[0]


READERS: dict[str, Callable[[Path], Iterator[dict[str, Any]]]] = {
    ".json": _json,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
SOURCES: dict[str, Callable[[DatasetSpec, str], Rows]] = {
    "file": _from_file,
    "huggingface": _from_huggingface,
    "python": _from_python,
    "text2sql": _from_text2sql,
}
