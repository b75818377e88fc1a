"""Values in the TOML files that other programs read."""

from __future__ import annotations

import json
import re

from tasks.common.errors import SpecError


def toml(value: object) -> str:
    """A text, number, flag or list of texts as TOML, with control characters escaped. Raises SpecError."""
    text = json.dumps(value, ensure_ascii=False)
    if not text.isprintable():
        text = "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)
    if re.search(r"\\U0000d[89a-f]", text):
        raise SpecError(f"export: {value!r} is no text that TOML can hold")
    return text
