"""Spider dev on every engine: how many golds survive the translation, and do verdicts stay the same?

    HARNESS_DATA=~/sql-data python benchmarks/engines.py [--engine duckdb] [--limit N] [--out FILE]

The databases are copied to each engine, and the golds are translated. A gold survives if it returns the same
rows as the gold on SQLite, by ``strict``. "sqlglot alone" is the share without our rules. The answers of four
published models are translated too and judged on each engine; a verdict is compared with SQLite's where the
gold survives. Pairs per second is the time for judging those answers, in strict mode and in spider's.

DuckDB's copies are files, PostgreSQL's are on the embedded server, and MariaDB's on a server of Debian's
package that is started and stopped here.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import sqlglot

from harness.render.progress import bar
from harness.verbs.options import on_engine
from rewards.grader import Grader
from rewards.translation import CAUSES, verify
from rewards.types import Grade
from tasks.databases.copying.mariadb import load
from tasks.databases.dialects.query import DIALECTS
from tasks.databases.dialects.translate import Translator, Untranslatable
from tasks.databases.schema import describe
from tasks.databases.servers.prepare_mariadb import prepare
from tasks.databases.servers.roles import READER
from tasks.databases_spec import COPIES, engine_named
from tasks.task import Task
from tasks.translation import Pair
from tasks.types import Database, Engine, LostGold, Mode, Sample

MODES = (Mode.STRICT, Mode.SPIDER)
SETTINGS = ("scoring.modes=[strict, spider]",)
ENGINES = (*COPIES, "mariadb")
EXAMPLES = 3
"""Lost golds, and verdicts, of each kind that the page shows."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A verdict that is another one than on SQLite."""

    model: str
    id: str
    mode: str
    here: float | None
    tie: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured on one engine. ``compared``: verdicts, in both modes together."""

    engine: str
    golds: int
    kept: int
    alone: int
    ties: int
    lost: tuple[LostGold, ...]
    compared: int
    differences: tuple[Difference, ...]
    pairs: int
    seconds: float


def main() -> int:
    """The command line: the page goes to standard output and to ``--out``."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", action="append", choices=ENGINES, help="may be repeated; default: all")
    parser.add_argument("--limit", type=int, default=0, help="the first N questions only")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    if not os.environ.get("HARNESS_DATA"):
        parser.error(
            "set HARNESS_DATA to the folder of Spider and its predictions (docs/how-to/benchmarks.md)"
        )
    task = Task.named("spider", SETTINGS)
    samples = task.samples("dev", options.limit)
    answers = published(samples)
    base = grades(task, samples, answers, options.workers)
    results = []
    for engine in options.engine or ENGINES:
        with place(engine, {one.database: task.database(one) for one in task.samples("dev")}) as target:
            results.append(measure(target, task, answers, base, options))
    page = "\n".join(written(results, len(samples), base[1], options.workers))
    print(page)
    if options.out:
        options.out.write_text(page)
    return 0


@contextmanager
def place(engine: str, databases: Mapping[str, Database]) -> Iterator[str]:
    """What ``--engine`` takes for an engine: its name, or the URL of a MariaDB server with the copies."""
    if engine != "mariadb":
        yield engine
        return
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
    tool: Any = import_module("mariadb_server")
    os.environ["HARNESS_READER_PASSWORD"] = tool.PASSWORD
    with TemporaryDirectory(prefix="harness-mariadb-", ignore_cleanup_errors=True) as folder:
        server = tool.MariaServer(Path(folder))
        server.start()
        try:
            for name, database in databases.items():
                server.execute(f"CREATE DATABASE `{name}`")
                load(database, server.server(name))
                list(prepare(server.server(name)))
            login = f"{READER}:${{HARNESS_READER_PASSWORD}}@localhost/{{database}}"
            yield f"mariadb://{login}?unix_socket={server.socket}"
        finally:
            server.stop()


Answers = dict[str, list[str]]
"""Model -> its answer to each sample."""


def published(samples: Sequence[Sample]) -> Answers:
    """The answers of the published files: a line for each row of dev, the SQL before a tab."""
    folder = Path(os.environ["HARNESS_DATA"], "predictions", "spider_dev")
    found = {}
    for file in sorted(folder.glob("*.sql")):
        lines = [line.partition("\t")[0] for line in file.read_text().splitlines()]
        found[file.stem] = [lines[int(sample.id)] for sample in samples]
    return found


def grades(
    task: Task, samples: Sequence[Sample], answers: Answers, workers: int
) -> tuple[dict[str, list[Grade]], float]:
    """The grades of each model's answers, and the seconds that all took, with the start of the workers."""
    found, began = {}, time.perf_counter()
    for model, texts in answers.items():
        with closing(Grader(task.spec.scoring, workers, structure=False)) as grader:
            found[model] = grader.grade(task, samples, texts)
    return found, time.perf_counter() - began


