"""The identity of a run: digests of all inputs that determine its records, one for each component.

A digest is computed from content, never from a path, a file's time or the order of keys. Resuming, boards,
comparisons, curricula and lineage all compare identities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from leaderboards.types import Run
from tasks.common.digests import digest_of

UNSTATED = {"turns": 1}
"""Settings of sampling that a run states only where they have another value."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The inputs that determine the records of a run. All but ``split`` are part of ``digest``."""

    task: str
    """Names of the task and of the split."""
    questions: str
    """The questions that are asked: id, text, evidence, database, DDL, difficulty, part, family."""
    golds: str
    databases: Mapping[str, str]
    """Name -> content of all its instances, for the databases of those rows."""
    prompt: str
    """Template, what it includes, system message, and how the schema is shown."""
    examples: str
    """The few-shot examples, and how they are picked."""
    scoring: str
    """The settings that affect verdicts."""
    reward: str
    """The settings that affect only rewards, with the code of a custom reward."""
    sampling: str
    """How answers are drawn: temperature, length, stop strings, seed, turns, the runner and its settings."""
    model: Mapping[str, str]
    """``weights``, ``config``, ``tokenizer``, ``adapter``, ... -> content."""
    scorer: str
    """The version of the scorer."""
    training: Mapping[str, str] = field(default_factory=dict)
    """Of a training only: settings, order of rows, files of rows, questions that choose the weights."""
    split: Mapping[str, str] = field(default_factory=dict)
    """``questions`` and ``golds`` of the whole split, so that runs with another limit can be compared."""

    @property
    def digest(self) -> str:
        """One digest of all inputs that determine the records."""
        parts = asdict(self)
        del parts["split"]
        return digest_of(parts)

    @property
    def task_digest(self) -> str:
        """One digest of the components that runs in one group share, besides the databases and the scorer."""
        return digest_of(dict(self.split), self.prompt, self.examples, self.scoring, self.reward)


_TYPES = {field.name: dict if "Mapping" in str(field.type) else str for field in fields(Identity)}
"""Field -> its type in JSON."""


def identity_of(run: Run) -> Identity | None:
    """The identity stored with a run; None if another version stored none, or one with other fields."""
    return parsed(run.identity)


def parsed(stored: object) -> Identity | None:
    """The identity in a value that was read from JSON; None if it is not valid."""
    if not isinstance(stored, Mapping) or stored.keys() != _TYPES.keys():
        return None
    if not all(isinstance(stored[name], expected) for name, expected in _TYPES.items()):
        return None
    return Identity(**stored)


def changed(new: Run, old: Run) -> list[str]:
    """The differences between the inputs of two runs, in words; empty if one has not recorded them."""
    identity_new, identity_old = identity_of(new), identity_of(old)
    if identity_new is None or identity_old is None:
        return []
    return differences(identity_new, identity_old, new.task, new.label)


def differences(first: Identity, second: Identity, task: str, model: str) -> list[str]:
    """The differences, in words such as ``pocket's gold`` or ``nano's weights``."""
    descriptions = {
        "task": "the task or split",
        "questions": f"{task}'s questions",
        "golds": f"{task}'s gold",
        "prompt": f"{task}'s prompt",
        "examples": f"{task}'s few-shot examples",
        "scoring": f"{task}'s scoring",
        "reward": f"{task}'s reward",
        "sampling": "the settings of sampling",
        "scorer": "the scorer",
    }
    words = [text for name, text in descriptions.items() if getattr(first, name) != getattr(second, name)]
    for name, text in (
        ("databases", f"{task}'s database "),
        ("model", f"{model}'s "),
        ("training", "the training's "),
    ):
        if different := list(_different(getattr(first, name), getattr(second, name))):
            words.append(text + _some(different))
    return words


def incomparable(a: Run, b: Run) -> list[str]:
    """The reasons why two runs cannot be compared question by question; empty if they can.

    They may differ in the model, in how it is asked (``asked_differently``) and in the reward.
    """
    labels = ("task", "split", "metric")
    words = [f"{name} {getattr(a, name)} and {getattr(b, name)}" for name in labels if _differ(a, b, name)]
    first, second = identity_of(a), identity_of(b)
    if first is None or second is None:
        if _differ(a, b, "task_digest"):
            words.append(f"task digest {a.task_digest} and {b.task_digest}")
    else:
        words += judged_differently(first, second)
    if _differ(a, b, "scorer_version"):
        words.append(f"scorer version {a.scorer_version} and {b.scorer_version}")
    return words


def judged_differently(first: Identity, second: Identity) -> list[str]:
    """The reasons why the verdicts of two runs cannot be compared, without the scorer's version."""
    words = [
        f"the {name} of the split"
        for name in ("questions", "golds")
        if first.split.get(name) != second.split.get(name)
    ]
    if conflict := conflicting(first.databases, second.databases):
        words.append(f"the content of the database {_some(conflict)}")
    return words + ["the scoring settings"] * (first.scoring != second.scoring)


def asked_differently(a: Run, b: Run) -> list[str]:
    """The differences in prompts and sampling between two comparable runs, in words."""
    first, second = identity_of(a), identity_of(b)
    if first is None or second is None:
        return []
    descriptions = {"prompt": "the prompt", "examples": "the few-shot examples"}
    words = [text for name, text in descriptions.items() if getattr(first, name) != getattr(second, name)]
    one, other = ({**UNSTATED, **run.sampling} for run in (a, b))
    return words + [
        f"{name} ({one[name]} and {other[name]})"
        for name in {**one, **other}
        if name in one and name in other and one[name] != other[name]
    ]


def unlike(a: Run, b: Run) -> tuple[bool, bool]:
    """A sort key of two comparable runs: those asked alike first, then those of the same questions."""
    first, second = identity_of(a), identity_of(b)
    same = a.limit == b.limit if first is None or second is None else first.questions == second.questions
    return bool(asked_differently(a, b)), not same


def conflicting(first: Mapping[str, str], second: Mapping[str, str]) -> list[str]:
    """The databases that are in both with different content."""
    return sorted(name for name in first.keys() & second.keys() if first[name] != second[name])


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def _differ(a: Run, b: Run, name: str) -> bool:
    return bool(getattr(a, name) != getattr(b, name))


def _different(first: Mapping[str, Any], second: Mapping[str, Any]) -> Iterator[str]:
    return (name for name in {**first, **second} if first.get(name) != second.get(name))


def _some(names: Sequence[str]) -> str:
    return listed([*names[:3], f"{len(names) - 3} others"] if len(names) > 4 else names)
