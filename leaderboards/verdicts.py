"""Two evaluations of the same inputs, verdict by verdict: which differ, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from leaderboards.identity import Identity, changed, identity_of
from leaderboards.types import Record, Run
from tasks.types import Mode

Why = Literal["data changed", "answer differs", "same answer judged otherwise"]


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """An answer whose verdict is not the same in both runs. A reason is "" where a run lacks the answer."""

    sample_id: str
    sample_index: int
    old: str
    """Reason code in the first run."""
    new: str
    """Reason code in the second run."""
    old_metric: float | None
    new_metric: float | None
    why: Why
    old_sql: str = ""
    new_sql: str = ""
    modes: tuple[str, ...] = ()
    """The modes whose verdicts differ."""


@dataclass(frozen=True, slots=True)
class Rerun:
    """An evaluation and its repetition."""

    old: Run
    new: Run
    changes: Sequence[VerdictChange]
    n: int
    """Answers in either run."""
    answers_differ: int
    """Answers in both runs whose text differs, with the same verdict or another one."""
    ex_old: float | None
    ex_new: float | None

    @property
    def inputs_changed(self) -> list[str]:
        """The inputs that changed since the first run, in words."""
        return changed(self.new, self.old)

    @property
    def reasons(self) -> dict[str, int]:
        """Why verdicts differ -> how many do."""
        return dict(Counter(change.why for change in self.changes))

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "old": self.old.id,
            "new": self.new.id,
            "n": self.n,
            "ex_old": self.ex_old,
            "ex_new": self.ex_new,
            "answers_differ": self.answers_differ,
            "inputs_changed": self.inputs_changed,
            "reasons": self.reasons,
            "changes": [asdict(change) for change in self.changes],
        }


def verdict_changes(
    old: tuple[Run, Sequence[Record]], new: tuple[Run, Sequence[Record]]
) -> tuple[list[VerdictChange], int]:
    """The answers whose verdicts differ, by question, and the number of answers whose texts differ."""
    first, second = ({record.key: record for record in records} for _, records in (old, new))
    data = _DataChanges(identity_of(old[0]), identity_of(new[0]))
    changes, texts = [], 0
    for key in sorted(first.keys() | second.keys()):
        a, b = first.get(key), second.get(key)
        texts += a is not None and b is not None and a.completion != b.completion
        if (change := _change(key, a, b, data)) is not None:
            changes.append(change)
    return changes, texts


def _change(
    key: tuple[str, int], a: Record | None, b: Record | None, data: _DataChanges
) -> VerdictChange | None:
    names = ("metric", *(mode.value for mode in Mode))
    differ = tuple(name for name in names if _value(a, name) != _value(b, name))
    if a and b and not differ and a.reason == b.reason:
        return None
    why: Why = "same answer judged otherwise"
    if a is None or b is None or data.between(a, b):
        why = "data changed"
    elif a.completion != b.completion:
        why = "answer differs"
    return VerdictChange(
        *key,
        old=a.reason if a else "",
        new=b.reason if b else "",
        old_metric=a.metric if a else None,
        new_metric=b.metric if b else None,
        why=why,
        old_sql=a.sql if a else "",
        new_sql=b.sql if b else "",
        modes=tuple(name for name in differ if name != "metric"),
    )


def _value(record: Record | None, name: str) -> float | None:
    value: float | None = getattr(record, name) if record else None
    return value


class _DataChanges:
    """Whether the data of a question changed: the question, its gold, its prompt or its database."""

    def __init__(self, old: Identity | None, new: Identity | None) -> None:
        self._old: Mapping[str, str] = old.databases if old else {}
        self._new: Mapping[str, str] = new.databases if new else {}

    def between(self, a: Record, b: Record) -> bool:
        asked = ("question", "gold", "database", "prompt")
        if any(getattr(a, name) != getattr(b, name) for name in asked):
            return True
        if not self._old or not self._new:
            return False
        return self._contents(self._old, a) != self._contents(self._new, b)

    def _contents(self, databases: Mapping[str, str], record: Record) -> list[str]:
        """The content of the record's database; with DDL in its row, of all of that name."""
        name = record.database
        return [content for key, content in databases.items() if key == name or key.startswith(f"{name} ")]
