"""The wheel holds what was tested: it is built, its files are listed, and it runs in an empty environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("harness", "tasks", "rewards", "runners", "leaderboards")
DATA = {".yaml", ".jinja", ".sql", ".json", ".md", ".safetensors", ".html", ".css", ".js", ".typed"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that the checkout stays clean."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    skip = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in (*PACKAGES, "tools"):
        shutil.copytree(ROOT / name, source / name, ignore=skip)
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy(file, source)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [*build, "--wheel-dir", str(folder), str(source)], check=True, capture_output=True, text=True
    )
    (built,) = folder.glob("sql_harness-*.whl")
    return built


def test_the_wheel_carries_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".py", *DATA}
    }
    alone = {path.name for path in ROOT.glob("*.py")}
    assert held - alone == wanted
    assert not any(name.startswith("tools/") for name in held)


def test_the_wheel_is_small_and_has_its_licence(wheel: Path) -> None:
    assert wheel.stat().st_size < 10 * 2**20
    assert any(name.endswith("/licenses/LICENSE") for name in zipfile.ZipFile(wheel).namelist())


@pytest.mark.slow
def test_the_wheel_runs_in_an_empty_environment_from_another_folder(wheel: Path, tmp_path: Path) -> None:
    """Core dependencies only: no torch. A task is listed, and gold answers are judged."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    run(tmp_path, "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))
    shipped = {path.stem for path in (ROOT / "tasks").glob("*.yaml")}
    listed = run(tmp_path, "harness", "tasks")
    assert [name for name in shipped if name not in listed] == []
    judged = run(
        tmp_path, "harness", "eval", "--model", "gold", "--task", "pocket", "--limit", "20", "--json"
    )
    assert '"ex": 1.0' in judged


def run(folder: Path, program: str, *arguments: str) -> str:
    """A program of the new environment, with nothing of this one's."""
    home = {"HOME": str(folder), "HARNESS_HOME": str(folder / "home")}
    kept = {
        name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "SSL_")) or name == "PATH"
    }
    done = subprocess.run(
        [str(folder / "venv" / "bin" / program), *arguments],
        cwd=folder,
        env={**kept, **home},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
