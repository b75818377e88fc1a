"""Schema linking: what it keeps of what golds read, how long prompts get, and what it costs.

    HARNESS_DATA=../shared/data python benchmarks/linking.py [--budget N] [--limit N] [--only NAME]
        [--tokenizer FILE]

For each dataset prints the share of gold tables and gold columns in the prompts, the share of golds of which
nothing is left out, the mean tokens of a schema with and without linking, the share of the prompts' text that
an earlier prompt of the same database begins with (what a prefix cache saves), milliseconds for a question,
and seconds for building the indexes of terms and values. Datasets: Spider dev on its own databases, on all
of its databases merged into one, and on all of Spider's databases merged; BIRD dev's two databases; and the
500 tables of ``benchmarks/large_schema.py``. Constants were chosen on Spider's training questions (``--split
train``) on merged databases. ``--tokenizer`` compares the estimate of tokens with a ``tokenizer.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from statistics import fmean

from large_schema import make

from harness.linking import Kept, kept, share
from tasks.databases.comments import with_comments
from tasks.databases.schema import describe
from tasks.databases.values import find_values
from tasks.linking import choice
from tasks.linking.tokens import estimate
from tasks.prompts import render_schema
from tasks.spec import SchemaSpec
from tasks.types import Database, Sample, Schema

Values = Mapping[str, tuple[str, ...]]
FORMATS = (SchemaSpec(format="compact"), SchemaSpec(format="ddl", rows=3))


@dataclass(frozen=True)
class Source:
    """Questions on databases. ``merged``: each is asked on one schema that has the tables of all."""

    name: str
    samples: Sequence[Sample]
    databases: Mapping[str, Database]
    merged: bool = False

    def own(self, database: str, rows: int) -> Schema:
        """The schema of a database, with its comments."""
        found = self.databases[database]
        return with_comments(found, describe(found, rows))

    def whole(self, database: str, rows: int) -> Schema:
        """The schema on which a question of this database is asked."""
        return self._merged[rows] if self.merged else self.own(database, rows)

    @cached_property
    def _merged(self) -> dict[int, Schema]:
        return {
            spec.rows: Schema(
                tuple(
                    replace(table, schema=name)
                    for name in self.databases
                    for table in self.own(name, spec.rows).tables
                )
            )
            for spec in FORMATS
        }

    def values(self, sample: Sample) -> Values:
        """The values of the question in the databases on which it is asked."""
        if not self.merged:
            return self._found(sample.database, sample.question)
        return {
            f"{name}.{column}": texts
            for name in self.databases
            for column, texts in self._found(name, sample.question).items()
        }

    def _found(self, database: str, question: str) -> Values:
        found = self.databases[database]
        return find_values(found, describe(found), question)


@dataclass(frozen=True)
class Measured:
    """The figures of one source under one spec."""

    kept: Sequence[Kept]
    tokens: Sequence[int]
    without: Sequence[int]
    shared: float
    shared_without: float
    milliseconds: float
    index_seconds: float

    def cells(self) -> list[str]:
        """The figures as cells of a table."""
        return [
            str(len(self.kept)),
            f"{share((one.shown_tables, one.tables) for one in self.kept):.2%}",
            f"{share((one.shown_columns, one.columns) for one in self.kept):.2%}",
            f"{share((not one.lost, 1) for one in self.kept):.2%}",
            f"{fmean(self.tokens):.0f}",
            f"{fmean(self.without):.0f}",
            f"{self.shared:.0%}",
            f"{self.shared_without:.0%}",
            f"{self.milliseconds:.1f}",
            f"{self.index_seconds:.1f}",
        ]


def measure(source: Source, spec: SchemaSpec) -> Measured:
    """Choose the schema of each question and compare it with what the gold reads."""
    began = time.perf_counter()
    first = {sample.database: sample for sample in source.samples}
    for sample in first.values():
        shown_schema(source, spec, sample)
    index_seconds = time.perf_counter() - began
    results, texts, wholes = [], [], []
    began = time.perf_counter()
    chosen = [shown_schema(source, spec, sample) for sample in source.samples]
    milliseconds = 1000 * (time.perf_counter() - began) / len(chosen)
    whole_texts = {name: render_schema(spec, source.whole(name, spec.rows)) for name in first}
    for sample, shown in zip(source.samples, chosen, strict=True):
        own = source.own(sample.database, spec.rows)
        visible = [table for table in shown.tables if not source.merged or table.schema == sample.database]
        if one := kept(Schema(tuple(visible)), own, sample.gold, "sqlite"):
            results.append(one)
        texts.append(("" if source.merged else sample.database, render_schema(spec, shown)))
        wholes.append((texts[-1][0], whole_texts[sample.database]))
    lengths = {text: estimate(text) for text in whole_texts.values()}
    return Measured(
        results,
        [estimate(text) for _, text in texts],
        [lengths[text] for _, text in wholes],
        shared(texts),
        shared(wholes),
        milliseconds,
        index_seconds,
    )


def shown_schema(source: Source, spec: SchemaSpec, sample: Sample) -> Schema:
    """What a prompt shows for a question."""
    whole = source.whole(sample.database, spec.rows)
    return choice.linked(spec, whole, f"{sample.question} {sample.evidence}", lambda: source.values(sample))


def shared(texts: Sequence[tuple[str, str]]) -> float:
    """The share of the characters with which an earlier prompt of the same database begins."""
    ordered = sorted(texts)
    again = sum(
        next((i for i, pair in enumerate(zip(before, text, strict=False)) if pair[0] != pair[1]), len(before))
        for (name, before), (other, text) in pairwise(ordered)
        if name == other
    )
    return again / sum(len(text) for _, text in texts)


def sources(data: Path, split: str, limit: int, folder: Path) -> Iterator[Source]:
    """All datasets, with at most ``limit`` questions each, evenly taken from the whole."""
    rows = json.loads((data / f"spider/{split}_exec.json").read_text())
    samples = [sample_of(row, "query") for row in rows if row["exec_ok"]]
    spider = {path.stem: path for path in sorted((data / "spider/database").glob("*/*.sqlite"))}
    asked = {sample.database for sample in samples}
    few = {name: path for name, path in spider.items() if name in asked}
    yield Source(f"Spider {split}", thinned(samples, limit), databases(few))
    yield Source(f"Spider {split}, its databases merged", thinned(samples, limit), databases(few), True)
    yield Source(f"Spider {split}, all of Spider merged", thinned(samples, limit), databases(spider), True)
    bird = {path.stem: path for path in sorted((data / "bird/dev_databases").glob("*/*.sqlite"))}
    rows = json.loads((data / "bird/dev.json").read_text())
    samples = [sample_of(row, "SQL") for row in rows if row["db_id"] in bird]
    yield Source("BIRD dev, 2 databases", thinned(samples, limit), databases(bird))
    make(folder)
    lines = (folder / "dev.jsonl").read_text().splitlines()
    samples = [sample_of(json.loads(line), "query") for line in lines]
    yield Source("500 tables", thinned(samples, limit), databases({"large": folder / "large.sqlite"}))


def sample_of(row: Mapping[str, str], gold: str) -> Sample:
    """The question of a row of a dataset."""
    return Sample("", row["question"], row["db_id"], (row[gold],), row.get("evidence", ""))


def thinned(samples: Sequence[Sample], limit: int) -> Sequence[Sample]:
    """At most ``limit`` samples, evenly spaced; all for 0."""
    return samples[:: -(-len(samples) // limit)] if limit else samples


def databases(paths: Mapping[str, Path]) -> dict[str, Database]:
    """SQLite databases by name."""
    return {name: Database(name, "sqlite", (path,)) for name, path in paths.items()}


def estimate_error(file: str, found: Sequence[Source]) -> Iterator[str]:
    """The estimate of tokens divided by a tokenizer's count, over all schemas."""
    from tokenizers import Tokenizer

    count: Callable[[str], int] = lambda text: len(tokenizer.encode(text).ids)  # noqa: E731
    tokenizer = Tokenizer.from_file(file)
    for spec in FORMATS:
        texts = [
            render_schema(spec, source.own(name, spec.rows))
            for source in found
            if not source.merged
            for name in source.databases
        ]
        ratios = [estimate(text) / count(text) for text in texts]
        yield (
            f"{spec.format}, {spec.rows} rows: the estimate is {fmean(ratios):.2f} of the tokenizer's count"
            f" ({min(ratios):.2f} to {max(ratios):.2f}, {len(ratios)} schemas)"
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budget", type=int, action="append", default=[])
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--only", default="", help="datasets with this text in their name")
    parser.add_argument("--split", default="dev", choices=("dev", "train"))
    parser.add_argument("--tokenizer", default="")
    options = parser.parse_args()
    head = "| dataset | schema | budget | golds | tables | columns | complete | tokens | without | shared"
    print(head + " | without | ms a question | index, s |\n" + "|---" * 13 + "|")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(os.environ["HARNESS_DATA"])
        found = list(sources(data, options.split, options.limit, Path(folder)))
        for source in (source for source in found if options.only in source.name):
            for spec in FORMATS:
                for budget in options.budget or [1000]:
                    measured = measure(source, spec.model_copy(update={"max_tokens": budget}))
                    name = f"{spec.format}, {spec.rows} rows" if spec.rows else spec.format
                    print(
                        "| " + " | ".join([source.name, name, str(budget), *measured.cells()]) + " |",
                        flush=True,
                    )
        if options.tokenizer:
            print("", *estimate_error(options.tokenizer, found), sep="\n")


if __name__ == "__main__":
    main()
