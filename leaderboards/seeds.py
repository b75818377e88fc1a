"""Runs of one recipe that differ only in their seeds: one row with its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from leaderboards.identity import Identity, identity_of
from leaderboards.statistics import Spread, spread
from leaderboards.types import Run, Summary
from tasks.common.digests import digest_of

SEEDS = ("seed", "sample_seed")
"""Keys of a spec that hold a seed."""
DEPTH = 20
"""Longest lineage that is followed."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Several evaluations whose inputs differ only in seeds of training or sampling."""

    runs: tuple[str, ...]
    """Their ids, the newest first."""
    ex: Spread
    """Of the headline over the runs."""
    reward: Spread | None

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "runs": list(self.runs),
            "ex": asdict(self.ex),
            "reward": asdict(self.reward) if self.reward else None,
        }


def recipes(measured: Sequence[tuple[Run, Summary]], trainings: Sequence[Run]) -> list[Recipe]:
    """The recipes among comparable evaluations of which several were run.

    ``trainings``: all training runs, the oldest first, with the settings and parents of trained models. An
    evaluation of an older version, which stored no identity, is in no recipe. Of evaluations that must give
    equal answers the newest counts.
    """
    groups: dict[str, dict[str, tuple[Run, Summary]]] = {}
    for run, summary in _newest_first(measured):
        identity = identity_of(run)
        if summary["ex"] is not None and identity is not None:
            groups.setdefault(_recipe(run, identity, trainings), {}).setdefault(
                _draw(run, identity), (run, summary)
            )
    return [made for found in groups.values() if (made := _spread(list(found.values())))]


def _spread(found: Sequence[tuple[Run, Summary]]) -> Recipe | None:
    ex = spread([summary["ex"] for _, summary in found if summary["ex"] is not None])
    reward = spread([summary["reward"] for _, summary in found if summary["reward"] is not None])
    return Recipe(tuple(run.id for run, _ in found), _as_share(ex), reward) if ex and ex.n > 1 else None


def _as_share(ex: Spread) -> Spread:
    """A spread of shares of questions, whose interval is cut to [0, 1]."""
    if ex.low is None or ex.high is None:
        return ex
    return replace(ex, low=max(ex.low, 0.0), high=min(ex.high, 1.0))


def _newest_first(found: Sequence[tuple[Run, Summary]]) -> list[tuple[Run, Summary]]:
    return sorted(found, key=lambda one: (one[0].started, one[0].id), reverse=True)


def _draw(run: Run, identity: Identity) -> str:
    """Equal for evaluations of a recipe with equal answers: greedy decoding does not depend on the seed."""
    if run.sampling.get("temperature") == 0:
        return digest_of(identity.model, run.trained_by)
    return run.digest


def _recipe(run: Run, identity: Identity, trainings: Sequence[Run]) -> str:
    """A digest of all settings of an evaluation and of the trainings before it, without their seeds."""
    model = digest_of(identity.model)
    training = next((other for other in trainings if other.id == run.trained_by), None)
    stages: list[object] = []
    while training is not None and len(stages) < DEPTH:
        stages.append([training.method, training.task_digest, _without_seeds(training.spec)])
        model = training.parent_content or training.parent
        training = _trained_into(training.parent, training.started, trainings)
    asked = [getattr(identity, name) for name in ("questions", "golds", "prompt", "examples", "scoring")]
    return digest_of(model, stages, asked, _without_seeds(run.spec), _without_seeds(run.sampling))


def _trained_into(folder: str, before: str, trainings: Sequence[Run]) -> Run | None:
    """The last training that had written this folder at a time."""
    found = [run for run in trainings if run.model == folder and run.finished and run.ended <= before]
    return found[-1] if found else None


def _without_seeds(value: object) -> object:
    """A spec without its seeds, and without the model, which stands for itself."""
    if not isinstance(value, dict):
        return value
    return {key: _without_seeds(item) for key, item in value.items() if key not in (*SEEDS, "model")}
