"""The fields of a class for a reference page: names, types, defaults and docstrings."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, get_type_hints

from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from typing_extensions import is_typeddict

SectionClass: TypeAlias = type[BaseModel]


@dataclass(frozen=True, slots=True)
class Member:
    """One field of a class. ``default`` is "" where it must be given."""

    name: str
    type: str
    default: str
    meaning: str
    section: SectionClass | None = None
    """The class of a nested section."""


def docstrings(owner: type) -> dict[str, str]:
    """Field -> the docstring under it, for the fields of a class and of its bases."""
    texts: dict[str, str] = {}
    for base in _bases(owner):
        if base.__module__.startswith("pydantic"):
            continue
        try:
            (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        except (OSError, TypeError):
            continue
        assert isinstance(tree, ast.ClassDef)
        for field, text in zip(tree.body, tree.body[1:], strict=False):
            if (name := _assigned(field)) and isinstance(text, ast.Expr):
                texts[name] = inspect.cleandoc(ast.literal_eval(text.value))
    return texts


def _assigned(node: ast.stmt) -> str:
    target: ast.expr | None = None
    if isinstance(node, ast.AnnAssign):
        target = node.target
    elif isinstance(node, ast.Assign):
        target = node.targets[0]
    return target.id if isinstance(target, ast.Name) else ""


def settings(owner: type[BaseModel]) -> Iterator[Member]:
    """The keys of a spec's section, in their order. Raises KeyError: one has no docstring."""
    meanings = docstrings(owner)
    for name, field in owner.model_fields.items():
        value = field.get_default(call_default_factory=True)
        section = _section(field.annotation)
        default = "required" if value is PydanticUndefined else _literal(value)
        shown = "" if section and value is not None else default
        text = meanings[name]
        yield Member(field.alias or name, _type(field.annotation, field.metadata), shown, text, section)


def columns(owner: type) -> Iterator[Member]:
    """The fields of a dataclass or TypedDict, in their order. Raises KeyError: one has no docstring."""
    meanings = docstrings(owner)
    for name, annotation in get_type_hints(owner).items():
        yield Member(name, _words(annotation), "", meanings[name])


def _bases(owner: type) -> list[type]:
    """A class after its bases; a TypedDict does not have them in its ``__mro__``."""
    above = [base for base in getattr(owner, "__orig_bases__", ()) if isinstance(base, type)]
    return [*reversed(owner.__mro__[1:]), *above, owner]


def nested(owner: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """(dotted prefix, class) of a section and of all sections in it, outermost first."""
    yield prefix, owner
    for member in settings(owner):
        if member.section:
            yield from nested(member.section, f"{prefix}{member.name}.")


def _section(annotation: Any) -> SectionClass | None:
    options = [annotation, *getattr(annotation, "__args__", ())]
    return next((one for one in options if isinstance(one, type) and issubclass(one, BaseModel)), None)


BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}


def _type(annotation: Any, metadata: Iterable[Any]) -> str:
    """``integer ≥ 0``, ``"a" or "b"``: a type in the words of YAML."""
    bounds = [
        f"{sign} {getattr(one, name):g}"
        for one in metadata
        for name, sign in BOUNDS.items()
        if hasattr(one, name)
    ]
    return " ".join([_words(annotation), *[", ".join(bounds)] * bool(bounds)])


NAMES = {str: "text", int: "integer", float: "number", bool: "true or false", type(None): "null"}


def _words(annotation: Any) -> str:
    if annotation in NAMES:
        return NAMES[annotation]
    if is_typeddict(annotation):
        return f"`{annotation.__name__}`"
    if _section(annotation):
        return "section or null" if type(None) in getattr(annotation, "__args__", ()) else "section"
    if isinstance(annotation, type) and hasattr(annotation, "__members__"):
        return " or ".join(f"`{one.value}`" for one in annotation)  # type: ignore[attr-defined]
    arguments: list[Any] = list(getattr(annotation, "__args__", ()))
    origin = getattr(annotation, "__origin__", None)
    if arguments and all(isinstance(one, str) for one in arguments):
        return " or ".join(f"`{one}`" if one else '`""`' for one in arguments)
    if origin is tuple:
        return f"list of {_words(arguments[0])}"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping to {_words(arguments[1])}"
    return " or ".join(dict.fromkeys(_words(one) for one in arguments)) if arguments else "any value"


def _literal(value: Any) -> str:
    if isinstance(value, BaseModel):
        return ""
    if hasattr(value, "items"):
        value = dict(value)
    if isinstance(value, float) and (abs(value) < 1e-3 and value):
        return f"`{value:g}`"
    text = json.dumps(value, ensure_ascii=False)
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def table(members: Iterable[Member], prefix: str = "") -> str:
    """A Markdown table of keys."""
    rows = [(f"`{prefix}{one.name}`", one.type, one.default, markdown(one.meaning)) for one in members]
    return grid(("key", "type", "default", "meaning"), rows)


def grid(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


def markdown(text: str) -> str:
    """A docstring's text as one Markdown line."""
    return " ".join(text.split()).replace("``", "`")
