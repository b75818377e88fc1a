"""A run as an ``.eval`` log of inspect_ai, which ``inspect view`` shows."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.publishing.evaluation import Published, asked, expect_suffix, value, write_new
from leaderboards.evidence import messages
from leaderboards.types import Record
from runners.weights.identity import runner_of
from tasks.common import files
from tasks.common.errors import MissingExtra


def write(published: Published, out: Path) -> list[Path]:
    """Write the log. Raises DataError: the file exists; MissingExtra: inspect_ai is not installed."""
    try:
        from inspect_ai.log import write_eval_log
    except ImportError:
        raise MissingExtra("inspect_ai", "inspect") from None
    expect_suffix(out, ".eval")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "run.eval"
        write_eval_log(_log(published), file, format="eval")
        return [write_new(out, files.read(file))]


def _log(published: Published) -> Any:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSpec, EvalStats
    from inspect_ai.model import GenerateConfig

    run, sampling = published.run, published.run.sampling
    spec = EvalSpec(
        eval_id=run.digest,
        run_id=run.id,
        created=run.started,
        task=run.task,
        task_id=run.task_digest,
        task_version=run.spec["task"]["version"],
        dataset=EvalDataset(
            name=f"{run.task}/{run.split}",
            samples=len(published.questions),
            sample_ids=[group[0].sample_id for group in published.questions],
        ),
        model=_model(published),
        model_generate_config=GenerateConfig(
            temperature=sampling.get("temperature"),
            top_p=sampling.get("top_p"),
            max_tokens=sampling.get("max_new_tokens"),
            seed=run.seed,
            stop_seqs=list(sampling.get("stop", [])) or None,
        ),
        config=EvalConfig(limit=run.limit or None, epochs=sampling.get("samples", 1)),
        packages=dict(run.versions),
        metadata=_metadata(published),
    )
    return EvalLog(
        status="success",
        eval=spec,
        results=_results(published),
        stats=EvalStats(started_at=run.started, completed_at=run.ended),
        samples=[_sample(published, record) for record in published.records],
    )


def _model(published: Published) -> str:
    """The model's name as inspect writes it, with the provider before it."""
    runner = runner_of(asked(published.run))
    return published.model if published.model.startswith(f"{runner}/") else f"{runner}/{published.model}"


def _metadata(published: Published) -> dict[str, Any]:
    run = published.run
    names = ("metric", "scorer_version", "method", "trained_by", "commit", "digest")
    return {"harness_run": run.id, **{name: getattr(run, name) for name in names}}


def _results(published: Published) -> Any:
    from inspect_ai.log import EvalMetric, EvalResults, EvalScore

    def score(metric: str) -> Any:
        figures, error = published.figures(metric), published.standard_error(metric)
        values = {"mean": figures["ex"], "stderr": error}
        unscored = sum(value(record, metric) is None for record in published.records)
        return EvalScore(
            name=metric,
            scorer=f"sql_harness/{metric}",
            scored_samples=len(published.records) - unscored,
            unscored_samples=unscored,
            metrics={
                name: EvalMetric(name=name, value=found)
                for name, found in values.items()
                if found is not None
            },
        )

    return EvalResults(
        total_samples=len(published.records),
        completed_samples=len(published.records),
        scores=[score(metric) for metric in published.metrics],
    )


def _sample(published: Published, record: Record) -> Any:
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput, ModelUsage

    asked = _messages(messages(record.prompt))
    usage = ModelUsage(
        input_tokens=record.prompt_tokens,
        output_tokens=record.tokens,
        total_tokens=record.prompt_tokens + record.tokens,
    )
    answer = ChatMessageAssistant(content=record.completion, source="generate")
    stop: Any = "max_tokens" if record.finish == "length" else "stop"
    names = ("database", "difficulty", "part", "family", "gold", "finish", "executes", "rows", "gold_rows")
    return EvalSample(
        id=record.sample_id,
        epoch=record.sample_index + 1,
        input=record.question,
        target=record.gold,
        messages=[*asked, answer],
        output=ModelOutput(
            model=_model(published),
            choices=[ChatCompletionChoice(message=answer, stop_reason=stop)],
            usage=usage,
            time=record.seconds,
        ),
        scores={metric: _score(record, metric) for metric in published.metrics},
        model_usage={_model(published): usage},
        metadata={name: getattr(record, name) for name in names},
        total_time=record.seconds,
        uuid=f"{published.run.id}-{record.sample_id}-{record.sample_index}",
    )


def _score(record: Record, metric: str) -> Any:
    from inspect_ai.scorer import Score

    found = value(record, metric)
    evidence = {"answer": record.sql, "explanation": f"{record.reason}: {record.detail}".strip(": ")}
    return (
        Score.unscored(reason="scoring_failed", **evidence)
        if found is None
        else Score(value=found, **evidence)
    )


def _messages(sent: Sequence[tuple[str, str]]) -> list[Any]:
    """The messages of a prompt; one of another role is a user's."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds: dict[str, Any] = {"system": ChatMessageSystem, "assistant": ChatMessageAssistant}
    return [kinds.get(role, ChatMessageUser)(content=content) for role, content in sent]
