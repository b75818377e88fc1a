"""What a request to ``POST /score`` holds, what its response holds, and how a request is refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from rewards.feedback import feedback
from rewards.types import Attempt, Grade, Reason, Score
from tasks.common.parse import Spec

MAX_TEXT = 2**18
"""The most characters of an answer."""
MAX_SQL = 100_000
"""The most characters of a gold."""
MAX_NAME = 200
MAX_GOLDS = 16
FAILED = "our own failure: the server's log has its cause"

Name = Annotated[str, Field(max_length=MAX_NAME)]
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Gold = Annotated[str, Field(min_length=1, max_length=MAX_SQL)]
Golds = Annotated[tuple[Gold, ...], Field(min_length=1, max_length=MAX_GOLDS, fail_fast=True)]


class Item(Spec):
    """An answer to score: to the question ``id`` of the task, or to ``gold`` on ``database``."""

    text: Text
    """The model's answer, as it wrote it; at most 262,144 characters."""
    id: Name = ""
    """Id of the question. With `gold` it is only repeated in the response."""
    split: Name = ""
    """Split of the question; needed where several splits have a question with this id."""
    database: Name = ""
    """A database of the task."""
    gold: Gold | Golds | None = None
    """The right SQL, or at most 16 right queries."""
    previous: Text = ""
    """The answer of the turn before, for `feedback`."""

    @property
    def golds(self) -> tuple[str, ...]:
        """All golds; none where the question has them."""
        return (self.gold,) if isinstance(self.gold, str) else self.gold or ()


class ScoreRequest(Spec):
    """The body of ``POST /score``."""

    items: Annotated[tuple[Item, ...], Field(min_length=1, fail_fast=True)]
    """The answers to score."""
    task: Name = ""
    """Name of the task; may be left out where one is served."""
    feedback: bool = False
    """Whether each item gets the database's feedback, for asking the model again."""


@dataclass(frozen=True, slots=True)
class ServiceLimits:
    """What the server takes in before it refuses."""

    body: int = 8 * 2**20
    """Bytes of a body."""
    items: int = 1024
    """Items of a request."""
    queue: int = 10_000
    """Items of all requests in flight."""
    bodies: int = 32
    """Bodies of the largest size whose bytes all requests in flight may hold together."""
    connections: int = 4096
    """Open connections."""
    head_seconds: float = 10.0
    """Seconds in which the headers of a request must have arrived, from the connection or first byte on."""
    body_seconds: float = 30.0
    """Seconds in which a body must have arrived."""
    write_seconds: float = 30.0
    """Seconds in which a client must have read its response."""


@dataclass(slots=True, eq=False)
class Refusal(Exception):
    """A request that is refused, with one line that says why. ``cause``: a word, for the metrics."""

    status: int
    cause: str
    line: str
    headers: dict[str, str] = field(default_factory=dict)


def busy(cause: str, line: str) -> Refusal:
    """The refusal of a request that may be sent again."""
    return Refusal(429, cause, f"{line}: send it again later", {"Retry-After": "1"})


class Scored(TypedDict):
    """The response to one item. A value that is null is unscored, and never 0."""

    id: str
    """The item's id."""
    reason: str
    """A reason code."""
    reward: float | None
    """The training reward."""
    scores: dict[str, float | None]
    """Scorer -> value."""
    verdicts: dict[str, float | None]
    """Mode -> verdict, of the task's modes."""
    sql: str
    """The SQL that was read out of the text."""
    detail: str
    """The engine's message, or the first differing row, which may be one of the gold's."""
    seconds: float
    """Seconds of the query."""
    feedback: NotRequired[str]
    """With `feedback`: the next message to the model; empty where its answer is final."""


def scored(item: Item, grade: Grade, with_feedback: bool) -> Scored:
    """The response to one item."""
    attempt = grade.attempt
    response: Scored = {
        "id": item.id,
        "reason": attempt.reason.value,
        "reward": grade.scores["reward"].value,
        "scores": {name: score.value for name, score in grade.scores.items() if name != "reward"},
        "verdicts": {str(mode): value for mode, value in attempt.verdicts.items()},
        "sql": attempt.sql,
        "detail": FAILED if attempt.reason is Reason.INFRASTRUCTURE else attempt.detail,
        "seconds": attempt.seconds,
    }
    if with_feedback:
        response["feedback"] = feedback(attempt, item.previous)
    return response


def unscored(item: Item, with_feedback: bool) -> Scored:
    """The response to an item on which the scorer itself failed."""
    attempt = Attempt("", Reason.INFRASTRUCTURE)
    reward = Score(None, Reason.INFRASTRUCTURE)
    return scored(item, Grade(attempt, {"reward": reward}), with_feedback)