def measure(
    target: str,
    source: Task,
    answers: Answers,
    base: tuple[dict[str, list[Grade]], float],
    options: argparse.Namespace,
) -> Result:
    """Copy, translate, judge and compare on one engine."""
    task, engine = Task.named("spider", on_engine("spider", target, SETTINGS, False)), engine_named(target)
    task.progress = bar
    samples = source.samples("dev", options.limit)
    wanted = {sample.id for sample in samples}
    kept = [sample for sample in task.samples("dev") if sample.id in wanted]
    places = [place for place, sample in enumerate(samples) if sample.id in {one.id for one in kept}]
    translators = {
        sample.database: Translator(
            describe(source.database(sample)), describe(task.database(sample)), "sqlite", engine
        )
        for sample in kept
    }
    translated = {
        model: [_translated(translators[samples[place].database], texts[place]) for place in places]
        for model, texts in answers.items()
    }
    here, seconds = grades(task, kept, translated, options.workers)
    ties, alone = _ties_and_alone(engine, source, task, samples, kept)
    differences = tuple(
        Difference(
            model, samples[place].id, mode.value, after, samples[place].id in ties, grade.attempt.detail
        )
        for model in answers
        for place, grade in zip(places, here[model], strict=True)
        for mode in MODES
        if (after := grade.attempt.verdicts[mode]) != base[0][model][place].attempt.verdicts[mode]
    )
    return Result(
        engine,
        len(samples),
        len(kept),
        alone,
        len(ties),
        tuple(gold for gold in task.lost["dev"] if gold.id in wanted),
        len(kept) * len(answers) * len(MODES),
        differences,
        len(kept) * len(answers),
        seconds,
    )


def _translated(translator: Translator, sql: str) -> str:
    """The answer in the engine's SQL; as it is where it cannot be read."""
    try:
        return translator.translate(sql).sql
    except Untranslatable:
        return sql


def _ties_and_alone(
    engine: Engine, source: Task, task: Task, samples: Sequence[Sample], kept: Sequence[Sample]
) -> tuple[set[str], int]:
    """The ids of the kept golds whose LIMIT cuts a tie, and how many golds survive with sqlglot alone."""
    golds = {sample.id: sample.gold[0] for sample in samples}
    limits = task.spec.scoring.limits()

    def pairs(chosen: Sequence[Sample], texts: Sequence[str]) -> list[Pair]:
        return [
            Pair(source.database(sample), task.database(sample), golds[sample.id], text, False)
            for sample, text in zip(chosen, texts, strict=True)
        ]

    ours = verify(pairs(kept, [sample.gold[0] for sample in kept]), limits, bar)
    dialect = DIALECTS.get(engine, engine)
    plain = [sqlglot.transpile(golds[sample.id], "sqlite", dialect)[0] for sample in samples]
    alone = verify(pairs(samples, plain), limits, bar)
    ties = {sample.id for sample, verdict in zip(kept, ours, strict=True) if verdict.tie}
    return ties, sum(not verdict.cause for verdict in alone)


def written(results: Sequence[Result], golds: int, seconds: float, workers: int) -> list[str]:
    """The page, in lines."""
    pairs = golds * 4
    lines = [
        "# Spider dev on every engine",
        "",
        f"`python benchmarks/engines.py --out benchmarks/engines.md`, {date.today()},"
        f" Python {platform.python_version()}, sqlglot {version('sqlglot')}, {workers} workers."
        f" {golds} questions with a database, the answers of four published models.",
        "",
        "| engine | golds with SQLite's rows | sqlglot alone | LIMIT cuts a tie | verdicts as on SQLite"
        " | strict | no tie | pairs/s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        f"| sqlite | {golds} | | | | | | {pairs / seconds:,.0f} |",
    ]
    for found in results:
        same = 1 - len(found.differences) / found.compared
        strict = 1 - sum(one.mode == Mode.STRICT for one in found.differences) / found.pairs
        clear = sum(not one.tie for one in found.differences)
        untied = 1 - clear / (found.compared - found.ties * len(MODES) * found.pairs // found.kept)
        lines.append(
            f"| {found.engine} | {found.kept} of {found.golds} ({found.kept / found.golds:.2%})"
            f" | {found.alone / found.golds:.1%} | {found.ties} | {same:.2%} of {found.compared:,}"
            f" | {strict:.2%} | {untied:.2%} | {found.pairs / found.seconds:,.0f} |"
        )
    for found in results:
        lines += ["", *_lost(found), "", *_differences(found)]
    return [*lines, ""]


def _lost(found: Result) -> list[str]:
    """The lost golds of an engine by cause, with examples."""
    lines = [f"## Golds that do not survive on {found.engine}: {len(found.lost)}", ""]
    if found.lost:
        lines += ["| cause | golds | examples |", "|---|---:|---|"]
    for cause, count in Counter(gold.cause for gold in found.lost).most_common():
        examples = [gold for gold in found.lost if gold.cause == cause][:EXAMPLES]
        shown = "<br>".join(f"{gold.id}: `{gold.gold}`: {gold.detail}" for gold in examples)
        lines.append(f"| {cause}: {CAUSES[cause]} | {count} | {shown.replace('|', '&#124;')} |")
    return lines


def _differences(found: Result) -> list[str]:
    """The verdicts that differ from SQLite's."""
    lines = [f"## Verdicts on {found.engine} that are not SQLite's: {len(found.differences)}", ""]
    groups = Counter((one.mode, one.tie, one.here) for one in found.differences)
    if groups:
        lines += [
            "| mode | the gold's LIMIT cuts a tie | verdict | answers | examples |",
            "|---|---|---|---:|---|",
        ]
    for group, count in groups.most_common():
        examples = [one for one in found.differences if (one.mode, one.tie, one.here) == group][:EXAMPLES]
        shown = "<br>".join(f"{one.model} {one.id}: {one.detail}" for one in examples).replace("|", "&#124;")
        mode, tie, here = group
        word = "unscored" if here is None else "right, wrong on SQLite" if here else "wrong, right on SQLite"
        lines.append(f"| {mode} | {'yes' if tie else 'no'} | {word} | {count} | {shown} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
