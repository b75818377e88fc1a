"""Records as compact JSON, compressed: what the page unpacks when a run or a question is opened.

Each text is stored once: the questions, golds and prompts of a group for all its runs, a schema in prompts
for all questions. Hostile characters are made visible here, and overlong texts are cut with a note.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from leaderboards.types import Record
from tasks.common.terminal import visible
from tasks.types import Mode

LONGEST = 20_000
"""Characters of a text that the page keeps."""
NUMBERS = (
    *("metric", "reward", "logprob", "seconds", "cost"),
    *("rows", "gold_rows", "columns", "gold_columns", "prompt_tokens", "tokens"),
)


def packed(value: Any) -> str:
    """The value as JSON, compressed, in base64: it can stand in any HTML element."""
    content = json.dumps(_finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(content.encode(), 9, mtime=0)).decode()


def _finite(value: Any) -> Any:
    """The value with ten digits in every fraction, and None for what is none in JSON."""
    if isinstance(value, float):
        return float(f"{value:.10g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def shown(text: str, longest: int = LONGEST) -> str:
    """A text as the page shows it: no control characters or direction marks, and not overlong."""
    if len(text) > longest:
        text = f"{text[:longest]}\n[cut: {len(text) - longest:,} more characters]"
    return visible(text)


@dataclass(slots=True)
class Texts:
    """A list of distinct texts; ``add`` returns the index of one."""

    items: list[str] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    def add(self, text: str) -> int:
        place = self._places.get(text)
        if place is None:
            place = self._places[text] = len(self.items)
            self.items.append(shown(text))
        return place


@dataclass(slots=True)
class Questions:
    """The questions of a group of runs, and all their texts."""

    texts: Texts = field(default_factory=Texts)
    rows: list[dict[str, Any]] = field(default_factory=list)
    prompts: list[Any] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)
    _prompts: dict[str, int] = field(default_factory=dict)

    def add(self, record: Record) -> int:
        """The index of the record's question."""
        place = self._places.get(record.sample_id)
        if place is None:
            place = self._places[record.sample_id] = len(self.rows)
            names = ("sample_id", "question", "database", "difficulty", "part", "family", "gold")
            self.rows.append({name: shown(getattr(record, name)) for name in names})
        return place

    def prompt(self, text: str) -> int:
        """The index of a prompt: a list of [role, indices of its paragraphs]."""
        place = self._prompts.get(text)
        if place is None:
            place = self._prompts[text] = len(self.prompts)
            self.prompts.append(
                [
                    [shown(role), [self.texts.add(part) for part in content.split("\n\n")]]
                    for role, content in messages(text)
                ]
            )
        return place

    def as_dict(self) -> dict[str, Any]:
        """Columns of the questions, the prompts and the texts."""
        return {"questions": columns(self.rows), "prompts": self.prompts, "texts": self.texts.items}


def messages(prompt: str) -> list[tuple[str, str]]:
    """Role and content of each message; a prompt that is not a list of messages is one text."""
    try:
        return [(str(message["role"]), str(message["content"])) for message in json.loads(prompt)]
    except (ValueError, TypeError, KeyError, RecursionError):
        return [("prompt", prompt)]


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """A list of values for each key, which compresses better than a mapping for each row."""
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def answers(records: Iterable[Record], questions: Questions) -> dict[str, list[Any]]:
    """The records of a run as columns; ``question`` and ``prompt`` are indices in ``questions``."""
    return columns([_answer(record, questions) for record in records])


def _answer(record: Record, questions: Questions) -> dict[str, Any]:
    same = record.completion == record.sql
    return {
        "question": questions.add(record),
        "index": record.sample_index,
        "prompt": questions.prompt(record.prompt),
        "completion": 0 if same else shown(record.completion),
        "sql": shown(record.sql),
        "reason": shown(record.reason),
        "detail": shown(record.detail),
        "executes": int(record.executes),
        "finish": shown(record.finish),
        **{name: _rounded(getattr(record, name)) for name in NUMBERS},
        "modes": [_rounded(getattr(record, mode.value)) for mode in Mode],
        "parts": _parts(record.parts),
    }


def _rounded(value: float | None) -> float | None:
    """Five digits are enough to read, and compress better."""
    return value if value is None or isinstance(value, int) else float(f"{value:.5g}")


def _parts(text: str) -> dict[str, float | None]:
    """The parts of a reward; empty if they cannot be read."""
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(parts, dict):
        return {}
    return {shown(name): _rounded(value) for name, value in parts.items() if isinstance(value, int | float)}
