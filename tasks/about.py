"""The section ``about`` of a task: the origin of a published dataset, for people who read the spec."""

from __future__ import annotations

from pydantic import Field

from tasks.common.parse import Spec
from tasks.types import Mode


class AboutSpec(Spec):
    """Where a published dataset comes from. It affects no result."""

    source: str = ""
    """URL of the dataset."""
    license: str = ""
    """Licence of the data."""
    questions: int = Field(0, ge=0)
    """Questions of the evaluation split, as published; 0: not stated."""
    databases: int = Field(0, ge=0)
    """Databases of the evaluation split, as published; 0: not stated."""
    official: Mode | None = None
    """The mode whose numbers compare with published ones; null: there are none to compare with."""
    get: str = ""
    """How to get the data, in one line. An error about missing data ends with it."""
