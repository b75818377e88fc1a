"""``harness doctor`` and ``harness --version``, in this installation and in ones that lack something."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
BROKEN = """\
Metadata-Version: 2.4
Name: sql-harness
Version: 9.8.7
Requires-Dist: duckdb>=99
Requires-Dist: no-such-core
Requires-Dist: pytz
Requires-Dist: no-such-one>=1; extra == "ghost"
Requires-Dist: no-such-two; extra == "half"
Requires-Dist: pandas; extra == "half"
Requires-Dist: numpy<1; extra == "old"
Requires-Dist: rich; extra == "whole"
Requires-Dist: Sql_Harness[ghost,half]; extra == "both"
Provides-Extra: ghost
Provides-Extra: half
Provides-Extra: old
Provides-Extra: whole
"""


def harness(tmp_path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in an environment with a home of its own."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("HARNESS_")}
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *words],
        cwd=tmp_path,  # metadata of a package in the current folder would come first
        env=given | {"HARNESS_HOME": str(tmp_path / "home"), "COLUMNS": "80"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def examined(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(done.stdout)
    return report


@pytest.fixture
def broken(tmp_path: Path) -> str:
    """A folder that, first on the path, describes another version of this package."""
    info = tmp_path / "site" / "sql_harness-9.8.7.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(BROKEN)
    return str(info.parent)


def test_this_installation_has_no_problem(tmp_path: Path) -> None:
    done = harness(tmp_path, "doctor", "--json")
    report = examined(done)
    assert (done.returncode, report["problems"]) == (0, [])
    assert report["harness"] == version("sql-harness")
    assert report["python"] == ".".join(map(str, sys.version_info[:3]))
    assert report["cores"] == len(os.sched_getaffinity(0)) and report["memory"] > 10**8
    assert {one["name"]: one["error"] for one in report["engines"]} == {"sqlite": "", "duckdb": ""}
    assert report["tasks"]["pocket"] == "found" and "HARNESS_DATA is not set" in report["tasks"]["spider"]
    assert (report["runs"], report["data"]) == (0, "")
    assert not (tmp_path / "home").exists(), "nothing is written"
    named = {one["name"] for one in report["dependencies"]}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert named <= {re.split(r"[\[<>=]", line)[0] for line in project["dependencies"]} and len(named) > 10


def test_what_an_installation_lacks_is_named_with_the_command(broken: str, tmp_path: Path) -> None:
    done = harness(tmp_path, "doctor", "--json", PYTHONPATH=broken)
    report = examined(done)
    assert (done.returncode, report["harness"]) == (1, "9.8.7")
    assert report["problems"] == [
        f"duckdb >=99: {version('duckdb')}",
        "no-such-core: not installed",
        f"numpy <1 of the extra old: {version('numpy')}",
    ]
    extras = {one["name"]: one for one in report["extras"]}
    assert {name: one["state"] for name, one in extras.items()} == {
        "ghost": "missing",
        "half": "incomplete",
        "old": "incomplete",
        "whole": "installed",
    }
    assert extras["ghost"]["command"] == f"{sys.executable} -m pip install -e '{ROOT}[ghost]'"
    assert extras["whole"]["command"] == ""


def test_the_report_for_people_has_all_of_it(broken: str, tmp_path: Path) -> None:
    done = harness(tmp_path, "doctor", PYTHONPATH=broken, HARNESS_DATA=str(tmp_path))
    for text in (
        "9.8.7",
        "python",
        "2 cores" if len(os.sched_getaffinity(0)) == 2 else "core",
        "sqlite 3.",
        "extra ghost",
        "ghost: install no-such-one >=1 with",
        f"{sys.executable} -m pip install -e '{ROOT}[half]'",
        "problem: duckdb >=99",
    ):
        assert text in done.stdout, text
    assert "no problems" not in done.stdout and done.returncode == 1


def test_a_package_outside_a_clone_is_completed_by_its_requirements(broken: str, tmp_path: Path) -> None:
    """As a wheel is installed: the code lies beside the metadata, without pyproject.toml."""
    for package in ("harness", "leaderboards", "rewards", "runners", "tasks"):
        (Path(broken) / package).symlink_to(ROOT / package)
    extras = {
        one["name"]: one["command"]
        for one in examined(harness(tmp_path, "doctor", "--json", PYTHONPATH=broken))["extras"]
    }
    assert extras["ghost"] == f"{sys.executable} -m pip install 'no-such-one>=1'"
    assert extras["half"] == f"{sys.executable} -m pip install no-such-two pandas"
    code = "from tasks.common.errors import MissingExtra as E; print(E('x', 'both')); print(E('y', 'none'))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=broken, env={"PYTHONPATH": broken}, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "x is not installed: pip install 'no-such-one>=1' no-such-two pandas",
        "y is not installed: pip install -e '.[none]' in a clone",
    ], done.stderr


@pytest.mark.parametrize(
    ("name", "made", "problem"),
    [
        ("HARNESS_DATA", "", "no such folder"),
        ("HARNESS_DATA", "file", "no such folder"),
        ("HARNESS_HOME", "file", "is no folder that can be written"),
    ],
)
def test_a_wrong_folder_is_a_problem(name: str, made: str, problem: str, tmp_path: Path) -> None:
    place = tmp_path / "x"
    if made:
        place.write_text("")
    done = harness(tmp_path, "doctor", "--json", **{name: str(place)})
    (found,) = examined(done)["problems"]
    assert done.returncode == 1 and found.startswith(f"{name} {place}: ") and problem in found


def test_the_data_that_is_found_is_named(tmp_path: Path) -> None:
    (tmp_path / "data" / "classical").mkdir(parents=True)
    (tmp_path / "data" / "classical" / "geography.json").write_text("[]")
    (tmp_path / "home" / "runs" / "one").mkdir(parents=True)
    done = harness(tmp_path, "doctor", "--json", HARNESS_DATA=str(tmp_path / "data"))
    report = examined(done)
    assert report["tasks"]["geoquery"] == "found" and report["runs"] == 1
    assert report["tasks"]["bird"] == f"{tmp_path}/data/bird/dev.json: no such file"


def test_the_version_is_printed(broken: str, tmp_path: Path) -> None:
    done = harness(tmp_path, "--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"harness {version('sql-harness')}\n", "")
    assert harness(tmp_path, "--version", PYTHONPATH=broken).stdout == "harness 9.8.7\n"
