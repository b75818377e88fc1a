"""How the runners of ``open.py`` are set up: ``--set runner.KEY=VALUE`` on the command line."""

from __future__ import annotations

from runners.endpoint import EndpointConfig
from tasks.spec import Spec


class RunnerConfig(Spec):
    """A section for each kind of runner that has something to set."""

    endpoint: EndpointConfig = EndpointConfig()

    def identity(self) -> dict[str, object]:
        """What of it can change an answer; not how patiently or how fast a model is asked."""
        patience = {"concurrency", "timeout", "retries", "backoff", "key", "input_price", "output_price"}
        return self.model_dump(mode="json", exclude={"endpoint": patience})
