"""The cards of the repositories: what a reader of the Hub needs to know, and the scores as metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jinja2

from harness.publishing.evaluation import METRICS, REWARD, Published, hub_dataset, is_whole
from harness.publishing.model_folder import ADAPTER
from harness.publishing.private_paths import shown
from harness.publishing.reproduce import available, commands, remarks, score_commands, task_remarks
from harness.publishing.stages import base_on_hub, chain_of, stages, trainings
from leaderboards.types import Run, label
from tasks.common.errors import DataError

TEMPLATES = Path(__file__).parent


def model_card(
    published: Published, to: str, records: str, tag: str, files: Mapping[str, bytes | Path]
) -> str:
    """The model card with its metadata. ``records``: repository of the records, "" for none; ``tag``: theirs.

    Raises DataError: the metadata is not valid.
    """
    from huggingface_hub import ModelCard

    base = _adapter_base(files)
    trained = trainings(chain_of(published.run))
    more = {"adapter": bool(base), "tag": tag, "trainings": trained, "remarks": remarks(published)}
    more["reward"] = _reward(trained)
    lines = commands(published, to, base)
    text = _rendered("model_card.md.jinja", published, to, records, commands=lines, **more)
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
    model = available(published.run)
    more = {"commands": score_commands(published, records), "evaluation": None, "remarks": []}
    if model:
        more |= {"evaluation": commands(published, model), "remarks": remarks(published)}
    else:
        more["remarks"] = task_remarks(published)
    text = _rendered("records_card.md.jinja", published, to, records, **more)
    return str(DatasetCard(f"---\n{data.to_yaml()}\n---\n\n{text}"))


def eval_results(published: Published, records: str, tag: str) -> list[dict[str, Any]]:
    """The entries of ``.eval_results/*.yaml``, which the Hub shows as scores of the benchmark.

    None where neither questions nor records are on the Hub, no answer is scored, or questions were left out.
    ``tag``: that of the records; "" before they are pushed.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml
    from huggingface_hub.constants import ENDPOINT

    run = published.run
    dataset, revision = hub_dataset(run)
    figures = published.figures(run.metric)
    if not (dataset or records) or figures["ex"] is None or not is_whole(run):
        return []
    entry = EvalResultEntry(
        dataset_id=dataset or records,
        task_id=run.task,
        value=figures["ex"],
        dataset_revision=(revision if dataset else tag) or None,
        date=run.ended,
        source_url=f"{ENDPOINT}/datasets/{records}{f'/tree/{tag}' if tag else ''}" if records else None,
        source_name="Records of the run" if records else None,
        notes=f"{METRICS[run.metric].name} (mode {run.metric}), split {run.split}, "
        f"95 % interval {interval(figures)}, n = {figures['n']}",
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
            metric_type=METRICS[metric].id,
            metric_name=METRICS[metric].name
            + (f", 95 % interval {interval(figures)}" if metric != REWARD else ""),
            metric_value=figures["ex"],
        )
        for metric in published.metrics
        if (figures := published.figures(metric))["ex"] is not None and is_whole(run)
    ]
    base = _adapter_base(files) or base_on_hub(chain_of(run)) or None
    trained = [method for method in ("sft", "grpo") if method in (run.method, *run.training)]
    return ModelCardData(
        model_name=to.partition("/")[2],
        eval_results=results or None,
        library_name="peft" if ADAPTER in files else "transformers",
        pipeline_tag="text-generation",
        base_model=base if base != to else None,
        datasets=[dataset] if dataset else None,
        tags=["text-to-sql", "sql-harness", *trained],
    )


def _reward(trained: Mapping[str, Run]) -> str:
    """The reward of the training by GRPO that is among these; "" if there is none, or it is not known."""
    scoring: Any = trained["grpo"].spec if "grpo" in trained else {}
    for name in ("task", "scoring"):
        scoring = scoring.get(name) if isinstance(scoring, Mapping) else None
    known = isinstance(scoring, Mapping) and not scoring.get("weights")
    return str(scoring.get("reward") or "") if known else ""


def _adapter_base(files: Mapping[str, bytes | Path]) -> str:
    """The id on the Hub of an adapter's base; "" for a model."""
    adapter = files.get(ADAPTER)
    return str(json.loads(adapter)["base_model_name_or_path"]) if isinstance(adapter, bytes) else ""


def interval(figures: Mapping[str, Any]) -> str:
    """The 95 % interval in percent."""
    if figures["low"] is None or figures["high"] is None:
        return "none"
    return f"{figures['low'] * 100:.1f} to {figures['high'] * 100:.1f} %"


def scope(run: Run) -> str:
    """Which part of the split was asked, to follow its name in a sentence; "" if all."""
    words = []
    if run.limit and not is_whole(replace(run, skipped=0)):
        seed = run.spec.get("eval", {}).get("sample_seed")
        order = "" if seed is None else f" in the order drawn with the seed {seed}"
        words.append(f"only its first {run.limit} questions{order}")
    if run.skipped:
        words.append(f"without {run.skipped} questions whose database or gold was missing")
    return ", ".join(words)


def short(model: str) -> str:
    """A model's name without the folders of this machine; of an adapter with its base."""
    return shown(model) if "+" in model else label(shown(model))


def percent(share: float | None) -> str:
    """A share in percent."""
    return "none" if share is None else f"{share * 100:.1f} %"


class Plain(str):
    """A text that is Markdown as it is."""


def code(text: object) -> Plain:
    """A text on one line, for a code span or a code block."""
    return Plain(" ".join("".join(char if char.isprintable() else " " for char in str(text)).split("`")))


def plain(text: object) -> Plain:
    """A text on one line in which nothing is Markdown, HTML or a folder of this machine."""
    if isinstance(text, Plain):
        return text
    line = " ".join("".join(char if char.isprintable() else " " for char in shown(str(text))).split())
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
    environment.filters |= {"code": code, "percent": percent, "interval": interval, "short": short}
    return environment.get_template(name).render(
        published=published,
        run=published.run,
        summary=published.summary,
        task=published.run.spec["task"],
        stages=stages(published),
        metric=METRICS[published.run.metric].name,
        scope=scope(published.run),
        to=to,
        records=records,
        **more,
    )
