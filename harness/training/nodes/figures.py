"""The figures that a plan for several nodes rests on: assumed (``figures.yaml``), given or measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from harness.training.plan import DescribedMachine
from tasks.common.errors import SpecError, nearest
from tasks.common.parse import read_yaml

FILE = Path(__file__).with_name("figures.yaml")
QUERIES = "queries"
"""The figure that is measured unless it is given."""
QUERIES_UNIT = "answers/s a core"
Origin = Literal["assumed", "measured", "given", "recipe"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a plan, and where it comes from."""

    value: float
    unit: str
    origin: Origin
    source: str


Figures = Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Cluster:
    """Nodes that are alike. Rates are per second; ``network`` is of a node, ``interconnect`` of a GPU."""

    gpus: int
    """GPUs of a node."""
    gpu_memory: float
    """Bytes."""
    gpu_flops: float
    gpu_bandwidth: float
    """Bytes per second."""
    interconnect: float
    """Bytes per second."""
    network: float
    """Bytes per second."""
    link_share: float
    """The share of a link's rate that is reached."""
    cores: float
    """Cores of a node that score."""
    timeouts: float
    """The share of answers that run until the time limit."""
    answer_bytes: float
    """Bytes that a server sends for a token."""
    queries: float = math.inf
    """Answers that a core scores in a second, without those that run until the limit; SFT scores none."""


def figures(assumptions: Sequence[str], machine: DescribedMachine | None) -> dict[str, Figure]:
    """The assumed figures, replaced by those of a recipe's GPU and by KEY=VALUE.

    Raises SpecError: no KEY=VALUE, no such figure, or a value that it cannot have.
    """
    found = {
        name: Figure(float(row["value"]), row["unit"], "assumed", row["source"])
        for name, row in read_yaml(FILE).items()
    }
    for key, value in machine.model_dump().items() if machine else ():
        name = f"gpu_{key}"
        found[name] = Figure(value, found[name].unit, "recipe", "--recipe")
    units = {QUERIES: QUERIES_UNIT, **{name: figure.unit for name, figure in found.items()}}
    for assumption in assumptions:
        name, equals, text = assumption.partition("=")
        if not equals:
            raise SpecError(f"--assume {assumption}: write KEY=VALUE, with KEY one of {', '.join(units)}")
        if name not in units:
            raise SpecError(f"--assume: no figure '{name}': {nearest(name, units)}")
        found[name] = Figure(_value(name, text), units[name], "given", "--assume")
    return found


def _value(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    fits, expected = {
        "timeouts": (0 <= value <= 1, "a share from 0 to 1"),
        "link_share": (0 < value <= 1, "a share above 0 and at most 1"),
    }.get(name, (0 < value < math.inf, "a number above 0"))
    if not fits:
        raise SpecError(f"--assume {name}: '{text}' is not {expected}")
    return value


def cluster(found: Figures, gpus: int) -> Cluster:
    """The nodes that the figures describe."""
    values = {name: figure.value for name, figure in found.items()}
    return Cluster(gpus, **{**values, "gpu_memory": values["gpu_memory"] * 1e9})


def as_dicts(found: Figures) -> dict[str, dict[str, Any]]:
    """For ``--json``."""
    return {name: asdict(figure) for name, figure in found.items()}
