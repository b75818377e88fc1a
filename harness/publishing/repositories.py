"""The repositories that a run is pushed to: the model with its card and scores, and the records."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import yaml

from harness.provenance import lineage
from harness.publishing.card import eval_results, model_card, records_card
from harness.publishing.evaluation import Published, asked, hub_id, local_name, slug
from harness.publishing.model_folder import RESULTS, uploaded
from harness.publishing.private_paths import public, without_folders
from leaderboards import store
from leaderboards.identity import identity_of
from leaderboards.types import Run
from leaderboards.writer import run_json
from runners.known.models import MODELS
from runners.weights.identity import content, runner_of
from tasks.common import files
from tasks.common.errors import DataError, ModelError

RECORDS = "records.parquet"
MARKERS = {"model": lineage.LINEAGE_FILE, "dataset": "run.json"}
"""The file by which a repository is known to hold what this program pushed."""


@dataclass(frozen=True)
class Repository:
    """A repository of the Hub and the files that it shall hold: content, or a file on disk.

    ``of_records``: the files that name the records, of whose repository it gets the tag; "" before a push.
    ``expect_unchanged``: raises ModelError where the files on disk are no longer those of the run.
    """

    id: str
    kind: Literal["model", "dataset"]
    files: Mapping[str, bytes | Path]
    of_records: Callable[[str], Mapping[str, bytes]] = lambda tag: {}
    expect_unchanged: Callable[[], object] = lambda: None


def repositories(published: Published, to: str, with_records: bool = True) -> list[Repository]:
    """What a push of this run to ``to`` (``org/name``) uploads: the records first, then the model.

    The records go to the dataset ``org/name-records``. A run whose model has no folder has only records.
    Raises DataError: nothing is left to push; ModelError: the model's
    folder cannot be pushed.
    """
    folder = model_folder(published.run)
    if folder is None and not with_records:
        raise DataError(f"the model of {published.run.id} has no folder: without its records nothing is left")
    records = f"{to}-records" if with_records else ""
    planned = [Repository(records, "dataset", _records(published, to, records))] if records else []
    if folder:
        planned.append(_model(published, to, records, folder))
    return planned


def model_folder(run: Run) -> Path | None:
    """The folder of the run's model; None for a model of the Hub, an endpoint or stored answers.

    Raises ModelError: it is not here, or its files have changed since the run.
    """
    model = asked(run)
    if runner_of(model) not in ("hf", "vllm"):
        return None
    parts = run.identity.get("model") or {}
    folder = lineage.model_path(model)
    if hub_id(model, parts) and ("name" in parts or (folder is None and not parts)):
        return None
    if folder is None or not folder.is_dir():
        raise ModelError(f"the model {model} is not here: run this in the folder of its evaluation")
    identity = identity_of(run)
    if identity is None or content(model) != dict(identity.model):
        raise ModelError(f"{folder} has changed since the run {run.id}: evaluate it again")
    return folder


def write(planned: list[Repository], out: Path) -> None:
    """Write the repositories into the folders ``model`` and ``records`` of a new folder. Raises DataError."""
    if out.is_dir() and not any(out.iterdir()):
        out.rmdir()
    if out.exists():
        raise DataError(f"--dry-run {out}: it exists and is not empty: choose another folder")
    with files.writing(out), files.new_folder(out) as building:
        for repository in planned:
            folder = building / {"model": "model", "dataset": "records"}[repository.kind]
            for name, source in {**repository.files, **repository.of_records("")}.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                if isinstance(source, bytes):
                    (folder / name).write_bytes(source)
                else:
                    shutil.copyfile(source, folder / name)


def _model(published: Published, to: str, records: str, folder: Path) -> Repository:
    run = published.run
    content = uploaded(folder, asked(run).rpartition("+")[0], run.identity.get("model"))
    content[lineage.LINEAGE_FILE] = _lineage(folder, content)

    def of_records(tag: str) -> dict[str, bytes]:
        written = {}
        results = eval_results(published, records, tag)
        if results:
            name = f"{RESULTS}/{slug(run.task)}-{slug(run.split)}.yaml"
            written[name] = yaml.safe_dump(results, sort_keys=False, allow_unicode=True).encode()
        card = model_card(published, to, records, tag, {**content, **written})
        return {**written, "README.md": card.encode()}

    return Repository(to, "model", content, of_records, partial(model_folder, run))


def _lineage(folder: Path, content: Mapping[str, bytes | Path]) -> bytes:
    """The model's lineage, for the files that are uploaded."""
    origin = lineage.read(folder)
    with tempfile.TemporaryDirectory() as place:
        for name, source in content.items():
            file = Path(place) / name
            file.parent.mkdir(exist_ok=True)
            if isinstance(source, bytes):
                file.write_bytes(source)
            else:
                file.symlink_to(source.resolve())
        described = replace(origin, content=lineage.content(Path(place)), parent=_name(origin.parent))
    return files.as_json(public(asdict(described)))


def _name(model: str) -> str:
    """A model's name without the folders of this machine."""
    is_here = Path(model).is_absolute() or lineage.model_path(model)
    return local_name(model) if is_here and model not in MODELS else model


def _records(published: Published, to: str, records: str) -> dict[str, bytes | Path]:
    """The files of the records. Raises DataError: they are a link, which may lead to a file of no run."""
    file = store.folder(published.run.id) / RECORDS
    if file.is_symlink():
        raise DataError(f"{file} is a link: put the file itself there")
    run = files.without_checksum(json.loads(run_json(published.run)))
    return {
        RECORDS: file,
        "scores.json": files.as_json(files.with_checksum(published.summary)),
        "run.json": files.as_json(files.with_checksum(without_folders(run))),
        "README.md": records_card(published, to, records).encode(),
    }
