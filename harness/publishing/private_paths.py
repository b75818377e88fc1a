"""Replace the folders of this machine by names in what is published."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from tasks.common.secrets import without_secrets

_INSIDE = re.compile(r"(?:(?<=file://)|(?<![\w.~/}\])<]))(?:/[^/\s\"'`:;,+|<>()]+){2,}/?")
"""An absolute path in a text: of two parts or more, not in a URL, after no word."""
_WHOLE = re.compile(r"(?P<prefix>(?:[\w-]+:)?(?:file://)?)(?P<path>/[^/\n]+/[^\n]+)")
"""A text that is an absolute path, in which spaces may be, with the prefix of a runner."""
_ADAPTER = re.compile(r"\+(?=/)")
"""Between a base and its adapter."""


def public(value: Any) -> Any:
    """Settings without secrets, in which an absolute path is its last parts, in keys too.

    >>> public({"/home/me/x/demo/grpo/model": "vllm:/srv/me/base/model", "url": "http://host/v1/models"})
    {'demo/grpo': 'vllm:base', 'url': 'http://host/v1/models'}
    """
    return without_folders(without_secrets(value))


def without_folders(value: Any) -> Any:
    """A value in which an absolute path is its last parts, in keys too."""
    if isinstance(value, Mapping):
        return {without_folders(name): without_folders(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(inner) for inner in value]
    return shown(value) if isinstance(value, str) else value


def shown(text: str) -> str:
    """A text without the folders of this machine."""
    return "+".join(_INSIDE.sub(lambda found: _last(found[0]), _whole(part)) for part in _ADAPTER.split(text))


def _whole(text: str) -> str:
    found = _WHOLE.fullmatch(text)
    return found["prefix"] + _last(found["path"]) if found else text


def _last(path: str) -> str:
    """The last two parts of a path, without a final ``model``, the user's name, and the first two parts."""
    owner = {Path.home().name} - {""}
    parts = [part for part in PurePath(path).parts[1:] if part != ".."]
    kept = [part for part in parts[2:] if part not in owner]
    if kept[-1:] == ["model"] and len(kept) > 1:
        kept.pop()
    if kept:
        return "/".join(kept[-2:])
    private = parts[:1] in (["home"], ["Users"]) or parts[-1] in owner
    return "~" if private else parts[-1]
