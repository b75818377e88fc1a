"""The results of a run as lm-evaluation-harness 0.4 writes them with ``--output_path --log_samples``.

``OUT/<model>/results_<date>.json`` and ``samples_<task>_<date>.jsonl``. Source of the keys:
``lm_eval/result_schema.py`` and ``lm_eval/loggers/evaluation_tracker.py``.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.adapters.lm_eval import headline, lm_eval_name
from harness.publishing.evaluation import Published, mean_of, write_new
from leaderboards.types import Record
from tasks.common.secrets import without_secrets


def write(published: Published, out: Path) -> list[Path]:
    """Write the results and the samples into a folder. Raises DataError: it holds others of this run."""
    folder = out / re.sub(r"[\"<>:/|\\?*\[\]]+", "__", published.model)
    ended = datetime.fromisoformat(published.run.ended).replace(tzinfo=None)
    date = ended.isoformat(timespec="microseconds").replace(":", "-")
    name = lm_eval_name(published.run.task)
    samples = [_sample(published, number, group) for number, group in enumerate(published.questions)]
    results = _results(published, name, samples)
    lines = "".join(json.dumps(sample) + "\n" for sample in samples)
    return [
        write_new(folder / f"results_{date}.json", (json.dumps(results, indent=2) + "\n").encode()),
        write_new(folder / f"samples_{name}_{date}.jsonl", lines.encode()),
    ]


def _named(published: Published) -> dict[str, str]:
    """Name of a metric in the file -> our metric, as ``harness export lm-eval --task`` names them."""
    metric = published.run.metric
    return {headline(metric): metric, **{name: name for name in published.metrics}}


def _results(published: Published, name: str, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    run, named = published.run, _named(published)
    figures: dict[str, Any] = {"name": name, "alias": name, "sample_len": len(published.questions)}
    for metric, ours in named.items():
        mean, error = published.figures(ours)["ex"], published.standard_error(ours)
        if mean is not None:
            figures[f"{metric},none"] = mean
            figures[f"{metric}_stderr,none"] = "N/A" if error is None else error
    hashes = "".join(sample["doc_hash"] + sample["prompt_hash"] + sample["target_hash"] for sample in samples)
    count = len(published.questions)
    return {
        "results": {name: figures},
        "group_subtasks": {},
        "configs": {name: _config(published, name)},
        "versions": {name: run.spec["task"]["version"]},
        "n-shot": {name: run.spec["task"]["prompt"]["examples"]["count"]},
        "higher_is_better": {name: dict.fromkeys(named, True)},
        "n-samples": {name: {"original": count, "effective": published.figures(run.metric)["n"]}},
        "config": {
            "model": "sql-harness",
            "model_args": f"pretrained={published.model}",
            "limit": run.limit or None,
            "gen_kwargs": dict(run.sampling),
            "random_seed": run.seed,
        },
        "git_hash": run.commit or None,
        "date": datetime.fromisoformat(run.started).timestamp(),
        "transformers_version": run.versions.get("transformers"),
        "lm_eval_version": run.versions.get("lm-eval"),
        "task_hashes": {name: _hash(hashes)},
        "model_source": "sql-harness",
        "model_name": published.model,
        "model_name_sanitized": re.sub(r"[\"<>:/|\\?*\[\]]+", "__", published.model),
        "total_evaluation_time_seconds": str(run.seconds),
    }


def _config(published: Published, name: str) -> dict[str, Any]:
    run = published.run
    metrics = [
        {"metric": metric, "aggregation": "mean", "higher_is_better": True} for metric in _named(published)
    ]
    return {
        "task": name,
        "test_split": run.split,
        "output_type": "generate_until",
        "num_fewshot": run.spec["task"]["prompt"]["examples"]["count"],
        "repeats": run.sampling.get("samples", 1),
        "metric_list": metrics,
        "generation_kwargs": _generation(published),
        "metadata": without_secrets(
            {
                "version": run.spec["task"]["version"],
                "digest": run.task_digest,
                "scorer": run.scorer_version,
                "harness_run": run.id,
                "unscored": published.summary["unscored"],
            }
        ),
    }


def _generation(published: Published) -> dict[str, Any]:
    sampling = published.run.sampling
    temperature = sampling.get("temperature", 0.0)
    return {
        "until": list(sampling.get("stop", [])),
        "max_gen_toks": sampling.get("max_new_tokens"),
        "do_sample": temperature > 0,
        "temperature": temperature,
        "top_p": sampling.get("top_p"),
    }


def _sample(published: Published, number: int, answers: Sequence[Record]) -> dict[str, Any]:
    """The line of a question. A metric in which no answer is scored is left out, as lm-eval's means do."""
    first = answers[0]
    document = {
        "number": number,
        "id": first.sample_id,
        "question": first.question,
        "database": first.database,
        "gold": first.gold,
    }
    values = {metric: mean_of(answers, ours) for metric, ours in _named(published).items()}
    scored = {metric: found for metric, found in values.items() if found is not None}
    responses = [record.completion for record in answers]
    return {
        "doc_id": number,
        "doc": document,
        "target": first.gold,
        "arguments": {"gen_args_0": {"arg_0": first.prompt, "arg_1": _generation(published)}},
        "resps": [responses],
        "filtered_resps": responses,
        "filter": "none",
        "metrics": list(scored),
        "doc_hash": _hash(json.dumps(document, indent=2)),
        "prompt_hash": _hash(first.prompt),
        "target_hash": _hash(first.gold),
        **scored,
    }


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
