from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field


class ReverifyMode(StrEnum):
    STATELESS = "stateless"
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"


class BaseResourcesServerConfig(BaseModel):
    host: str
    port: int
    num_workers: int | None = None
    entrypoint: str
    domain: str | None = None
    name: str
    REVERIFY_MODE: ClassVar[ReverifyMode] = ReverifyMode.UNKNOWN


class CreateParams(BaseModel):
    model_config = ConfigDict(extra="forbid")

    input: str | list[dict[str, Any]]
    max_output_tokens: int | None = None
    parallel_tool_calls: bool = True


class Response(BaseModel):
    model_config = ConfigDict(extra="allow")

    output: list[dict[str, Any]]

    @property
    def output_text(self) -> str:
        """As in openai's ``Response``: the texts of all messages."""
        messages = [one for one in self.output if one["type"] == "message"]
        parts = [part for message in messages for part in message["content"]]
        return "".join(part["text"] for part in parts if part["type"] == "output_text")


class BaseVerifyRequest(BaseModel):
    responses_create_params: CreateParams
    capture_rollout_id: str | None = Field(default=None, alias="_ng_rollout_id", exclude=True)
    response: Response


class BaseVerifyResponse(BaseVerifyRequest):
    reward: float
    mask_sample: bool = False
    failure_kind: str | None = None
    failure_reason: str | None = None


class SimpleResourcesServer(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    config: BaseResourcesServerConfig
    server_client: Any

    def setup_webserver(self) -> FastAPI:
        app = FastAPI()
        app.post("/verify")(self.verify)  # type: ignore[attr-defined]
        return app
