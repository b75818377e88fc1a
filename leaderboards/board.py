"""The leaderboard: finished evaluations, ranked in groups of comparable runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from leaderboards import alarms, store, tags
from leaderboards.gains import Gain, gains
from leaderboards.identity import asked_differently, conflicting, identity_of
from leaderboards.seeds import Recipe, recipes
from leaderboards.types import Run, Summary
from tasks.common.digests import digest_of
from tasks.common.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


class BoardGroup(NamedTuple):
    """The properties that two runs must share to be ranked in one table."""

    task: str
    task_digest: str
    split: str
    metric: str
    scorer_version: str
    databases: str = ""
    """Digest of the databases, in older groups that differ from the newest group in nothing else; else ""."""


def group(run: Run) -> BoardGroup:
    """The group of a run, if its databases have the same content as those of the newest runs."""
    return BoardGroup(run.task, run.task_digest, run.split, run.metric, run.scorer_version)


@dataclass(frozen=True, slots=True)
class BoardRow:
    """One evaluation on the board."""

    run: Run
    summary: Summary
    start: Mapping[str, float] = field(default_factory=dict)
    """The alarms of the model that it was trained from, if that is in the same group."""
    training: tuple[str, ...] = ()
    """The warnings at the end of its training."""
    tags: tuple[str, ...] = ()
    trained_in: Run | None = None
    """The training run that made the model."""
    gain: Gain | None = None
    """Over the model that it was trained from, if that is in the same group."""

    @property
    def warnings(self) -> list[str]:
        trained = [f"in training: {line}" for line in self.training]
        return alarms.warnings(self.summary["alarms"], self.start) + trained


@dataclass(frozen=True, slots=True)
class Board:
    """Groups of rows, the best row of a group first.

    ``hidden``: older runs that repeat one shown. ``unfinished``: ids of evaluations without figures.
    """

    groups: dict[BoardGroup, list[BoardRow]]
    hidden: int = 0
    unfinished: Sequence[str] = ()
    recipes: Mapping[BoardGroup, Sequence[Recipe]] = field(default_factory=dict)
    """Several runs that differ only in seeds."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``: ``groups``, each with its title fields, ``rows`` and ``recipes``."""
        return {
            "groups": [
                {
                    **group._asdict(),
                    "rows": [_row(row) for row in rows],
                    "recipes": [recipe.as_dict() for recipe in self.recipes.get(group, ())],
                }
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


def board(run_ids: Sequence[str] | None = None, task: str = "", runs: Sequence[Run] | None = None) -> Board:
    """The board of these runs. By default of all runs; of runs with equal inputs the newest and the tagged.

    The group with the newest run comes last, next to the prompt of a terminal. A run with damaged files is
    left out, with a line on stderr. ``runs``: those of the store, if they have been read.
    """
    groups: dict[BoardGroup, list[BoardRow]] = {}
    databases_of: dict[BoardGroup, dict[str, str]] = {}
    seen: set[str] = set()
    hidden = 0
    unfinished: list[str] = []
    runs = store.runs() if runs is None else runs
    for run in reversed(runs):
        if run.kind != "eval":
            continue
        if (run_ids is not None and run.id not in run_ids) or task not in ("", run.task):
            continue
        if not run.finished:
            unfinished.append(run.id)
        elif not (run_tags := tags.read(run.id)) and run_ids is None and run.digest in seen:
            hidden += 1
        elif (figures := _summary(run)) is not None:
            seen.add(run.digest)
            row = BoardRow(run, figures, tags=run_tags)
            groups.setdefault(_group_among(databases_of, run), []).append(row)
    trainings = [run for run in runs if run.kind == "train"]
    by_id = {run.id: run for run in trainings}
    ranked = {key: sorted(rows, key=rank) for key, rows in reversed(_with_parents(groups, by_id).items())}
    seeded = {
        key: recipes([(row.run, row.summary) for row in rows], trainings) for key, rows in ranked.items()
    }
    return Board(ranked, hidden, unfinished, seeded)


def _group_among(databases_of: dict[BoardGroup, dict[str, str]], run: Run) -> BoardGroup:
    """The group in which no run has a database of the same name with other content; else a new group.

    ``databases_of``: group -> the databases of all its runs, to which those of this run are added.
    """
    wanted, databases = group(run), _databases(run)
    candidates = [key for key in databases_of if key._replace(databases="") == wanted]
    alike = [key for key in candidates if not conflicting(databases, databases_of[key])]
    new = wanted._replace(databases=digest_of(databases)) if candidates else wanted
    chosen = alike[0] if alike else new
    databases_of.setdefault(chosen, {}).update(databases)
    return chosen


def _databases(run: Run) -> Mapping[str, str]:
    identity = identity_of(run)
    return identity.databases if identity else {}


def _with_parents(
    groups: Mapping[BoardGroup, Sequence[BoardRow]], trainings: Mapping[str, Run]
) -> dict[BoardGroup, list[BoardRow]]:
    """The rows with the alarms and the gain over their parent, and their training with its warnings."""
    parents = {key: _parents(rows) for key, rows in groups.items()}
    pairs = {child: parent.run.id for found in parents.values() for child, parent in found.items()}
    started = {row.run.id: row.run.started for rows in groups.values() for row in rows}
    gained = gains({run: pairs[run] for run in sorted(pairs, key=started.__getitem__, reverse=True)})
    return {
        key: [
            replace(
                row,
                start=parent.summary["alarms"] if (parent := parents[key].get(row.run.id)) else {},
                training=_training_warnings(row.run.trained_by),
                trained_in=trainings.get(row.run.trained_by),
                gain=gained.get(row.run.id),
            )
            for row in rows
        ]
        for key, rows in groups.items()
    }


def _parents(rows: Sequence[BoardRow]) -> dict[str, BoardRow]:
    """Run -> the row of the model that it was trained from, found by content, else by name.

    Of several, the newest that was asked in the same way is taken, else the newest. ``rows``: newest first.
    """
    measured: dict[str, list[BoardRow]] = {}
    for row in rows:
        identity = identity_of(row.run)
        measured.setdefault(digest_of(identity.model) if identity else row.run.model, []).append(row)
    parents = {}
    for row in rows:
        named = measured.get(row.run.parent_content or row.run.parent, [])
        found = [parent for parent in named if parent is not row]
        same = [parent for parent in found if not asked_differently(parent.run, row.run)]
        if found:
            parents[row.run.id] = (same or found)[0]
    return parents


def _training_warnings(run_id: str) -> tuple[str, ...]:
    """The warnings at the end of a training; empty if its run cannot be read."""
    try:
        warnings = store.scores(run_id).get("warnings", ()) if run_id else ()
    except (DataError, OSError, ValueError):
        return ()  # the run of the training was removed, or is not under this HARNESS_HOME
    return tuple(map(str, warnings)) if isinstance(warnings, list) else ()


def rank(row: BoardRow) -> tuple[bool, float]:
    """A sort key: the best row first, and last those without a score."""
    ex = row.summary["ex"]
    return ex is None, -(ex or 0.0)


def _summary(run: Run) -> Summary | None:
    try:
        return store.summary(run.id)
    except (DataError, OSError, ValueError) as error:
        store.leave_out(run.id, error)
        return None


def _row(row: BoardRow) -> dict[str, Any]:
    run = {name: value for name, value in asdict(row.run).items() if name not in ("id", "spec")}
    gain = row.gain.as_dict() if row.gain else None
    names = ("id", "seconds", "memory", "gpu_memory")
    trained_in = {name: getattr(row.trained_in, name) for name in names} if row.trained_in else None
    more = {"warnings": row.warnings, "tags": list(row.tags), "gain": gain, "trained_in": trained_in}
    return {"run": row.run.id, **run, **row.summary, **more}
