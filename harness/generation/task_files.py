"""The questions and databases that a task has, and the files of a generated task."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness.generation.types import Pair
from tasks.common import files
from tasks.common.errors import DataError, HarnessError, MissingData, SpecError
from tasks.common.home import expand
from tasks.spec import TaskSpec
from tasks.task import Task
from tasks.types import Database, Sample

MARK = "generated.json"
"""The file by which a folder is known as one that ``harness generate`` wrote."""
SPEC = "task.yaml"
ENGINES = ("sqlite", "duckdb", "postgres")
_OWN_KEYS = {"name", "version", "description", "about", "dataset", "databases", "prompt"}
"""Keys of a spec that the generated task does not take over as they are."""
Row = dict[str, Any]


def known_questions(task: Task) -> Iterator[Sample]:
    """The questions of all splits of the task that are on this machine."""
    for split in task.spec.dataset.splits:
        try:
            yield from task.samples(split)
        except HarnessError:
            continue


def databases_of(task: Task) -> list[Database]:
    """The databases of the task's questions; without questions, the files that its pattern finds.

    Raises MissingData: there is none; SpecError: the engine is not in ``ENGINES``, or rows have schemas of
    their own, which have no values.
    """
    if (engine := task.spec.databases.engine) not in ENGINES:
        raise SpecError(
            f"{task.name}: no questions are generated for {engine}, only for {', '.join(ENGINES)}"
        )
    samples = {sample.database: sample for sample in known_questions(task)}
    if any(sample.ddl for sample in samples.values()):
        raise SpecError(
            f"{task.name}: its rows have schemas of their own (dataset.fields.ddl), without values"
        )
    names = sorted(samples) or _found(task)
    return [task.prompt_database(samples.get(name) or Sample("", "", name, ())) for name in names]


def _found(task: Task) -> list[str]:
    """The ids of the databases that ``databases.path`` finds; the task's name where it is one file."""
    path = task.spec.databases.path
    if "{database}" not in path:
        return [task.name]
    before, *_, after = expand(path, database="\0").split("\0")
    pattern = "*".join(map(glob.escape, expand(path, database="\0").split("\0")))
    names = [found[len(before) : len(found) - len(after)] for found in sorted(glob.glob(pattern))]
    names = [name.rpartition("/")[2] for name in names]
    if not names:
        raise MissingData(f"{task.name}: no file matches databases.path: {path}")
    return names


def rows(pairs: Sequence[Pair], split: str) -> list[Row]:
    """The rows of a split."""
    return [
        {
            "id": f"{split}-{number:05d}",
            "question": pair.question,
            "sql": pair.sql,
            "db_id": pair.database,
            "evidence": "",
            "difficulty": pair.difficulty,
            "family": pair.family,
        }
        for number, pair in enumerate(pairs, 1)
    ]


def test_rows(task: Task) -> list[Row]:
    """The task's own questions for evaluation as rows; none where it has none that SQL answers."""
    try:
        samples = task.samples() if task.spec.dataset.gives_sql else []
    except DataError:
        return []
    return [
        {
            "id": sample.id,
            "question": sample.question,
            "sql": list(sample.gold),
            "db_id": sample.database,
            "evidence": sample.evidence,
            "difficulty": sample.difficulty,
            "family": sample.family,
        }
        for sample in samples
    ]


def refuse_foreign(out: Path) -> None:
    """Raise DataError if a folder has files and ``harness generate`` wrote none of them."""
    with files.writing(out):
        names = sorted(path.name for path in out.iterdir()) if out.exists() else []
    if names and MARK not in names:
        raise DataError(f"--out {out}: it holds '{names[0]}' and no generated task: choose another folder")


def write(task: Task, splits: Mapping[str, Sequence[Row]], facts: Mapping[str, Any], out: Path) -> None:
    """Write the splits, the task spec and ``facts`` into a folder, over an earlier generated task."""
    filled = [name for name, split in splits.items() if split]
    with files.writing(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        with files.new_folder(out, replace=True) as folder:
            for name in filled:
                lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in splits[name]]
                (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
            spec = yaml.safe_dump(spec_of(task.spec, filled), sort_keys=False, allow_unicode=True, width=110)
            (folder / SPEC).write_text(spec, encoding="utf-8")
            (folder / MARK).write_bytes(files.as_json(facts))


def spec_of(spec: TaskSpec, splits: Sequence[str]) -> Row:
    """The spec of the generated task: the task's own, with the generated splits as its dataset."""
    own = spec.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    databases = {
        key: _absolute(value) if key in ("path", "instances") else value
        for key, value in own.get("databases", {}).items()
    }
    prompt = dict(own.get("prompt", {}))
    if Path(str(prompt.get("template", ""))).is_file():
        prompt["template"] = _absolute(prompt["template"])
    last = "the questions of the task" if "test" in splits else "none"
    return {
        "name": f"{spec.name}_generated",
        "description": f"Generated questions on the databases of {spec.name}; split test: {last}.",
        "dataset": {
            "path": "{split}.jsonl",
            "splits": {name: name for name in splits},
            "fields": {
                "question": "question",
                "gold": "sql",
                "database": "db_id",
                "id": "id",
                "evidence": "evidence",
                "difficulty": "difficulty",
                "family": "family",
            },
            "eval_split": "test" if "test" in splits else "dev",
        },
        "databases": databases,
        **({"prompt": prompt} if prompt else {}),
        **{key: value for key, value in own.items() if key not in _OWN_KEYS},
    }


def _absolute(path: str) -> str:
    """A path that does not depend on the current folder; one that begins with a variable stays as it is."""
    return path if path.startswith(("$", "~")) else str(Path(path).absolute())
