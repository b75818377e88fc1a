"""What the reference page of ``harness serve`` says: requests, responses, refusals and metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from harness.service.types import Item, Scored, ScoreRequest
from tools.reference.members import Member, columns, grid, markdown, settings, table

PATHS = {
    "POST /score": "Scores a batch. JSON: see below.",
    "GET /health": "`ok`, `busy` (workers grade, but none answered within 5 seconds) or, with status 503, `stalled`. Needs no token.",
    "GET /tasks": "Of each task its name, version, metric, modes, reward, engine and scorer version, and of each split its number of"
    " questions and the digest of its content. Equal digests and scorer versions mean equal scores.",
    "GET /metrics": "Figures in Prometheus' text format.",
}
STATUSES = {
    "400": "The body is not JSON, or not clear: a key twice, NaN, a lone surrogate, nested too deeply.",
    "401": "The token is missing or wrong.",
    "403": "The header `Host` is another address, or a web page elsewhere asks.",
    "404": "No such task, split, question, database or path. The line names the nearest.",
    "405": "The path takes another method.",
    "408": "The body took over 30 seconds.",
    "413": "The body has over `--max-body` megabytes, or over `--max-items` items.",
    "415": "The header `Content-Type: application/json` is missing, or the body is compressed.",
    "422": "A key or value of the request is wrong. The line names its place.",
    "429": "The server is busy; the header `Retry-After` has the seconds after which to send the request again.",
    "500": "An error of the server's own.",
    "503": "`/score`: the server ends. `/health`: no worker answers. `/tasks`: a database cannot be read.",
}
METRICS = {
    "harness_score_seconds": "Histogram: time of a scored request, from its first byte to its response.",
    "harness_requests_in_flight": "Requests to score.",
    "harness_answers_in_flight": "Answers of these requests.",
    "harness_answers_waiting": "Distinct answers of a task that no worker has started.",
    "harness_answers_total": "Scored answers by task and reason.",
    "harness_refusals_total": "Refused requests by cause.",
    "harness_clients_left_total": "Clients that left before their response.",
    "harness_body_bytes": "Bytes of the bodies of all requests in flight.",
    "process_*": "Memory, CPU time and open files of the server's process, without its workers.",
}


def parts() -> list[str]:
    """The paragraphs and tables of the page."""
    return [
        "`harness serve` scores answers over HTTP. [How to use it](../how-to/service.md).",
        grid(("path", "meaning"), [(f"`{path}`", text) for path, text in PATHS.items()]),
        "## Request",
        "An unknown key is an error.",
        _keys(settings(ScoreRequest)),
        "An item:",
        _keys(settings(Item)),
        "## Response",
        "`task`, and `items` in the order of the request:",
        grid(
            ("key", "type", "meaning"),
            [(f"`{one.name}`", one.type, markdown(one.meaning)) for one in columns(Scored)],
        ),
        "## Refusals",
        'A refusal is `{"error": "one line"}`. No item of a refused request is scored.',
        grid(("status", "meaning"), list(STATUSES.items())),
        "## Metrics",
        grid(("metric", "meaning"), [(f"`{name}`", text) for name, text in METRICS.items()]),
    ]


def _keys(members: Iterable[Member]) -> str:
    return table(
        replace(one, type="list of items", default="required") if one.section else one for one in members
    )
