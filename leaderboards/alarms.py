"""Signs that a score is luck or a hack rather than skill, over the records of an evaluation or, step by step,
over the answers that a training paid.

``spider_gap``, ``bird_gap``  how much more a lenient mode accepts than strict, in [-1, 1]
``empty_matches``             share of the right answers whose gold returns no rows
``single_cells``              share of the right answers whose gold returns one cell
``repeated``                  share of the questions that got the most frequent completion, word for word
``unscored``                  share of the answers without a verdict; 0 where of fewer than FEW questions
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from tasks.spec import ScoringSpec
from tasks.types import Mode

MODES = (Mode.STRICT, Mode.SPIDER, Mode.BIRD)
"""The verdicts that the gaps are made of."""
LIMITS: Mapping[str, float] = {
    "spider_gap": 0.05,
    "bird_gap": 0.05,
    "empty_matches": 0.05,
    "single_cells": 0.50,
    "repeated": 0.10,
    "unscored": 0.01,
}
DRIFT = 0.10
"""How far a measure may rise above where a training run began."""
ENOUGH = 20
"""Fewer questions (or right answers) than this say nothing."""
FEW = 3
"""Questions without a verdict that may be an accident."""
WINDOW = 512
"""Answers of a training that are measured together: a step may have too few."""

SAYS: Mapping[str, str] = {
    "spider_gap": "{:.1%} more right by spider's rules than by strict ones",
    "bird_gap": "{:.1%} more right by BIRD's rules than by strict ones",
    "empty_matches": "{:.1%} of the right answers match an empty result, which proves little",
    "single_cells": "{:.1%} of the right answers match a single cell, which luck can do",
    "repeated": "{:.1%} of the questions got one and the same answer",
    "unscored": "{:.1%} of the answers are unscored: the mean leaves them out",
}


def with_alarm_modes(scoring: ScoringSpec, modes: Sequence[Mode] = MODES) -> ScoringSpec:
    """The scoring with ``modes`` added: the verdicts that the alarms compare."""
    return scoring.model_copy(update={"modes": tuple(dict.fromkeys((*scoring.modes, *modes)))})


class Judged(Protocol):
    """What is read of a judged answer; a ``Record`` has all of it."""

    @property
    def sample_id(self) -> str: ...
    @property
    def completion(self) -> str: ...
    @property
    def metric(self) -> float | None: ...
    @property
    def strict(self) -> float | None: ...
    @property
    def spider(self) -> float | None: ...
    @property
    def bird(self) -> float | None: ...
    @property
    def gold_rows(self) -> int: ...
    @property
    def gold_columns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Paid:
    """An answer that a training paid."""

    sample_id: str
    completion: str
    metric: float | None
    strict: float | None
    spider: float | None
    bird: float | None
    gold_rows: int
    gold_columns: int


def measure(records: Sequence[Judged]) -> dict[str, float]:
    """Every measure that these records are enough for."""
    found = {
        "spider_gap": _gap([(r.spider, r.strict) for r in records]),
        "bird_gap": _gap([(r.bird, r.strict) for r in records]),
    }
    right = [record for record in records if record.metric == 1]
    if len(right) >= ENOUGH:
        found["empty_matches"] = sum(r.gold_rows == 0 for r in right) / len(right)
        found["single_cells"] = sum(r.gold_rows == r.gold_columns == 1 for r in right) / len(right)
    questions = {record.sample_id for record in records}
    if len(questions) >= ENOUGH:
        asked = Counter(text for text, _ in {(r.completion, r.sample_id) for r in records})
        found["repeated"] = max(asked.values()) / len(questions)
        lost = [record.sample_id for record in records if record.metric is None]
        found["unscored"] = len(lost) / len(records) if len(set(lost)) >= FEW else 0.0
    return {name: value for name, value in found.items() if value is not None}


def warnings(measured: Mapping[str, float], start: Mapping[str, float] | None = None) -> list[str]:
    """One line for each measure over its limit, or risen by more than DRIFT since ``start``."""
    lines = []
    for name, value in measured.items():
        before = (start or {}).get(name)
        if name not in LIMITS:
            continue  # a newer version's
        if value > LIMITS[name]:
            lines.append(SAYS[name].format(value))
        elif before is not None and value - before > DRIFT:
            lines.append(f"{SAYS[name].format(value)} (was {before:.1%})")
    return lines


class Trend:
    """The measures of a training, over its last WINDOW answers, and how far they are from where it began.

    ``start``: what an earlier part of the same training began with.
    """

    def __init__(self, start: Mapping[str, float] | None = None) -> None:
        self.measured: dict[str, float] = {}
        self.warnings: list[str] = []
        """Of the last step."""
        self._start = dict(start or {})
        self._last: deque[Paid] = deque(maxlen=WINDOW)
        self._told: set[str] = set()

    def add(self, paid: Iterable[Paid]) -> None:
        """Answers that were paid."""
        self._last.extend(paid)

    def state(self) -> dict[str, Any]:
        """What ``restore`` needs to go on from here, as plain data."""
        last = [asdict(paid) for paid in self._last]
        return {"start": self._start, "last": last, "told": sorted(self._told)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from an earlier ``state``: the next step measures what an undisturbed training would."""
        self._start, self._told = dict(state["start"]), set(state["told"])
        self._last = deque((Paid(**paid) for paid in state["last"]), maxlen=WINDOW)

    def step(self) -> list[str]:
        """A step is over: measure anew; the warnings that no step before had."""
        self.measured = measure(list(self._last))
        self._start = self.measured | self._start
        found = {name: warnings({name: value}, self._start) for name, value in self.measured.items()}
        self.warnings = [line for lines in found.values() for line in lines]
        news = [line for name, lines in found.items() for line in lines if name not in self._told]
        self._told |= {name for name, lines in found.items() if lines}
        return news


def _gap(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    scored = [(lenient, strict) for lenient, strict in pairs if lenient is not None and strict is not None]
    if len(scored) < ENOUGH:
        return None
    return sum(lenient - strict for lenient, strict in scored) / len(scored)
