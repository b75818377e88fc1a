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

_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_\-. ]+")
"""Between the words of a name."""
_LAST = re.compile(
    r"secrets?|passwords?|passwd|pwd|passphrase|token|auth|authorization|credentials?|bearer|cookies?|jwt"
    r"|signature|sig|(api|access|secret|private|auth)(keys?|token)"
)
"""Last words of the names of secrets."""
_HARMLESS = re.compile(r"cache|primary|foreign|sort|order|group|join|partition|dict|public")
"""Words before ``key`` that make no secret of it; every other word does, such as ``api`` or ``signing``."""
_TOKENIZER = re.compile(
    r"(pad|eos|bos|unk|sep|cls|mask|image|audio|stop|start|end|think)_?token$", re.IGNORECASE
)
_NUMBERS = re.compile(r"token$", re.IGNORECASE)
"""Names whose numbers are counts."""
_ENVIRONMENT = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")
_URL = re.compile(r"(?P<scheme>(?<![a-z0-9+.-])[a-z][a-z0-9+.-]{0,30}://)[^\s/?#@]+@", re.IGNORECASE)
_QUERY = re.compile(r"(?P<lead>[?&#](?P<name>[\w.-]{1,60})=)(?P<value>(?!\[key\])[^\s&#\"']+)")
_SHORT = frozenset({"key", "code"})
"""Names that hold a secret in the query of a URL only."""
_ASSIGNED = re.compile(
    r"(?P<lead>(?<![\w.-])(?P<name>[A-Za-z][\w.-]{1,60})=[\"']?)(?P<value>(?!\[key\])[^\s,;&#\"']+)"
)
_BEARER = re.compile(
    r"(?P<lead>\b(?:bearer|basic)\s+)(?:(?=[\w.~+/=-]*\d)[\w.~+/=-]{8,}|[\w.~+/=-]{20,})", re.IGNORECASE
)
_KNOWN = re.compile(
    r"\b(?:sk-|hf_|gh[opsu]_|github_pat_|xox[abp]-|AKIA|AIza|glpat-|eyJ[\w-]+\.eyJ)[\w.-]{16,}(?![\w.-])"
)
"""Tokens that are known by how they begin."""
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
    return _QUERY.sub(_marked, _URL.sub(rf"\g<scheme>{MARK}@", text))


def _marked(found: re.Match[str]) -> str:
    """A value of a text marked, where its name is that of a secret."""
    in_url = found["lead"][0] in "?&#" and found["name"].lower() in _SHORT
    return found["lead"] + MARK if in_url or is_secret(found["name"], found["value"]) else found[0]


def without_secrets(settings: Any) -> Any:
    """Settings that may be stored: without what is secret by its name, by its form, or in a URL.

    >>> without_secrets({"extra_headers": {"Authorization": "Bearer x"}, "max_tokens": 5})
    {'extra_headers': {'Authorization': '[key]'}, 'max_tokens': 5}
    """
    if isinstance(settings, Mapping):
        return {
            name: _hidden(value) if is_secret(str(name), value) else without_secrets(value)
            for name, value in settings.items()
        }
    if isinstance(settings, list | tuple):
        return [without_secrets(value) for value in settings]
    if not isinstance(settings, str):
        return settings
    text = _ASSIGNED.sub(_marked, _without_credentials(settings))
    return _KNOWN.sub(MARK, _BEARER.sub(rf"\g<lead>{MARK}", text))


def _hidden(value: Any) -> Any:
    """A value that is a secret, or the value of a mapping or list of secrets, marked."""
    if isinstance(value, Mapping):
        return {name: _hidden(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_hidden(inner) for inner in value]
    return MARK if value not in ("", None) and not isinstance(value, bool) else value


def secrets_in(settings: Any) -> Iterator[str]:
    """The secrets in settings."""
    if isinstance(settings, Mapping):
        for name, value in settings.items():
            yield from _texts(value) if is_secret(str(name), value) else secrets_in(value)
    elif isinstance(settings, list | tuple):
        for value in settings:
            yield from secrets_in(value)


def _texts(secret: Any) -> Iterator[str]:
    """The texts of a secret, and of each the part after ``Bearer``."""
    if isinstance(secret, Mapping | list | tuple):
        for inner in secret.values() if isinstance(secret, Mapping) else secret:
            yield from _texts(inner)
    elif secret is not None and not isinstance(secret, bool):
        yield str(secret)
        yield str(secret).rpartition(" ")[2]


def is_secret(name: str, value: object) -> bool:
    """Whether a setting holds a secret, by its name. Flags and a tokenizer's tokens are none, nor counts."""
    if value in ("", None, (), [], {}) or isinstance(value, bool) or _TOKENIZER.search(name):
        return False
    if isinstance(value, int | float) and _NUMBERS.search(name):
        return False
    *before, last = [word.lower() for word in _WORDS.split(name) if word] or [""]
    if last in ("key", "keys"):
        return bool(before) and not _HARMLESS.fullmatch(before[-1])
    return _LAST.fullmatch(last) is not None


def credentials(url: str) -> bool:
    """Whether a URL holds a user or a password; False for a text that is no URL."""
    try:
        parts = urlsplit(url)
        return bool(parts.username or parts.password)
    except ValueError:
        return False


def _from_environment() -> list[str]:
    return [value.strip() for name, value in os.environ.items() if name.upper().endswith(_ENVIRONMENT)]
