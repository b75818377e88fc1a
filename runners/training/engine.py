"""An HTTP server for the model in training: tokens in, tokens and log-probabilities out.

It serves vLLM's ``/inference/v1/generate``, which verifiers' ``TrainClient`` calls, in a thread of this
process with the current weights. Requests that arrive together are answered in one batch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Self

import torch

BATCH_WAIT = 0.01
"""Seconds to wait for further requests before a batch is answered."""


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """The sampling settings of a request; requests with equal settings share a batch."""

    temperature: float
    top_p: float
    max_tokens: int
    stop_token_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SampledAnswer:
    """The tokens of an answer, their log-probabilities, and why it ended."""

    tokens: list[int]
    logprobs: list[float]
    finish: str


Waiting = tuple[list[int], SamplingSettings, "Future[SampledAnswer]"]


class TokenEngine:
    """Serves a model while its ``with`` block runs. ``url`` is a client's base URL."""

    def __init__(self, model: Any, pad_token: int) -> None:
        self.model, self.pad_token = model, pad_token
        self._requests: SimpleQueue[Waiting | None] = SimpleQueue()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.requests = self._requests
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def __enter__(self) -> Self:
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self._thread = Thread(target=self._answer_batches, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._requests.put(None)
        self._thread.join()
        self._server.shutdown()
        self._server.server_close()

    def _answer_batches(self) -> None:
        while (first := self._requests.get()) is not None:
            batch = [first]
            try:
                while (further := self._requests.get(timeout=BATCH_WAIT)) is not None:
                    batch.append(further)
            except Empty:
                pass
            else:
                self._requests.put(None)
            for settings in dict.fromkeys(settings for _, settings, _ in batch):
                self._answer(settings, [(prompt, future) for prompt, own, future in batch if own == settings])

    def _answer(
        self, settings: SamplingSettings, batch: Sequence[tuple[list[int], Future[SampledAnswer]]]
    ) -> None:
        try:
            answers = generate(self.model, [prompt for prompt, _ in batch], settings, self.pad_token)
        except Exception as error:  # it fails the requests, not the engine
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            future.set_result(answer)


@torch.inference_mode()
def generate(
    model: Any, prompts: Sequence[list[int]], settings: SamplingSettings, pad_token: int
) -> list[SampledAnswer]:
    """Draw one answer to each prompt (token ids), padded on the left in one batch."""
    width = max(map(len, prompts))
    rows = [[pad_token] * (width - len(prompt)) + prompt for prompt in prompts]
    real = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    sampled = settings.temperature > 0
    was_training = model.training
    model.eval()
    try:
        output = model.generate(
            input_ids=torch.tensor(rows, device=model.device),
            attention_mask=torch.tensor(real, device=model.device),
            max_new_tokens=settings.max_tokens,
            do_sample=sampled,
            temperature=settings.temperature if sampled else None,
            top_p=settings.top_p if sampled else None,
            top_k=0 if sampled else None,
            eos_token_id=list(settings.stop_token_ids) or None,
            pad_token_id=pad_token,
            return_dict_in_generate=True,
            output_scores=True,
        )
    finally:
        model.train(was_training)
    tokens = output.sequences[:, width:]
    scores = torch.stack(output.scores, 1).float().log_softmax(-1)
    logprobs = scores.gather(-1, tokens[..., None])[..., 0]
    return [
        _until_stop(row, logprob, settings)
        for row, logprob in zip(tokens.tolist(), logprobs.tolist(), strict=True)
    ]


def _until_stop(tokens: list[int], logprobs: list[float], settings: SamplingSettings) -> SampledAnswer:
    """A row of a batch up to its first stop token."""
    for i, token in enumerate(tokens):
        if token in settings.stop_token_ids:
            return SampledAnswer(tokens[: i + 1], logprobs[: i + 1], "stop")
    return SampledAnswer(tokens, logprobs, "length")


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    requests: SimpleQueue[Waiting | None]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        """Refuse: only ``/inference/v1/generate`` is served."""
        self._reply(404, {"error": {"message": "only /inference/v1/generate"}})

    def do_POST(self) -> None:
        """Queue one request and wait for its answer."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        future: Future[SampledAnswer] = Future()
        self.server.requests.put((body["token_ids"], _sampling_settings(body["sampling_params"]), future))
        try:
            answer = future.result()
        except Exception as error:  # reported to the client, which records it
            self._reply(400, {"error": {"message": f"{type(error).__name__}: {error}"}})
            return
        pairs = zip(answer.tokens, answer.logprobs, strict=True)
        entries = [{"token": f"token_id:{token}", "logprob": logprob} for token, logprob in pairs]
        choice = {
            "index": 0,
            "token_ids": answer.tokens,
            "finish_reason": answer.finish,
            "logprobs": {"content": entries},
        }
        self._reply(200, {"request_id": "0", "choices": [choice]})

    def _reply(self, status: int, body: Mapping[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _sampling_settings(parameters: Mapping[str, Any]) -> SamplingSettings:
    """vLLM's sampling parameters, with its defaults: temperature 1 and 16 tokens."""
    return SamplingSettings(
        temperature=float(parameters.get("temperature", 1.0)),
        top_p=float(parameters.get("top_p", 1.0)),
        max_tokens=int(parameters.get("max_tokens", 16)),
        stop_token_ids=tuple(parameters.get("stop_token_ids") or ()),
    )
