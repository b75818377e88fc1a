"""From YAML and ``key.path=value`` overrides to a validated model, with one-line errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.common.errors import SpecError, nearest
from tasks.common.terminal import one_line

S = TypeVar("S", bound=BaseModel)
MAX_BYTES = 2**20
"""Of a spec's file."""
MAX_VALUES = 100_000
"""In a spec."""


class Spec(BaseModel):
    """Base of all spec sections: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Loader(yaml.SafeLoader):
    """YAML in which a key is text as it stands (``yes``, ``2020``), once in a mapping: the last would win."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in seen:
                    raise SpecError(
                        f"line {line}: the key '{key.value}' stands in line {seen[key.value]} too"
                    )
                seen[key.value] = line
                if key.tag != "tag:yaml.org,2002:merge":
                    key.tag = "tag:yaml.org,2002:str"
        return node


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises SpecError where there is none."""
    if (size := path.stat().st_size) > MAX_BYTES:
        raise SpecError(f"{path}: {size:,} bytes: a spec has at most {MAX_BYTES:,}")
    try:
        data = _loaded(path.read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise SpecError(f"{path}: not YAML: {error}") from None
    except SpecError as error:
        raise SpecError(
            f"{path}, {error}" if str(error).startswith("line ") else f"{path}: {error}"
        ) from None
    if not isinstance(data, dict):
        found = "empty" if data is None else f"a {type(data).__name__}"
        raise SpecError(f"{path}: a spec is a mapping of keys, this is {found}")
    return data


def _loaded(text: str) -> Any:
    """The plain data of a YAML text. Raises SpecError: no YAML, or aliases that grow or never end."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MAX_VALUES:
            raise SpecError(f"not a spec: over {MAX_VALUES:,} values, counted wherever an alias puts them")
        return json.loads(json.dumps(loader.construct_document(node), default=str))
    except RecursionError:
        raise SpecError("not a spec: brackets within brackets without end") from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise SpecError(f"not YAML: {one_line(str(error))[:300]}") from None


def _size(node: Any, known: dict[int, int]) -> int:
    """The values in a YAML node, those of an alias counted each time; a node within itself has no end."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MAX_VALUES
        inner = node.value if isinstance(node, yaml.SequenceNode) else chain.from_iterable(node.value)
        known[id(node)] = 1 + sum(_size(one, known) for one in inner)
    return known[id(node)]


def parse(kind: type[S], data: Mapping[str, Any], overrides: Sequence[str] = (), where: str = "spec") -> S:
    """Validate a mapping as a spec of this kind; errors name the key and the nearest right one."""
    merged = json.loads(json.dumps(data, default=str))
    for override in overrides:
        _override(merged, override)
    try:
        return kind.model_validate(merged)
    except ValidationError as error:
        raise SpecError(f"{where}: {_explain(kind, error)}") from None


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise SpecError(f"--set {override}: write key.path=value")
    *parents, last = key.split(".")
    for parent in parents:
        data = data.setdefault(parent, {})
        if not isinstance(data, dict):
            raise SpecError(f"--set {override}: '{parent}' is not a section")
    try:
        data[last] = _loaded(value)
    except SpecError:
        raise SpecError(f"--set {override}: '{value}' is not a YAML value") from None


def _explain(kind: type[BaseModel], error: ValidationError) -> str:
    """The first thing wrong with a spec, in one line."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if first["type"] != "extra_forbidden":
        return f"{'.'.join(path)}: {first['msg']} (got {first['input']!r:.80})"
    section: Any = kind
    for part in path[:-1]:
        section = _field(section, part)
    known = [field.alias or name for name, field in section.model_fields.items()]
    return f"unknown key '{'.'.join(path)}': {nearest(path[-1], known)}"


def _field(section: Any, part: str) -> Any:
    for name, field in section.model_fields.items():
        if part in (name, field.alias):
            parts = get_args(field.annotation)  # of a section that may be left out: Section | None
            return next((one for one in parts if hasattr(one, "model_fields")), field.annotation)
    return section
