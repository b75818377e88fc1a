"""Parse YAML and ``key.path=value`` overrides into a validated spec, with one-line errors."""

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
"""The most bytes of a spec's file."""
MAX_VALUES = 100_000
"""The most values in a spec."""


class SecretError(ValueError):
    """A value is wrong that no message may repeat."""


class Spec(BaseModel):
    """Base of all sections of a spec: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class _Loader(yaml.SafeLoader):
    """YAML whose keys are plain text (``yes``, ``2020``); a key that is twice in a mapping is an error."""

    def compose_mapping_node(self, anchor: Any) -> Any:
        node = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                line = key.start_mark.line + 1
                if key.value in seen:
                    raise SpecError(f"line {line}: the key '{key.value}' is in line {seen[key.value]} too")
                seen[key.value] = line
                if key.tag != "tag:yaml.org,2002:merge":
                    key.tag = "tag:yaml.org,2002:str"
        return node


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises SpecError: the file is too large, or is no YAML mapping."""
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
        content = "empty" if data is None else "a list" if isinstance(data, list) else "a single value"
        raise SpecError(f"{path}: a spec is a mapping of keys, this is {content}")
    return data


def _loaded(text: str) -> Any:
    """The plain data of a YAML text. Raises SpecError: it is no YAML, or too large with its aliases."""
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > MAX_VALUES:
            raise SpecError(f"not a spec: over {MAX_VALUES:,} values, those of aliases counted each time")
        return json.loads(json.dumps(loader.construct_document(node), default=str))
    except RecursionError:
        raise SpecError("not a spec: brackets are nested too deeply") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        context = f" ({error.context})" if error.context else ""
        raise SpecError(f"not YAML: {one_line(f'{place}{error.problem}{context}')[:300]}") from None
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        raise SpecError(f"not YAML: {one_line(str(error))[:300]}") from None


def _size(node: Any, known: dict[int, int]) -> int:
    """The number of values in a YAML node, those of aliases counted each time; MAX_VALUES for a cycle."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MAX_VALUES
        inner = node.value if isinstance(node, yaml.SequenceNode) else chain.from_iterable(node.value)
        known[id(node)] = 1 + sum(_size(child, known) for child in inner)
    return known[id(node)]


def parse(spec: type[S], data: Mapping[str, Any], overrides: Sequence[str] = (), where: str = "spec") -> S:
    """Validate a mapping as a spec of a class. Raises SpecError, with the key and the nearest valid one."""
    merged = json.loads(json.dumps(data, default=str))
    for override in overrides:
        _override(merged, override)
    try:
        return spec.model_validate(merged)
    except ValidationError as error:
        keys = {one.partition("=")[0] for one in overrides}
        path = ".".join(str(part) for part in error.errors()[0]["loc"])
        set_here = any(f"{key}.".startswith(f"{path}.") for key in keys) and not where.startswith(
            ("--set", "overrides")
        )
        raise SpecError(f"{where}{' with overrides' * set_here}: {_explain(spec, error)}") from None


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


def _explain(spec: type[BaseModel], error: ValidationError) -> str:
    """The first error of a validation, in one line."""
    first = error.errors()[0]
    path = [str(part) for part in first["loc"]]
    if isinstance(cause := first.get("ctx", {}).get("error"), SecretError):
        return f"{'.'.join(path)}: {cause}"
    if first["type"] != "extra_forbidden":
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "value_error" and isinstance(first["input"], Mapping):  # of a whole section
            return ": ".join(filter(None, [".".join(path), message]))
        return f"{'.'.join(path)}: {message} (got {first['input']!r:.80})"
    section: Any = spec
    for part in path[:-1]:
        section = _field(section, part)
    known = [field.alias or name for name, field in section.model_fields.items()]
    return f"unknown key '{'.'.join(path)}': {nearest(path[-1], known)}"


def _field(section: Any, part: str) -> Any:
    for name, field in section.model_fields.items():
        if part in (name, field.alias):
            types = get_args(field.annotation)  # of an optional section: Section | None
            return next((option for option in types if hasattr(option, "model_fields")), field.annotation)
    return section
