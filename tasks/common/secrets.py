"""Redact secrets in messages and in stored settings.

Only our own messages of errors and requests, and settings that are stored, are redacted. A model's answer is
never changed, whatever it repeats, because an answer with missing letters would be judged wrongly.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

MARK = "[key]"
"""What replaces a secret."""
LONG = 8
"""A shorter secret, or one of letters only, may be a word of the message: it is replaced only after
``Bearer`` or ``key:``."""
WORD = 20
"""From this length on, a secret of letters only is not taken for a word."""

_NAME = re.compile(
    r"(^|[_\-. ])((api|access|secret|private|auth)[_-]?key|secret|password|passwd|pwd|token|auth"
    r"|authorization|credentials?|bearer|cookie)$",
    re.IGNORECASE,
)
_TOKENIZER = re.compile(
    r"(pad|eos|bos|unk|sep|cls|mask|image|audio|stop|start|end|think)_?token$", re.IGNORECASE
)
_ENVIRONMENT = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
_URL = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/?#@]+@", re.IGNORECASE)
_QUERY = re.compile(
    r"(?P<name>[?&](?:api[_-]?key|access[_-]?token|key|token|secret|password|sig|signature)=)[^\s&#\"']+",
    re.IGNORECASE,
)
_LEAD = r"(\bbearer\s+|\b(?:api[ _-]?key|key|token|password|secret|provided)[\"']?\s*[:=]\s*[\"']?)"


def redacted(text: str, *secrets: str) -> str:
    """A message without the given secrets, the keys in the environment, and passwords in URLs.

    >>> redacted("no such column: name; you sent Bearer name", "name")
    'no such column: name; you sent Bearer [key]'
    """
    for secret in sorted({*secrets, *_from_environment()} - {""}, key=len, reverse=True):
        if len(secret) >= (WORD if secret.isalpha() else LONG):
            text = text.replace(secret, MARK)
        else:
            text = re.sub(_LEAD + re.escape(secret) + r"(?![\w-])", rf"\1{MARK}", text, flags=re.IGNORECASE)
    return _without_credentials(text)


def _without_credentials(text: str) -> str:
    """A text without the passwords and keys in its URLs."""
    return _QUERY.sub(rf"\g<name>{MARK}", _URL.sub(rf"\g<scheme>{MARK}@", text))


def without_secrets(settings: Any) -> Any:
    """Settings that may be stored: without the values of names such as ``api_key``, and passwords in URLs.

    >>> without_secrets({"extra_headers": {"Authorization": "Bearer x"}, "max_tokens": 5})
    {'extra_headers': {'Authorization': '[key]'}, 'max_tokens': 5}
    """
    if isinstance(settings, Mapping):
        return {
            name: MARK if is_secret(str(name), value) else without_secrets(value)
            for name, value in settings.items()
        }
    if isinstance(settings, list | tuple):
        return [without_secrets(value) for value in settings]
    return _without_credentials(settings) if isinstance(settings, str) else settings


def secrets_in(settings: Any) -> Iterator[str]:
    """The secrets in settings."""
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            if is_secret(str(name), value):
                yield str(value)
                yield str(value).rpartition(" ")[2]  # the part after "Bearer"
            else:
                yield from secrets_in(value)
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from secrets_in(value)


def is_secret(name: str, value: object) -> bool:
    """Whether a setting holds a secret, by its name. Flags, numbers and a tokenizer's tokens are none."""
    return (
        isinstance(value, str)
        and bool(value)
        and _NAME.search(name) is not None
        and _TOKENIZER.search(name) is None
    )


def credentials(url: str) -> bool:
    """Whether a URL holds a user or a password; False for a text that is no URL."""
    try:
        parts = urlsplit(url)
        return bool(parts.username or parts.password)
    except ValueError:
        return False


def _from_environment() -> list[str]:
    return [value.strip() for name, value in os.environ.items() if name.upper().endswith(_ENVIRONMENT)]
