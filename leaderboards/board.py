"""The leaderboard: finished evaluations, ranked where their numbers mean the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from leaderboards import alarms, store
from leaderboards.identity import conflicting, identity_of
from leaderboards.types import Run, Summary
from tasks.common.digests import digest_of
from tasks.common.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


class Group(NamedTuple):
    """What two runs must share for their numbers to be ranked in one table."""

    task: str
    task_digest: str
    split: str
    metric: str
    scorer_version: str
    databases: str = ""
    """Of groups that differ in the content of a database alone, a digest of it in all but the newest."""


def group(run: Run) -> Group:
    """The group of a run, as far as its databases are those of the newest runs."""
    return Group(run.task, run.task_digest, run.split, run.metric, run.scorer_version)


@dataclass(frozen=True, slots=True)
class Row:
    """One evaluation on the board."""

    run: Run
    summary: Summary
    start: Mapping[str, float] = field(default_factory=dict)
    """The alarms of the model that training began with, where it stands in the same group."""
    training: tuple[str, ...] = ()
    """What the training's own alarms said at its end."""

    @property
    def warnings(self) -> list[str]:
        trained = [f"in training: {line}" for line in self.training]
        return alarms.warnings(self.summary["alarms"], self.start) + trained


@dataclass(frozen=True, slots=True)
class Board:
    """Groups of rows, the best row of a group first. ``hidden`` older runs repeat one that is shown.

    ``unfinished``: ids of evaluations that have no numbers yet.
    """

    groups: dict[Group, list[Row]]
    hidden: int = 0
    unfinished: Sequence[str] = ()

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``: ``groups``, each with its title fields and ``rows``."""
        return {
            "groups": [
                {**group._asdict(), "rows": [_row(row) for row in rows]}
                for group, rows in self.groups.items()
            ],
            "hidden": self.hidden,
            "unfinished": list(self.unfinished),
        }

    def to_frame(self) -> pd.DataFrame:
        """One row for each run shown, with its group, best first within a group."""
        import pandas as pd

        rows = [group._asdict() | _row(row) for group, rows in self.groups.items() for row in rows]
        return pd.DataFrame(rows)


def board(run_ids: Sequence[str] | None = None, task: str = "") -> Board:
    """The board of these runs, or of all: the newest of those that repeat each other.

    The most recently added-to group comes last, where a terminal's reader looks. A run whose files are broken
    is named on stderr and left out.
    """
    groups: dict[Group, list[Row]] = {}
    seen: set[str] = set()
    hidden = 0
    unfinished: list[str] = []
    for run in reversed(store.runs()):
        if run.kind != "eval":
            continue
        if (run_ids is not None and run.id not in run_ids) or task not in ("", run.task):
            continue
        if not run.finished:
            unfinished.append(run.id)
        elif run_ids is None and run.digest in seen:
            hidden += 1
        elif (found := _summary(run)) is not None:
            seen.add(run.digest)
            groups.setdefault(_group_among(groups, run), []).append(Row(run, found))
    ranked = {key: sorted(_trended(rows), key=_rank) for key, rows in reversed(groups.items())}
    return Board(ranked, hidden, unfinished)


def _group_among(groups: Mapping[Group, Sequence[Row]], run: Run) -> Group:
    """The group whose runs saw the same databases as this one, as far as they share any; else a new one."""
    wanted = group(run)
    alike = [key for key in groups if key._replace(databases="") == wanted]
    ours = _databases(run)
    for key in alike:
        if not any(conflicting(ours, _databases(row.run)) for row in groups[key]):
            return key
    return wanted._replace(databases=digest_of(ours)) if alike else wanted


def _databases(run: Run) -> Mapping[str, str]:
    known = identity_of(run)
    return known.databases if known else {}


def _trended(rows: Sequence[Row]) -> list[Row]:
    """The rows of a group, each beside the one it was trained from: by content, else by name."""
    measured: dict[str, Mapping[str, float]] = {}
    for row in rows:
        known = identity_of(row.run)
        measured[digest_of(known.model) if known else row.run.model] = row.summary["alarms"]
    return [
        replace(
            row,
            start=measured.get(row.run.parent_content or row.run.parent, {}),
            training=_said(row.run.trained_by),
        )
        for row in rows
    ]


def _said(run_id: str) -> tuple[str, ...]:
    """The warnings that a training ended with."""
    try:
        said = store.scores(run_id).get("warnings", ()) if run_id else ()
    except (DataError, OSError, ValueError):
        return ()  # the training's own run was removed, or never kept here
    return tuple(map(str, said)) if isinstance(said, list) else ()


def _rank(row: Row) -> tuple[bool, float]:
    ex = row.summary["ex"]
    return ex is None, -(ex or 0.0)


def _summary(run: Run) -> Summary | None:
    try:
        return store.summary(run.id)
    except (DataError, OSError, ValueError) as error:
        store.leave_out(run.id, error)
        return None


def _row(row: Row) -> dict[str, Any]:
    run = {name: value for name, value in asdict(row.run).items() if name not in ("id", "spec")}
    return {"run": row.run.id, **run, **row.summary, "warnings": row.warnings}
