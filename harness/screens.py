"""Printing a result: for people as a table, for programs as JSON. Both go to stdout."""

from __future__ import annotations

import json
from typing import Any, Protocol

from rich.console import RenderableType

from leaderboards.terminal import SafeConsole


class Screen(Protocol):
    """A result that knows both of its forms."""

    def as_dict(self) -> dict[str, Any]: ...

    def __rich__(self) -> RenderableType: ...


def emit(screen: Screen, as_json: bool) -> None:
    """Print a result. Without a terminal tables are 140 columns wide, so that little is cut in a file."""
    if as_json:
        print(json.dumps(screen.as_dict(), indent=2))
        return
    console = SafeConsole()
    if not console.is_terminal:
        console = SafeConsole(width=140)
    console.print(screen, crop=False)
