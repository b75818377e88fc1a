"""Alarms: measures that show whether a score may come from luck or from reward hacking.

They are measured over the records of an evaluation, and at each step over the latest answers of a training.

``spider_gap``, ``bird_gap``  how much more often a lenient mode accepts than strict, in [-1, 1]
``empty_matches``             share of the right answers whose gold returns no rows
``single_cells``              share of the right answers whose gold returns one cell
``repeated``                  share of the questions that got the most frequent completion, verbatim
``unscored``                  share of the answers without a verdict; 0 for fewer than MIN_UNSCORED questions
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tasks.types import RESULT_MODES, Mode

if TYPE_CHECKING:
    from tasks.spec import ScoringSpec  # whose import would slow down every table

MODES = (Mode.STRICT, Mode.SPIDER, Mode.BIRD)
"""Modes whose verdicts the gaps compare."""
LIMITS: Mapping[str, float] = {
    "spider_gap": 0.05,
    "bird_gap": 0.05,
    "empty_matches": 0.05,
    "single_cells": 0.50,
    "repeated": 0.10,
    "unscored": 0.01,
}
DRIFT = 0.10
"""How far a measure may rise above its value at the start of a training."""
MIN_COUNT = 20
"""A share is not measured over fewer questions (or right answers)."""
MIN_UNSCORED = 3
"""Fewer unscored questions raise no alarm."""
WINDOW = 512
"""The latest answers of a training that are measured together, as one step may have too few."""

MESSAGES: Mapping[str, str] = {
    "spider_gap": "{:.1%} more right by spider's rules than by strict ones",
    "bird_gap": "{:.1%} more right by BIRD's rules than by strict ones",
    "empty_matches": "{:.1%} of the right answers match an empty result, which proves little",
    "single_cells": "{:.1%} of the right answers match a single cell, which may happen by chance",
    "repeated": "{:.1%} of the questions got one and the same answer",
    "unscored": "{:.1%} of the answers are unscored: the mean leaves them out",
}


def with_alarm_modes(scoring: ScoringSpec, modes: Sequence[Mode] = MODES) -> ScoringSpec:
    """The scoring with ``modes`` added: the verdicts that the alarms compare.

    Not where the metric compares with given results: such golds are no SQL to compare with.
    """
    if scoring.metric in RESULT_MODES:
        return scoring
    return scoring.model_copy(update={"modes": tuple(dict.fromkeys((*scoring.modes, *modes)))})


class ScoredAnswerLike(Protocol):
    """The fields that are read from a scored answer; ``Record`` has all of them."""

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
class ScoredAnswer:
    """One answer of a training, with the verdicts that the alarms compare."""

    sample_id: str
    completion: str
    metric: float | None
    strict: float | None
    spider: float | None
    bird: float | None
    gold_rows: int
    gold_columns: int


def measure(records: Sequence[ScoredAnswerLike]) -> dict[str, float]:
    """Measure -> value, for the measures for which there are enough records."""
    measured = {
        "spider_gap": _gap([(r.spider, r.strict) for r in records]),
        "bird_gap": _gap([(r.bird, r.strict) for r in records]),
    }
    right = [record for record in records if record.metric == 1]
    if len(right) >= MIN_COUNT:
        measured["empty_matches"] = sum(r.gold_rows == 0 for r in right) / len(right)
        measured["single_cells"] = sum(r.gold_rows == r.gold_columns == 1 for r in right) / len(right)
    questions = {record.sample_id for record in records}
    if len(questions) >= MIN_COUNT:
        texts = Counter(text for text, _ in {(r.completion, r.sample_id) for r in records})
        measured["repeated"] = max(texts.values()) / len(questions)
        unscored = [record.sample_id for record in records if record.metric is None]
        enough = len(set(unscored)) >= MIN_UNSCORED
        measured["unscored"] = len(unscored) / len(records) if enough else 0.0
    return {name: value for name, value in measured.items() if value is not None}


def warnings(measured: Mapping[str, float], start: Mapping[str, float] | None = None) -> list[str]:
    """A warning for each measure that is over its limit, or more than DRIFT above its value in ``start``."""
    lines = []
    for name, value in measured.items():
        before = (start or {}).get(name)
        if name not in LIMITS:
            continue  # a measure of a newer version
        if value > LIMITS[name]:
            lines.append(MESSAGES[name].format(value))
        elif before is not None and value - before > DRIFT:
            lines.append(f"{MESSAGES[name].format(value)} (was {before:.1%})")
    return lines


class Trend:
    """The measures of a training over its latest WINDOW answers, compared with those at its start.

    ``start``: the first measures of the same training, where it is resumed.
    """

    def __init__(self, start: Mapping[str, float] | None = None) -> None:
        self.measured: dict[str, float] = {}
        self.warnings: list[str] = []
        """The warnings of the latest step."""
        self._start = dict(start or {})
        self._latest: deque[ScoredAnswer] = deque(maxlen=WINDOW)
        self._warned: set[str] = set()
        """Measures for which a warning was returned."""

    def add(self, answers: Iterable[ScoredAnswer]) -> None:
        """Add the answers of the running step."""
        self._latest.extend(answers)

    def state(self) -> dict[str, Any]:
        """The state for ``restore``, as plain data."""
        latest = [asdict(answer) for answer in self._latest]
        return {"start": self._start, "latest": latest, "warned": sorted(self._warned)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from an earlier ``state``, with the same measures as without the interruption."""
        self._start, self._warned = dict(state["start"]), set(state["warned"])
        self._latest = deque((ScoredAnswer(**answer) for answer in state["latest"]), maxlen=WINDOW)

    def step(self) -> list[str]:
        """Measure again at the end of a step; returns the warnings that no earlier step had."""
        self.measured = measure(list(self._latest))
        self._start = self.measured | self._start
        by_name = {name: warnings({name: value}, self._start) for name, value in self.measured.items()}
        self.warnings = [line for lines in by_name.values() for line in lines]
        new = [line for name, lines in by_name.items() for line in lines if name not in self._warned]
        self._warned |= {name for name, lines in by_name.items() if lines}
        return new


def _gap(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    scored = [(lenient, strict) for lenient, strict in pairs if lenient is not None and strict is not None]
    if len(scored) < MIN_COUNT:
        return None
    return sum(lenient - strict for lenient, strict in scored) / len(scored)
