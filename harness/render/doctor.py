"""The report of ``harness doctor`` in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.doctor import Doctor, Extra
from harness.render.runs import size
from harness.render.terminal import number, plain

COLOURS = {"installed": "green", "incomplete": "yellow", "missing": "dim"}


def render_doctor(report: Doctor) -> RenderableType:
    """Versions, machine, folders, engines and extras; then what has to be put right."""
    lines: list[RenderableType] = [_facts(report), Text(), _extras(report)]
    for extra in report.extras:
        if extra.command:
            lines.append(Text(f"\n{extra.name}: {_lacking(extra)}", COLOURS[extra.state]))
            lines.append(Text(f"  {extra.command}", no_wrap=True, overflow="ignore"))
    lines.append(Text())
    if not report.problems:
        return Group(*lines, Text("no problems", "green"))
    return Group(*lines, *(plain(f"problem: {problem}", "red") for problem in report.problems))


def _facts(report: Doctor) -> Table:
    table = Table.grid(padding=(0, 2))
    devices = [f"{one.kind} {one.name}, {size(one.memory)}" for one in report.devices]
    engines = [f"{one.name} {one.version}" for one in report.engines]
    rows = {
        "harness": report.harness,
        "python": f"{report.python}, {report.executable}",
        "system": report.platform,
        "CPU": f"{number(report.cores)} core{'s' * (report.cores != 1)}, {size(report.memory)} of memory",
        "GPU": "; ".join(devices) or "none",
        "engines": ", ".join(engines),
        "packages": ", ".join(f"{one.name} {one.installed or '-'}" for one in report.dependencies),
        "HARNESS_HOME": f"{report.home}: {number(report.runs)} runs, {size(report.home_free)} free",
        "HARNESS_DATA": report.data or "not set",
    }
    for name, text in rows.items():
        table.add_row(Text(name, "bold"), plain(text))
    for name, found in report.tasks.items():
        table.add_row(plain(f"  {name}", "dim"), plain(found, "dim" if found != "found" else ""))
    return table


def _extras(report: Doctor) -> Table:
    table = Table.grid(padding=(0, 2))
    for extra in report.extras:
        packages = (f"{one.name} {one.installed}" for one in extra.packages if one.installed)
        state = Text(extra.state, COLOURS[extra.state])
        table.add_row(plain(f"extra {extra.name}", "bold"), state, plain(", ".join(packages), "dim"))
    return table


def _lacking(extra: Extra) -> str:
    lacks = [str(one) for one in extra.packages if not one.fits]
    return f"install {', '.join(lacks)} with"
