"""The routes: ``POST /score``, ``GET /health``, ``GET /tasks`` and ``GET /metrics``."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from harness.adapters.grading_queue import BATCH
from harness.service.body import Admission, Held, read
from harness.service.metrics import Metrics
from harness.service.replies import HEADERS, refused, reply
from harness.service.served_task import ServedTask
from harness.service.types import Item, Refusal, Scored, ScoreRequest, ServiceLimits, scored, unscored
from rewards.types import Answer, Grade, Reason
from tasks.common.errors import HarnessError, nearest
from tasks.common.terminal import say
from tasks.types import Database

PROBE = Answer(Database("health", ddl="CREATE TABLE t (x INTEGER)"), ("SELECT 1",), "SELECT 1")
"""An answer that ``GET /health`` has graded."""
PROBE_SECONDS = 5.0
STATES = ("ok", "busy", "stalled")
"""States of a task's workers, from good to bad."""
MOST_CAUSES = 1000
"""Causes of our own failures that are logged, each once."""
LEFT = 499
"""The status of a response that no client waits for."""


class Service:
    """Scores requests on these tasks."""

    def __init__(self, tasks: Mapping[str, ServedTask], limits: ServiceLimits, metrics: Metrics) -> None:
        self._tasks, self._limits, self._metrics = tasks, limits, metrics
        self._admission = Admission(limits)
        self._logged: set[str] = set()
        self._describing = asyncio.Lock()
        for name, task in tasks.items():
            metrics.waiting(name, partial(_waiting, task))
        metrics.gauge("harness_answers_in_flight", "Answers of requests", lambda: self._admission.items)
        metrics.gauge("harness_body_bytes", "Bytes of requests held", lambda: self._admission.bytes)

    async def score(self, request: Request) -> Response:
        """``POST /score``. Raises Refusal."""
        with self._admission.request() as held, self._metrics.in_flight.track_inprogress():
            try:
                return await self._score(request, held)
            except ClientDisconnect:
                self._metrics.left()
                return Response(status_code=LEFT)
            except asyncio.CancelledError:  # by uvicorn, DRAIN_SECONDS after the end began
                raise Refusal(503, "ended", "the server ends: send it again to another") from None

    async def _score(self, request: Request, held: Held) -> Response:
        started = asyncio.get_running_loop().time()
        asked = await read(request, self._limits, held)
        task = self._task(asked)
        answers = [task.answer(item, place) for place, item in enumerate(asked.items)]
        held.add_items(len(answers))
        client = request.client.host if request.client else ""
        graded = asyncio.gather(
            *map(asyncio.wrap_future, task.queue.submit_all(answers, client)), return_exceptions=True
        )
        grades = await _unless_left(request, graded)
        items = [
            self._item(task.name, item, grade, asked.feedback)
            for item, grade in zip(asked.items, grades, strict=True)
        ]
        self._metrics.seconds.observe(asyncio.get_running_loop().time() - started)
        return reply({"task": task.name, "items": items})

    def _task(self, asked: ScoreRequest) -> ServedTask:
        if not asked.task and len(self._tasks) == 1:
            return next(iter(self._tasks.values()))
        if not asked.task:
            raise Refusal(422, "request", f"give task: {', '.join(sorted(self._tasks))} are served")
        if asked.task not in self._tasks:
            raise Refusal(404, "unknown", f"no task '{asked.task}': {nearest(asked.task, self._tasks)}")
        return self._tasks[asked.task]

    def _item(self, task: str, item: Item, grade: Grade | BaseException, feedback: bool) -> Scored:
        """The response to one item; a failure of our own is counted and logged."""
        if isinstance(grade, BaseException):
            self._log("".join(traceback.format_exception(grade)))
            self._metrics.answer(task, Reason.INFRASTRUCTURE.value)
            return unscored(item, feedback)
        if grade.attempt.reason is Reason.INFRASTRUCTURE:
            self._log(f"{task}: {grade.attempt.detail}")
        self._metrics.answer(task, grade.attempt.reason.value)
        return scored(item, grade, feedback)

    def _log(self, cause: str) -> None:
        if cause not in self._logged and len(self._logged) < MOST_CAUSES:
            self._logged.add(cause)
            for line in cause.splitlines():
                say(line)

    async def health(self, request: Request) -> Response:
        """``GET /health``: 200 if workers answer, or are busy; 503 if none has answered for too long."""
        states = await asyncio.gather(*map(_state, self._tasks.values()))
        status = max(states, key=STATES.index)
        content = {"status": status, "tasks": dict(zip(self._tasks, states, strict=True))}
        return reply(content, 503 if status == STATES[-1] else 200)

    async def tasks(self, request: Request) -> Response:
        """``GET /tasks``: what a client compares to be sure that it scores by the same task."""
        async with self._describing:
            try:
                found = [await asyncio.to_thread(task.description) for task in self._tasks.values()]
            except HarnessError as error:
                self._log(str(error))
                return reply({"error": "a database cannot be read: the server's log has its name"}, 503)
        return reply({"tasks": found})

    async def metrics(self, request: Request) -> Response:
        """``GET /metrics``."""
        return Response(self._metrics.text(), headers=HEADERS, media_type=CONTENT_TYPE_LATEST)


def _waiting(task: ServedTask) -> int:
    return task.queue.waiting


async def _state(task: ServedTask) -> str:
    """Whether a worker of the task answers."""
    try:
        grade = await asyncio.wait_for(task.queue.grade(PROBE, "health"), PROBE_SECONDS)
    except TimeoutError:
        longest = 60 + 2 * BATCH * task.task.spec.scoring.seconds
        return "busy" if task.queue.stalled < longest else "stalled"
    except RuntimeError:
        return "stalled"
    return "stalled" if grade.attempt.reason is Reason.INFRASTRUCTURE else "ok"


async def _unless_left(
    request: Request, graded: asyncio.Future[list[Grade | BaseException]]
) -> Sequence[Grade | BaseException]:
    """The grades. Raises ClientDisconnect: the client has left; then what was not started is not graded."""
    left: asyncio.Future[Any] = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait([graded, left], return_when=asyncio.FIRST_COMPLETED)
        if not graded.done():
            raise ClientDisconnect
        return graded.result()
    finally:
        left.cancel()
        graded.cancel()
        graded.add_done_callback(_noted)


def _noted(graded: asyncio.Future[list[Grade | BaseException]]) -> None:
    """Read the error of grades that no one waits for, which asyncio would log."""
    if not graded.cancelled():
        graded.exception()


async def _left(request: Request) -> None:
    """Return when the client has left."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return refused(Refusal(error.status_code, "path", error.detail, dict(error.headers or {})))


async def _bug(request: Request, error: Exception) -> Response:
    traceback.print_exception(error)
    return refused(Refusal(500, "bug", "an error of the server's own: its log has the traceback"))


def application(service: Service, access: Middleware) -> Starlette:
    """The routes of a service, for those who may ask."""
    routes = [
        Route("/score", service.score, methods=["POST"]),
        Route("/health", service.health),
        Route("/tasks", service.tasks),
        Route("/metrics", service.metrics),
    ]
    handlers: dict[Any, Any] = {HTTPException: _no_route, Exception: _bug}
    return Starlette(routes=routes, middleware=[access], exception_handlers=handlers)
