"""What this installation is made of, what it finds on this machine, and what is missing."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

from tasks import spec as specs
from tasks.common.errors import first_line
from tasks.common.extras import PACKAGE, source
from tasks.common.home import home
from tasks.databases.sandbox.pool import Sandbox
from tasks.sources import state
from tasks.types import Database, Engine

UNLISTED = ("all",)
"""Extras that only name other extras."""

ExtraState = Literal["installed", "incomplete", "missing"]
"""``incomplete``: some of its packages are installed."""


@dataclass(frozen=True, slots=True)
class Package:
    """A required package. ``installed`` is "" if it is not."""

    name: str
    required: str
    installed: str

    @property
    def fits(self) -> bool:
        """Whether the installed version is in the range that is required."""
        specifier = Requirement(f"{self.name}{self.required}").specifier
        return bool(self.installed) and specifier.contains(self.installed, prereleases=True)

    def __str__(self) -> str:
        return f"{self.name} {self.required}".rstrip()


@dataclass(frozen=True, slots=True)
class Extra:
    """A group of optional packages. ``command`` installs what it lacks; "" if nothing."""

    name: str
    state: ExtraState
    packages: Sequence[Package]
    command: str = ""


@dataclass(frozen=True, slots=True)
class Device:
    """A device that models can run on; ``memory`` in bytes."""

    kind: str
    name: str
    memory: int


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """An engine that runs answers, with the error of a query in the sandbox; "" if it ran."""

    name: str
    version: str
    error: str


@dataclass(frozen=True, slots=True)
class Doctor:
    """The report of ``harness doctor``."""

    harness: str
    python: str
    executable: str
    platform: str
    cores: int
    """CPUs that this process may use."""
    memory: int
    """Bytes of memory that this process may use."""
    devices: Sequence[Device]
    home: str
    """HARNESS_HOME."""
    home_free: int
    """Free bytes on its disk."""
    runs: int
    """Directories in its folder of runs."""
    data: str
    """HARNESS_DATA; "" if it is not set."""
    tasks: dict[str, str]
    """Shipped task -> ``found``, ``Hub`` (fetched from there on first use), or the path that is missing."""
    dependencies: Sequence[Package]
    extras: Sequence[Extra]
    engines: Sequence[EngineCheck]
    problems: Sequence[str]
    """What has to be put right; missing extras and data are no problems."""

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def examine() -> Doctor:
    """Look at everything. Only this process and a sandbox run; nothing is written or downloaded."""
    dependencies, extras = _requirements()
    engines = list(_engines())
    devices, device_error = _devices()
    place, data = home(), os.environ.get("HARNESS_DATA", "")
    problems = [
        *(f"{one}: {one.installed or 'not installed'}" for one in dependencies if not one.fits),
        *(
            f"{one} of the extra {extra.name}: {one.installed}"
            for extra in extras
            for one in extra.packages
            if one.installed and not one.fits
        ),
        *(f"{one.name}: {one.error}" for one in engines if one.error),
        *([device_error] if device_error else []),
        *_folder_problems(place, data),
    ]
    return Doctor(
        harness=_installed(PACKAGE) or "unknown",
        python=platform.python_version(),
        executable=sys.executable,
        platform=platform.platform(),
        cores=len(os.sched_getaffinity(0)),
        memory=_memory(),
        devices=devices,
        home=str(place),
        home_free=shutil.disk_usage(_existing(place)).free,
        runs=_count(place / "runs"),
        data=data,
        tasks={name: state(specs.load(name).dataset) for name in specs.shipped()},
        dependencies=dependencies,
        extras=extras,
        engines=engines,
        problems=problems,
    )


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _requirements() -> tuple[list[Package], list[Extra]]:
    """The packages that are always required, and the extras."""
    try:
        found = metadata.metadata(PACKAGE)
    except metadata.PackageNotFoundError:
        return [], []
    required = [Requirement(text) for text in found.get_all("Requires-Dist") or []]
    own = [one for one in required if one.name != PACKAGE]
    core = [one for one in own if one.marker is None or one.marker.evaluate({"extra": ""})]
    extras = []
    for name in found.get_all("Provides-Extra") or []:
        if name not in UNLISTED:
            packages = [_package(one) for one in own if one not in core and _is_of(one, name)]
            extras.append(_extra(name, packages))
    return [_package(one) for one in core], extras


def _is_of(requirement: Requirement, extra: str) -> bool:
    return requirement.marker is not None and requirement.marker.evaluate({"extra": extra})


def _package(requirement: Requirement) -> Package:
    return Package(requirement.name, str(requirement.specifier), _installed(requirement.name))


def _extra(name: str, packages: Sequence[Package]) -> Extra:
    present = any(one.installed for one in packages)
    if all(one.fits for one in packages):
        return Extra(name, "installed", packages)
    state: ExtraState = "incomplete" if present else "missing"
    return Extra(name, state, packages, shlex.join([sys.executable, "-m", "pip", "install", *source(name)]))


def _engines() -> Iterator[EngineCheck]:
    """Run a query, in the sandbox, on each engine that needs no server."""
    names: tuple[Engine, ...] = ("sqlite", "duckdb")
    tables = [Database("doctor", name, ddl="CREATE TABLE t (x INTEGER)") for name in names]
    with Sandbox(1) as sandbox:
        try:
            outcomes = sandbox.run([(table, 0, "SELECT COUNT(*) FROM t") for table in tables])
            errors = ["" if one.rows == ((0,),) else one.message or one.status.value for one in outcomes]
        except (OSError, RuntimeError) as error:
            errors = [f"the sandbox does not start: {first_line(error)}"] * len(names)
    for name, text in zip(names, errors, strict=True):
        yield EngineCheck(name, sqlite3.sqlite_version if name == "sqlite" else _installed(name), text)


def _devices() -> tuple[list[Device], str]:
    """The GPUs that torch can use, and why torch cannot be imported; "" if it can, or is not installed."""
    if find_spec("torch") is None:
        return [], ""
    try:
        import torch

        found = [torch.cuda.get_device_properties(i) for i in range(torch.cuda.device_count())]
    except Exception as error:  # a broken installation raises whatever its libraries do
        return [], f"torch cannot be used: {first_line(error)}"
    return [Device("cuda", one.name, one.total_memory) for one in found], ""


def _memory() -> int:
    """Bytes of the machine's memory, or of the limit of this process's control group."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            return min(total, int(Path("/sys/fs/cgroup", name).read_text()))
    return total


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(one for one in (path.absolute(), *path.absolute().parents) if os.path.exists(one))


def _folder_problems(place: Path, data: str) -> Iterator[str]:
    existing = _existing(place)
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        yield f"HARNESS_HOME {place}: {existing} is no folder that can be written"
    if data and not Path(data).is_dir():
        yield f"HARNESS_DATA {data}: no such folder"


def _count(folder: Path) -> int:
    try:
        return sum(1 for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    except OSError:
        return 0
