"""Security checks of answers: the section ``scoring.security`` of a task."""

from __future__ import annotations

from pydantic import Field

from tasks.common.parse import Spec


class TablesSpec(Spec):
    """The tables that an answer may read: ``table`` or ``schema.table``; ``*`` stands for any characters.

    A view counts as the tables that it reads.
    """

    allowed: tuple[str, ...] = ("*",)
    """Tables that may be read."""
    denied: tuple[str, ...] = ()
    """Tables that may not, although they are allowed."""


class SecuritySpec(Spec):
    """What the scorer ``security`` looks for in each answer. It changes no verdict."""

    tables: TablesSpec = Field(default=TablesSpec())
    """The tables that an answer may read."""
