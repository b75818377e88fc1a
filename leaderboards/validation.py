"""Read and check the files of a run directory: anything may have changed them.

Keys that a newer version added are ignored; keys that an older version did not write get their defaults.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any, NotRequired, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from leaderboards.types import SCHEMA, Record, Run, Summary
from tasks.common import files
from tasks.common.files import without_checksum
from tasks.types import Mode

T = TypeVar("T")
DEPTH = 100
"""Most levels of nested brackets: more than a spec has, and few enough for every recursive function."""
_LONG = re.compile(rb"\d{19}")
"""The digits of a number that may have more than 64 bits."""
VERDICTS = ("metric", *(mode.value for mode in Mode))
_verdicts_of = attrgetter(*VERDICTS)
HIGHEST = 1 + 1e-9
"""A share computed with floats may be this large."""


def run(path: Path) -> Run:
    """The run in a directory; its id is the directory's name.

    Raises OSError, ValueError: it is damaged, or a newer version of harness wrote it.
    """
    found = Run(**{**checked(RUN, read_json(path / "run.json")), "id": path.name})
    if found.schema > SCHEMA:
        raise ValueError(
            f"its files have schema {found.schema}; this version of harness reads up to {SCHEMA}"
        )
    return found


def summary(path: Path) -> Summary:
    """The content of ``scores.json`` of an evaluation. Raises OSError, ValueError."""
    try:
        found: Summary = checked(Summary, read_json(path / "scores.json"))
        slices = (found, *found["parts"].values(), *found["difficulty"].values())
        shares = [*((name, one[name]) for one in slices for name in ("ex", "low", "high"))]
        _expect_shares([*shares, *found["modes"].items(), *found["pass_at"].items()])
    except ValueError as error:
        raise ValueError(f"scores.json: {error}") from None
    return found


def records(rows: list[dict[str, Any]]) -> list[Record]:
    """The records in the rows of a parquet file. Raises ValueError: a row is invalid."""
    return [_record(row) for row in rows]


def record_line(line: Mapping[str, Any]) -> tuple[Record, float]:
    """A line of ``partial.jsonl``: the record, and the seconds spent until then. Raises ValueError."""
    return _record(line.get("record")), _number(line.get("elapsed"))


def _record(row: object) -> Record:
    record = Record(**checked(RECORD, row))
    for value in _verdicts_of(record):
        if value is not None and not 0 <= value <= HIGHEST:
            _expect_shares(zip(VERDICTS, _verdicts_of(record), strict=True))
    return record


def _expect_shares(values: Iterable[tuple[str, float | None]]) -> None:
    """Raise ValueError where a value is not in [0, 1]: one that is no number would hide every difference."""
    for name, value in values:
        if value is not None and not 0 <= value <= HIGHEST:
            raise ValueError(f"{name}: {value} is not in [0, 1]")


def curve_line(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of ``curve.jsonl``: figures, with their ``step``. Raises ValueError."""
    if not math.isfinite(_number(line.get("step"))):
        raise ValueError("step is not finite")
    return {name: _number(value) for name, value in line.items()}


def lines(path: Path, check: Callable[[Mapping[str, Any]], T]) -> tuple[list[T], int]:
    """The valid lines of a JSON-lines file, and the number of invalid ones; no lines if there is no file.

    Raises OSError, ValueError: it is no regular file, or cannot be read.
    """
    valid, bad = [], 0
    try:
        content = files.read(path)
    except FileNotFoundError:
        return [], 0
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            valid.append(check(without_checksum(_mapping(_parsed(line)))))
        except ValueError:
            bad += 1
    return valid, bad


def read_json(path: Path) -> Mapping[str, Any]:
    """The mapping in a JSON file. Raises OSError, ValueError: missing, changed, or nested too deeply."""
    return without_checksum(_mapping(_parsed(files.read(path))))


def _parsed(content: bytes) -> Any:
    try:
        value = json.loads(content)
    except RecursionError:
        raise ValueError("brackets are nested too deeply") from None
    may_be_long = b"\0" in content or _LONG.search(content) is not None  # UTF-16 has zeros between digits
    if not may_be_long and content.count(b"{") + content.count(b"[") <= DEPTH:
        return value
    level = [value]
    for _ in range(DEPTH):
        if may_be_long and any(type(item) is int and not -(2**63) <= item < 2**63 for item in level):
            raise ValueError("a number with more than 64 bits")
        level = [
            inner
            for item in level
            if type(item) in (dict, list)
            for inner in (item.values() if type(item) is dict else item)
        ]
        if not level:
            return value
    raise ValueError("brackets are nested too deeply")


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"not a mapping of keys but {type(value).__name__}")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"not a number: {value!r:.40}")
    return value


def checked(shape: Any, value: object) -> Any:
    """The value with every type as declared, without conversions. Raises ValueError."""
    try:
        return _adapter(shape).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(f"{where}: {first['msg']}" if where else first["msg"]) from None


@cache
def _adapter(shape: Any) -> TypeAdapter[Any]:
    return TypeAdapter(shape)


def _shape(dataclass_type: Any) -> Any:
    """The ``TypedDict`` of a dataclass as JSON stores it."""
    types = get_type_hints(dataclass_type)
    return TypedDict(  # type: ignore[operator]
        dataclass_type.__name__,
        {
            field.name: types[field.name] if _required(field) else NotRequired[types[field.name]]
            for field in fields(dataclass_type)
        },
    )


def _required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


RUN: Any = _shape(Run)
RECORD: Any = _shape(Record)
REQUIRED = tuple(field.name for field in fields(Record) if _required(field))
"""The fields that a record cannot be without."""
