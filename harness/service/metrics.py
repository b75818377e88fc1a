"""The metrics of the server, in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120)
"""Upper bounds of the histogram's buckets."""


class Metrics:
    """One registry for one server."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.seconds = Histogram(
            "harness_score_seconds",
            "Time of a request that was scored",
            buckets=SECONDS,
            registry=self._registry,
        )
        self.in_flight = Gauge("harness_requests_in_flight", "Requests to score", registry=self._registry)
        self._answers = Counter(
            "harness_answers", "Scored answers by reason", ["task", "reason"], registry=self._registry
        )
        self._refusals = Counter(
            "harness_refusals", "Refused requests by cause", ["cause"], registry=self._registry
        )
        self._left = Counter(
            "harness_clients_left", "Clients that left before their response", registry=self._registry
        )
        self._waiting = Gauge(
            "harness_answers_waiting", "Distinct answers not started", ["task"], registry=self._registry
        )

    def gauge(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a figure that is read when the metrics are asked for."""
        Gauge(name, text, registry=self._registry).set_function(value)

    def waiting(self, task: str, value: Callable[[], float]) -> None:
        """Add the length of a task's queue."""
        self._waiting.labels(task).set_function(value)

    def answer(self, task: str, reason: str) -> None:
        """Count a scored answer."""
        self._answers.labels(task, reason).inc()

    def refusal(self, cause: str) -> None:
        """Count a refused request."""
        self._refusals.labels(cause).inc()

    def left(self) -> None:
        """Count a client that left."""
        self._left.inc()

    def text(self) -> bytes:
        """All metrics."""
        text: bytes = generate_latest(self._registry)
        return text
