"""The plan of a training on several nodes in a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.render.plan import render_plans
from harness.training.nodes.figures import QUERIES, Figure, Figures
from harness.training.nodes.scaling import STILL_SCALES, ScaledPlans, Scaling
from harness.training.nodes.step import Step
from harness.training.plan import StagePlan, size_text
from runners.training.config import GrpoConfig

PHASES = ("sampling", "scoring", "learning", "network")


def render_scale(scaled: ScaledPlans) -> RenderableType:
    """The memory of each stage, each stage by the number of nodes, what it needs, and the figures."""
    parts: list[RenderableType] = [render_plans(scaled.plans)]
    for method, scaling in scaled.scalings.items():
        unit = _unit(scaling)
        parts.append(Text(f"{method}: seconds of a step by phase, {unit}, and the phase that binds", "bold"))
        parts.append(_by_nodes(scaling))
        lines = "\n".join(_needs(scaled, scaled.plans.stages[method], scaling))
        parts.append(Padding(lines, (1, 1)))
    return Group(*parts, _figures(scaled.figures))


def _unit(scaling: Scaling) -> str:
    return "answers/s" if scaling.cores else "rows/s"


def _by_nodes(scaling: Scaling) -> Table:
    shown = [name for name in PHASES if name in scaling.step.phases]
    table = Table(box=None, padding=(0, 1, 0, 0))
    for heading in ("nodes", "GPUs", *shown, "a step", _unit(scaling)):
        table.add_column(heading, justify="right")
    table.add_column("binds")
    for one in scaling.steps:
        seconds = [_seconds(value) for value in (*(one.phases[name] for name in shown), one.seconds)]
        style = "bold" if one.nodes == scaling.step.nodes else ""
        table.add_row(str(one.nodes), _gpus(one), *seconds, f"{one.rate:,.1f}", one.binds, style=style)
    return table


def _gpus(one: Step) -> str:
    return f"{one.learners} + {one.samplers}" if one.samplers else str(one.learners)


def _seconds(value: float) -> str:
    return f"{value:,.1f}" if value >= 10 else f"{value:.3f}"


def _needs(scaled: ScaledPlans, stage: StagePlan, scaling: Scaling) -> Iterator[str]:
    """Lines on the nodes that were asked for."""
    one, (nodes, gpus) = scaling.step, scaled.size
    longest = _seconds(one.phases[one.binds])
    yield f"{nodes} x {gpus} GPUs: {one.binds} binds, {longest} of {_seconds(one.seconds)} s."
    if one.samplers:
        yield f"GPUs: {one.learners} for learning, {one.samplers} for a vLLM server that draws answers."
    if scaling.cores:
        at_limit, as_golds = scaling.cores
        yield (
            f"Cores that score as fast as a GPU draws: {at_limit:,.1f} for answers of {stage.answer} tokens"
            f" (the limit), {as_golds:,.1f} for {scaling.gold:,.0f} (as the golds)."
        )
        limit = f"{scaling.training.limit:g} s"
        yield f"{one.delayed:.0%} of the steps wait for a query that runs until its limit of {limit}."
    sent = ", ".join(f"{name} {size_text(size)}" for name, size in one.sent.items())
    yield f"Network, a step and node: {sent}."
    if scaling.cores and scaled.databases.files:
        files = f"{scaled.databases.files:,} files with {size_text(scaled.databases.bytes)}"
        yield f"Databases, once a node: {files}."
    yield _end(scaling, stage, gpus)


def _end(scaling: Scaling, stage: StagePlan, gpus: int) -> str:
    """How far the stage scales, and why no further."""
    nodes, last = scaling.scales_to, scaling.steps[-1].nodes
    if nodes < last:
        plural = "s" * (nodes > 1)
        return (
            f"Scales to {nodes} node{plural}: a further one adds less than {STILL_SCALES:.0%} of the first."
        )
    key = "prompts_per_step" if isinstance(stage.config, GrpoConfig) else "batch_size"
    items = f"{stage.config.items_per_step:,}"
    return (
        f"Scales to the last row, {last} x {gpus} GPUs. No more can share a step of {items}:"
        f" raise train.{key}."
    )


def _figures(figures: Figures) -> Table:
    table = Table("figure", "value", "unit", "", "source", box=None, pad_edge=False)
    ordered = sorted(figures.items(), key=lambda item: item[0] != QUERIES)
    for name, figure in ordered:
        table.add_row(name, _number(figure), figure.unit, figure.origin, figure.source)
    return table


def _number(figure: Figure) -> str:
    return f"{figure.value:,.4g}" if figure.value < 1e6 else f"{figure.value:.3g}"
