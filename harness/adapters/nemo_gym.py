"""A resources server of NeMo Gym that scores answers with our grader. Interface: nemo-gym 0.7.0.

``harness export nemo-gym`` writes the server's folder (``harness/adapters/nemo_gym_export.py``).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from nemo_gym.base_resources_server import (
    BaseResourcesServerConfig,
    BaseVerifyRequest,
    BaseVerifyResponse,
    ReverifyMode,
    SimpleResourcesServer,
)

from harness.adapters.grades import reward
from harness.adapters.task_file import exported_task


class SqlServerConfig(BaseResourcesServerConfig):
    """Nothing to set: the task is in the server's folder."""

    REVERIFY_MODE: ClassVar[ReverifyMode] = ReverifyMode.STATELESS


class SqlVerifyRequest(BaseVerifyRequest):
    """A row of the dataset with the model's response."""

    id: str


class SqlVerifyResponse(BaseVerifyResponse):
    """The row with its reward and the evidence."""

    id: str
    execution_accuracy: float | None
    """The verdict in the headline mode."""
    reason: str
    sql: str


class SqlResourcesServer(SimpleResourcesServer):
    """Scores the text of a response. A subclass names the task's file."""

    ray_enabled: ClassVar[bool] = False
    task_file: ClassVar[Path]
    config: SqlServerConfig

    async def verify(self, body: SqlVerifyRequest) -> SqlVerifyResponse:
        """The composite reward. An unscored answer has ``mask_sample`` set, which leaves it out of scores.

        Raises DataError: the task has no such question.
        """
        exported = exported_task(str(self.task_file))
        grade = await asyncio.wrap_future(exported.submit(body.id, body.response.output_text))
        scoring, attempt = exported.task.spec.scoring, grade.attempt
        value = reward(grade, scoring, exported.is_training)
        unscored = value is None
        return SqlVerifyResponse(
            **body.model_dump(),
            reward=value or 0.0,
            mask_sample=unscored,
            failure_kind="verifier_error" if unscored else None,
            failure_reason=f"{attempt.reason.value}: {attempt.detail}" if unscored else None,
            execution_accuracy=attempt.verdicts.get(scoring.metric),
            reason=attempt.reason.value,
            sql=attempt.sql,
        )
