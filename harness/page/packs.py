"""Records as compact JSON, compressed: what the page unpacks when a run or a question is opened.

Each text is stored once: the questions, golds and prompts of a group for all its runs, a schema in prompts
for all questions. Hostile characters are made visible here, and overlong texts are cut with a note.
"""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any

from leaderboards.evidence import messages, parts
from leaderboards.slices import values
from leaderboards.types import Record
from tasks.common.terminal import HOSTILE, visible
from tasks.prompt_parts import parts_of
from tasks.types import Mode

LONGEST = 20_000
"""Characters of a text that the page keeps."""
LEVEL = 7
"""Of gzip: 9 takes three times as long for 4 % less."""
NUMBERS = (
    *("metric", "reward", "logprob", "seconds", "cost"),
    *("rows", "gold_rows", "columns", "gold_columns", "prompt_tokens", "tokens"),
)
QUESTION = ("sample_id", "question", "database", "difficulty", "part", "family", "gold")
"""The fields of a record that describe its question."""
TEXTS = ("other_gold", "reason", "detail", "finish")
_AS_THEY_ARE = frozenset({int, bool, type(None)})
"""Types of which JSON has every value."""
_question_of = attrgetter(*QUESTION)
_modes_of = attrgetter(*(mode.value for mode in Mode))
_HOSTILE = re.compile("[" + "".join(re.escape(chr(code)) for code in HOSTILE) + "]")


def packed(value: Any) -> str:
    """The value as JSON, compressed, in base64: it can stand in any HTML element. Its texts are ``shown``."""
    content = json.dumps(_clean(value, {}), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(content.encode(), LEVEL, mtime=0)).decode()


def _clean(value: Any, known: dict[int | str, Any]) -> Any:
    """The value with texts as they are shown, and with None for numbers that JSON does not have.

    ``known``: what has been made of texts, and by identity of lists and mappings: many are in a pack
    repeatedly.
    """
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        if value not in known:
            known[value] = shown(value)
        return known[value]
    if not isinstance(value, Mapping | Sequence):
        return value
    if id(value) not in known:
        if isinstance(value, Mapping):
            known[id(value)] = {shown(str(name)): _clean(item, known) for name, item in value.items()}
        else:
            known[id(value)] = [item if type(item) in _AS_THEY_ARE else _clean(item, known) for item in value]
    return known[id(value)]


def shown(text: str) -> str:
    """A text as the page shows it: no control characters or direction marks, and not overlong."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}\n[cut: {len(text) - LONGEST:,} more characters]"
    return visible(text) if _HOSTILE.search(text) else text


@dataclass(slots=True)
class Places:
    """Distinct items in the order in which they were added."""

    items: list[Any] = field(default_factory=list)
    _places: dict[Hashable, int] = field(default_factory=dict)

    def place(self, key: Hashable) -> int | None:
        """The index of the item with this key; None if there is none."""
        return self._places.get(key)

    def add(self, key: Hashable, item: Any) -> int:
        """The index of the item with this key, which is added if there is none."""
        place = self._places.setdefault(key, len(self.items))
        if place == len(self.items):
            self.items.append(item)
        return place


@dataclass(slots=True)
class Questions:
    """The questions of a group of runs, their prompts, and the paragraphs of these."""

    questions: Places = field(default_factory=Places)
    prompts: Places = field(default_factory=Places)
    texts: Places = field(default_factory=Places)

    def answers(self, records: Sequence[Record], engine: str, template: str = "") -> dict[str, list[Any]]:
        """The records of a run as columns; ``question`` and ``prompt`` are indices of this group's.

        ``template``: the name of the template that made the run's prompts.
        """
        return {
            "question": [self._question(record, engine) for record in records],
            "index": [record.sample_index for record in records],
            "prompt": [self._prompt(record, engine, template) for record in records],
            "completion": [0 if one.completion == one.sql else one.completion for one in records],
            "sql": [0 if one.sql == one.gold else one.sql for one in records],
            **{name: list(map(attrgetter(name), records)) for name in TEXTS},
            "executes": [int(record.executes) for record in records],
            **{name: [_rounded(value) for value in map(attrgetter(name), records)] for name in NUMBERS},
            "modes": [_all_rounded(_modes_of(record)) for record in records],
            "parts": [_parts(record.parts) for record in records],
        }

    def as_dict(self) -> dict[str, Any]:
        """Columns of the questions, the prompts and the texts."""
        return {
            "questions": columns(self.questions.items),
            "prompts": self.prompts.items,
            "texts": self.texts.items,
        }

    def _question(self, record: Record, engine: str) -> int:
        """The index of a question; records of one id that differ in a field of it have one each."""
        key = _question_of(record)
        place = self.questions.place(key)
        if place is not None:
            return place
        slices = values(record, engine)
        question = dict(zip(QUESTION, key, strict=True))
        return self.questions.add(
            key, question | {name: slices[name] for name in ("feature", "tables", "result")}
        )

    def _prompt(self, record: Record, engine: str, template: str) -> int:
        """The index of a prompt: its messages as [role, indices of paragraphs]; if known, schema and hint."""
        key = template, record.question, record.examples, record.prompt
        place = self.prompts.place(key)
        if place is not None:
            return place
        sent = messages(record.prompt)
        turns = [
            [role, [self.texts.add(one, one) for one in content.split("\n\n")]] for role, content in sent
        ]
        asked = next((content for role, content in sent if role == "user"), "")
        found = parts_of(template, engine, asked, record.question, _length(record.examples))
        shows = [self.texts.add(text, text) for text in (found.schema, found.evidence)] if found else []
        return self.prompts.add(key, [turns, *shows])


@lru_cache(maxsize=16_384)
def _parts(text: str) -> Mapping[str, float | None]:
    """The parts of a reward by name, from their JSON text."""
    return {name: _rounded(value) for name, value in parts(text)}


def _length(listed: str) -> int:
    """How many items a list has that is stored as JSON text."""
    try:
        return len(json.loads(listed))
    except (ValueError, TypeError, RecursionError):
        return 0


def columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """A list of values for each key, which compresses better than a mapping for each row."""
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


@lru_cache(maxsize=16_384)
def _all_rounded(values: tuple[float | None, ...]) -> Sequence[float | None]:
    return tuple(map(_rounded, values))


@lru_cache(maxsize=16_384, typed=True)
def _rounded(value: float | None) -> float | None:
    """Five digits are enough to read, and compress better."""
    return value if value is None or isinstance(value, int) else float(f"{value:.5g}")
