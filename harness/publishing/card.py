"""The cards of the repositories: what a reader of the Hub needs to know, and the scores as metadata."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from harness.publishing.evaluation import HUB_ID, Published, asked, hub_id
from harness.publishing.private_paths import shown
from leaderboards.compare import compare
from leaderboards.find import evaluations
from leaderboards.identity import identity_of, incomparable
from leaderboards.types import Run, Slice
from tasks.common.digests import digest_of
from tasks.common.errors import DataError

TEMPLATES = Path(__file__).parent
METRIC = "execution_accuracy"


@dataclass(frozen=True)
class Stage:
    """An evaluation of the model or of one that it was trained from, on the same questions."""

    run: Run
    figures: Slice
    gain: str = ""
    """How it compares with the stage before it."""


def stages(published: Published) -> list[Stage]:
    """The evaluations from the base to this model that can be compared, the base first."""
    chain = _chain(published.run)
    found = []
    for before, run in zip([None, *chain[:-1]], chain, strict=True):
        figures = Published.find(run.id).figures(run.metric) if run != published.run else None
        gain = _gain(before, run) if before else ""
        found.append(Stage(run, figures or published.figures(run.metric), gain))
    return found


def _chain(run: Run) -> list[Run]:
    """The run, after the comparable evaluations of the models that its model was trained from."""
    chain = [run]
    while (parent := _parent(chain[0])) and parent.id not in {run.id for run in chain}:
        chain.insert(0, parent)
    return chain


def _parent(run: Run) -> Run | None:
    """The newest comparable evaluation of the model that this one was trained from."""
    for other in evaluations():
        identity = identity_of(other)
        same = identity is not None and digest_of(identity.model) == run.parent_content
        if same and run.parent_content and not incomparable(other, run):
            return other
    return None


def _gain(before: Run, run: Run) -> str:
    figures = compare(before.id, run.id).test.figures
    return f"{figures.wins} wins, {figures.losses} losses, McNemar p = {figures.p:.2g}"


def model_card(
    published: Published, to: str, records: str, tag: str, files: Mapping[str, bytes | Path]
) -> str:
    """The model card with its metadata. ``records``: repository of the records, "" for none; ``tag``: theirs.

    Raises DataError: the metadata is not valid.
    """
    from huggingface_hub import ModelCard

    adapter = "adapter_config.json" in files
    text = _rendered("model_card.md.jinja", published, to, records, adapter=adapter, tag=tag)
    header = _metadata(published, to, files).to_yaml()
    try:
        return str(ModelCard(f"---\n{header}\n---\n\n{text}", ignore_metadata_errors=False))
    except ValueError as error:
        raise DataError(f"the card of {to}: {error}") from None


def records_card(published: Published, to: str, records: str) -> str:
    """The card of the repository of records."""
    from huggingface_hub import DatasetCard, DatasetCardData

    data = DatasetCardData(
        pretty_name=f"Answers of {published.model} to {published.run.task}",
        task_categories=["text-generation"],
        tags=["text-to-sql", "sql-harness", "evaluation"],
        configs=[{"config_name": "default", "data_files": [{"split": "records", "path": "records.parquet"}]}],
    )
    text = _rendered("records_card.md.jinja", published, to, records)
    return str(DatasetCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))


def eval_results(published: Published, records: str, tag: str) -> list[dict[str, Any]]:
    """The entries of ``.eval_results/*.yaml``; none where neither questions nor records are on the Hub.

    ``tag``: that of the records; "" before they are pushed.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.constants import ENDPOINT

    run = published.run
    dataset, revision = hub_dataset(run)
    if not dataset and not records:
        return []
    figures = published.figures(run.metric)
    entry = EvalResultEntry(
        dataset_id=dataset or records,
        task_id=run.task,
        value=figures["ex"],
        dataset_revision=(revision if dataset else tag) or None,
        date=run.ended,
        source_url=f"{ENDPOINT}/datasets/{records}{f'/tree/{tag}' if tag else ''}" if records else None,
        source_name="Records of the run" if records else None,
        notes=f"{run.metric}, split {run.split}, {interval(figures)}, n = {figures['n']}",
    )
    return eval_result_entries_to_yaml([entry])


def _metadata(published: Published, to: str, files: Mapping[str, bytes | Path]) -> Any:
    from huggingface_hub import EvalResult, ModelCardData

    run = published.run
    dataset, revision = hub_dataset(run)
    results = [
        EvalResult(
            task_type="text-generation",
            task_name="Text-to-SQL",
            dataset_type=dataset or run.task,
            dataset_name=run.task,
            dataset_split=run.split,
            dataset_revision=revision or None,
            metric_type=METRIC if metric == run.metric else metric,
            metric_name=f"{metric}, 95 % interval {interval(figures)}" if metric != "reward" else metric,
            metric_value=figures["ex"],
        )
        for metric in published.metrics
        if (figures := published.figures(metric))["ex"] is not None
    ]
    base = _base(published.run, files)
    trained = [method for method in run.method.split("+") if method in ("sft", "grpo")]
    return ModelCardData(
        model_name=to.partition("/")[2],
        eval_results=results,
        library_name="peft" if "adapter_config.json" in files else "transformers",
        pipeline_tag="text-generation",
        base_model=base if base != to else None,
        datasets=[dataset] if dataset else None,
        tags=["text-to-sql", "sql-harness", *trained],
    )


def _base(run: Run, files: Mapping[str, bytes | Path]) -> str | None:
    """The id on the Hub of the model from which the training began; None if it has none that is known."""
    adapter = files.get("adapter_config.json")
    if isinstance(adapter, bytes):
        return str(json.loads(adapter)["base_model_name_or_path"])
    first = _chain(run)[0]
    return hub_id(first.parent or asked(first)) or None


def hub_dataset(run: Run) -> tuple[str, str]:
    """The dataset of the Hub with the task's questions and its revision; "" and "" if it is none."""
    dataset = run.spec["task"]["dataset"]
    on_hub = dataset["source"] == "huggingface" and HUB_ID.fullmatch(dataset["path"])
    here = Path(dataset["path"]).exists()
    return (dataset["path"], dataset["revision"]) if on_hub and not here else ("", "")


def interval(figures: Mapping[str, Any]) -> str:
    """The 95 % interval in percent."""
    if figures["low"] is None or figures["high"] is None:
        return "none"
    return f"{figures['low'] * 100:.1f} to {figures['high'] * 100:.1f} %"


def command(published: Published, to: str) -> str:
    """The command that repeats the evaluation, for a code block."""
    run = published.run
    words = ["harness", "eval", "--model", to, "--task", run.task, "--split", run.split]
    words += ["--limit", str(run.limit)] if run.limit else []
    if run.sampling.get("samples", 1) > 1 or run.sampling.get("temperature"):
        words += [
            "--samples",
            str(run.sampling["samples"]),
            "--temperature",
            str(run.sampling["temperature"]),
        ]
    words += ["--turns", str(run.sampling["turns"])] if run.sampling.get("turns", 1) > 1 else []
    return " ".join(shlex.join([*words, "--seed", str(run.seed)]).replace("`", "").split())


def percent(share: float | None) -> str:
    """A share in percent."""
    return "none" if share is None else f"{share * 100:.1f} %"


class Plain(str):
    """A text that is Markdown as it is."""


def code(text: object) -> Plain:
    """A text on one line, for a code span or a code block."""
    return Plain(" ".join("".join(char if char.isprintable() else " " for char in str(text)).split("`")))


def plain(text: object) -> Plain:
    """A text on one line in which nothing is Markdown or HTML."""
    if isinstance(text, Plain):
        return text
    line = " ".join("".join(char if char.isprintable() else " " for char in str(text)).split())
    escaped = re.sub(r"([\\`*_{}\[\]()#!|~$])", r"\\\1", line)
    return Plain(escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"))


def _rendered(name: str, published: Published, to: str, records: str, **more: object) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # of HTML: ``finalize`` escapes Markdown too
        finalize=plain,
    )
    environment.filters |= {"code": code, "percent": percent, "interval": interval, "shown": shown}
    return environment.get_template(name).render(
        published=published,
        run=published.run,
        summary=published.summary,
        task=published.run.spec["task"],
        stages=stages(published),
        to=to,
        records=records,
        command=command(published, to),
        **more,
    )
