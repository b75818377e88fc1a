"""From YAML and ``key.path=value`` overrides to a validated model, with one-line errors."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from tasks.errors import SpecError, nearest

S = TypeVar("S", bound=BaseModel)


class Spec(BaseModel):
    """Base of all spec sections: immutable, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Loader(yaml.SafeLoader):
    """YAML in which a key may stand once in a mapping: the last would win without a word."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                if key.value in seen:
                    raise SpecError(
                        f"line {line}: the key '{key.value}' stands in line {seen[key.value]} too"
                    )
                seen[key.value] = line
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises SpecError where there is none."""
    try:
        data = yaml.load(path.read_bytes().decode("utf-8-sig"), Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except SpecError as error:
        raise SpecError(f"{path}, {error}") from None
    if not isinstance(data, dict):
        raise SpecError(f"{path}: a spec is a mapping of keys, this is {type(data).__name__}")
    return data


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
        data[last] = yaml.safe_load(value)
    except yaml.YAMLError:
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
