"""The results of a run in the schema 0.3 of Every Eval Ever (evalevalai.com), with its samples.

``OUT/data/<task>/<org>/<model>/<uuid>.json`` and ``<uuid>_samples.jsonl``, as their datastore wants them.
Source: ``eval.schema.json`` and ``instance_level_eval.schema.json`` of github.com/evaleval/every_eval_ever.
A sample has a line for each metric, as the schema asks; unscored answers have none and are counted.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.publishing.evaluation import (
    METRICS,
    REWARD,
    Published,
    asked,
    hub_dataset,
    slug,
    texts,
    value,
    write_new,
)
from leaderboards.evidence import messages
from leaderboards.types import Record
from runners.weights.identity import runner_of

VERSION = "0.3.0"
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Names:
    """The names that the two files share."""

    evaluation: str
    file: str
    folder: str

    @classmethod
    def of(cls, published: Published) -> Names:
        """Names that are the same whenever a run is exported under the same model name."""
        run = published.run
        digest = hashlib.sha256(f"{run.id} {run.digest} {published.model}".encode()).digest()
        evaluation = f"{run.task}/{published.model}/{_unix(run.started)}-{run.id}"
        folder = f"data/{slug(run.task)}/{published.model}"
        return cls(evaluation, str(uuid.UUID(bytes=digest[:16], version=4)), folder)


def write(published: Published, out: Path) -> list[Path]:
    """Write the two files. Raises DataError: others of the same name exist."""
    names = Names.of(published)
    lines = [json.dumps(line) for line in _lines(published, names)]
    content = "".join(f"{line}\n" for line in lines).encode()
    detailed = {
        "format": "jsonl",
        "file_path": f"{names.folder}/{names.file}_samples.jsonl",
        "hash_algorithm": "sha256",
        "checksum": hashlib.sha256(content).hexdigest(),
        "total_rows": len(lines),
    }
    log = _log(published, names) | ({"detailed_evaluation_results": detailed} if lines else {})
    folder = out / names.folder
    written = [write_new(folder / f"{names.file}.json", (json.dumps(log, indent=2) + "\n").encode())]
    return written + ([write_new(folder / f"{names.file}_samples.jsonl", content)] if lines else [])


def _log(published: Published, names: Names) -> dict[str, Any]:
    run = published.run
    return {
        "schema_version": VERSION,
        "evaluation_id": names.evaluation,
        "evaluation_timestamp": _unix(run.started),
        "retrieved_timestamp": _unix(run.ended),
        "source_metadata": {
            "source_name": "sql-harness",
            "source_type": "evaluation_run",
            "source_organization_name": "unknown",
            "evaluator_relationship": "first_party" if run.trained_by else "other",
        },
        "eval_library": {
            "name": "sql-harness",
            "version": run.versions.get("sql-harness", "unknown"),
            "additional_details": texts({"scorer_version": run.scorer_version, **run.versions}),
        },
        "model_info": _model(published),
        "evaluation_results": [_result(published, metric) for metric in published.metrics],
    }


def _model(published: Published) -> dict[str, Any]:
    run = published.run
    runner = runner_of(asked(run))
    endpoint = runner in ("openai", "anthropic")
    on_hub = runner in ("hf", "vllm") and not published.model.startswith("local/")
    details = {
        "deployment_type": "unknown" if endpoint else "self_deployed",
        "model_availability": "open_weights" if on_hub else "unknown",
        **texts({"method": run.method, "content": dict(run.identity.get("model", {}))}),
    }
    return {
        "name": published.model.partition("/")[2],
        "id": published.model,
        "developer": published.model.partition("/")[0],
        "inference_engine": {"name": runner, "version": run.versions.get(runner, "unknown")},
        "additional_details": details,
    }


def _result(published: Published, metric: str) -> dict[str, Any]:
    run, figures = published.run, published.figures(metric)
    identifier, name, kind = METRICS[metric]
    unscored = sum(value(record, metric) is None for record in published.records)
    uncertainty: dict[str, Any] = {"num_samples": figures["n"]}
    if metric != REWARD and figures["low"] is not None and figures["high"] is not None:
        interval = {"lower": figures["low"], "upper": figures["high"]}
        uncertainty["confidence_interval"] = {**interval, "confidence_level": 0.95, "method": "wilson"}
    if (error := published.standard_error(metric)) is not None:
        uncertainty["standard_error"] = {"value": error, "method": "analytic"}
    return {
        "evaluation_result_id": metric,
        "evaluation_name": f"{run.task}.{run.split}",
        "source_data": _source(published),
        "evaluation_timestamp": _unix(run.started),
        "metric_config": {
            "evaluation_description": run.spec["task"].get("description") or f"Text-to-SQL on {run.task}",
            "metric_id": identifier,
            "metric_name": name,
            "metric_kind": kind,
            "metric_unit": "proportion",
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": "-Infinity" if metric == REWARD else 0.0,
            "max_score": 1.0,
        },
        "score_details": {
            "score": figures["ex"],
            "details": {"unscored": str(unscored), "headline": str(metric == run.metric).lower()},
            "uncertainty": uncertainty,
        },
        "generation_config": _generation(published),
    }


def _source(published: Published) -> dict[str, Any]:
    """The dataset of the questions: of the Hub, or by name and digest."""
    run = published.run
    details = texts(
        {
            "split": run.split,
            "task_digest": run.task_digest,
            "limit": run.limit or "",
            "skipped": run.skipped or "",
        }
    )
    dataset, revision = hub_dataset(run)
    if dataset:
        details |= texts({"revision": revision})
        split = run.spec["task"]["dataset"]["splits"].get(run.split, run.split)
        hub = {"source_type": "hf_dataset", "hf_repo": dataset, "hf_split": split}
        count = {"samples_number": len(published.questions)}
        return {"dataset_name": run.task, **hub, **count, "additional_details": details}
    return {"dataset_name": run.task, "source_type": "other", "additional_details": details}


def _generation(published: Published) -> dict[str, Any]:
    sampling = published.run.sampling
    numbers = {"temperature": sampling.get("temperature"), "top_p": sampling.get("top_p")}
    if sampling.get("max_new_tokens"):
        numbers["max_tokens"] = sampling["max_new_tokens"]
    others = {name: found for name, found in sampling.items() if name not in (*numbers, "max_new_tokens")}
    return {"generation_args": numbers, "additional_details": texts(others)}


def _lines(published: Published, names: Names) -> Iterator[dict[str, Any]]:
    turns = published.run.sampling.get("turns", 1) > 1
    for record in published.records:
        common = _sample(published, record, names, turns)
        for metric in published.metrics:
            score = value(record, metric)
            if score is not None:
                verdict = {"score": score, "is_correct": score == 1}
                roles = [message["role"] for message in common["messages"] or ()]
                turn = {"num_turns": roles.count("assistant")} if turns else {}
                yield {**common, "evaluation_result_id": metric, "evaluation": {**verdict, **turn}}


def _sample(published: Published, record: Record, names: Names, turns: bool) -> dict[str, Any]:
    sent = messages(record.prompt)
    question = {"raw": record.question, "reference": [record.gold]}
    shown = "\n\n".join(content for _, content in sent)
    last = len(sent) if turns else 0
    attribution = {
        "turn_idx": last,
        "source": "messages[turn_idx].content" if turns else "output.raw",
        "extracted_value": record.sql,
        "extraction_method": "sql_harness.extract",
        "is_terminal": True,
    }
    return {
        "schema_version": VERSION,
        "evaluation_id": names.evaluation,
        "model_id": published.model,
        "evaluation_name": f"{published.run.task}.{published.run.split}",
        "sample_id": record.sample_id,
        "sample_hash": _hash(question),
        "interaction_type": "multi_turn" if turns else "single_turn",
        "input": {**question, "formatted": shown},
        "output": None if turns else {"raw": [record.completion]},
        "messages": _transcript(sent, record.completion) if turns else None,
        "answer_attribution": [attribution],
        "token_usage": {
            "input_tokens": record.prompt_tokens,
            "output_tokens": record.tokens,
            "total_tokens": record.prompt_tokens + record.tokens,
        },
        "performance": {"latency_ms": record.seconds * 1000},
        "error": record.detail if record.finish == "unanswered" else None,
        "metadata": texts(
            {
                **{name: getattr(record, name) for name in ("database", "difficulty", "part", "family")},
                **{"sample_index": record.sample_index, "reason": record.reason, "detail": record.detail},
            }
        ),
    }


def _transcript(sent: Sequence[tuple[str, str]], answer: str) -> list[dict[str, Any]]:
    """The messages and the answer; one of a role that the schema does not have is a user's."""
    return [
        {"turn_idx": number, "role": role if role in ROLES else "user", "content": content}
        for number, (role, content) in enumerate([*sent, ("assistant", answer)])
    ]


def _hash(question: Mapping[str, Any]) -> str:
    """The sample's hash that every converter of the schema uses, to join samples across models."""
    text = json.dumps(question, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _unix(moment: str) -> str:
    """An ISO time as seconds since 1970, as the schema writes times."""
    return str(int(datetime.fromisoformat(moment).timestamp()))
