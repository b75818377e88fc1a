"""The evaluations and trainings that led to a model: from the base to this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.publishing.evaluation import Published, asked, hub_id
from leaderboards import store
from leaderboards.compare import compare
from leaderboards.find import evaluations
from leaderboards.identity import asked_differently, identity_of, incomparable, listed
from leaderboards.types import Run, Slice
from tasks.common.digests import digest_of


@dataclass(frozen=True)
class Stage:
    """An evaluation of the model or of one that it was trained from, on the same questions."""

    run: Run
    figures: Slice
    gain: str = ""
    """How it compares with the stage before it."""


def stages(published: Published) -> list[Stage]:
    """The evaluations from the base to this model that can be compared, the base first."""
    chain = chain_of(published.run)
    found = []
    for before, run in zip([None, *chain[:-1]], chain, strict=True):
        figures = Published.find(run.id).figures(run.metric) if run != published.run else None
        gain = _gain(before, run) if before else ""
        found.append(Stage(run, figures or published.figures(run.metric), gain))
    return found


def chain_of(run: Run) -> list[Run]:
    """The run, after the comparable evaluations of the models that its model was trained from."""
    chain, known = [run], evaluations() if run.parent_content else []
    while (parent := _parent(chain[0], known)) and parent.id not in {run.id for run in chain}:
        chain.insert(0, parent)
    return chain


def trainings(chain: Sequence[Run]) -> dict[str, Run]:
    """Method -> the last stored training of this method that made a model of these evaluations."""
    made = [run.trained_by for run in chain if run.trained_by]
    by_id = {run.id: run for run in store.runs() if run.kind == "train"} if made else {}
    return {by_id[name].method: by_id[name] for name in made if name in by_id}


def base_on_hub(chain: Sequence[Run]) -> str:
    """The id on the Hub of the model from which the training began; "" if it has none that is known."""
    first = chain[0]
    if not first.parent:
        return hub_id(asked(first), first.identity.get("model"))
    training = next(iter(trainings([first]).values()), None)
    parts: Mapping[str, str] | None = training.identity.get("model") if training else None
    return hub_id(first.parent, parts)


def _parent(run: Run, known: Sequence[Run]) -> Run | None:
    """The newest comparable evaluation of the model that this one was trained from. ``known``: newest first.

    One with the same prompts and sampling comes before a newer one with others.
    """
    found = []
    for other in known if run.parent_content else ():
        identity = identity_of(other)
        same = identity is not None and digest_of(identity.model) == run.parent_content
        if same and not incomparable(other, run):
            found.append(other)
    return next((other for other in found if not asked_differently(other, run)), found[0] if found else None)


def _gain(before: Run, run: Run) -> str:
    compared = compare(before.id, run.id)
    figures = compared.test.figures
    shared = f"on {figures.n} shared questions: " if compared.left_out else ""
    differ = f"; asked differently: {listed(compared.differ)}" if compared.differ else ""
    return f"{shared}{figures.wins} wins, {figures.losses} losses, McNemar p = {figures.p:.2g}{differ}"
