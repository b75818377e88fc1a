"""Batches of answers that are drawn while the model learns from earlier ones (asynchronous GRPO).

Step ``s``, from 0, learns from batch ``s`` with the weights that ``s`` optimizer steps have made. A batch
that was drawn with the weights of ``v`` steps has the lag ``s - v``. One thread draws the batches in order.
Only the trainer sends weights, between two steps and while that thread has nothing to do, so that all answers
of a batch come from the same weights. Once weights ``v`` are sent, the batches up to ``v + max_lag`` are
drawn: none can have a larger lag (the rule of AReaL, arXiv:2505.24298).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Generic, Self, TypeVar

T = TypeVar("T")
CLOSING = 10.0
"""Most seconds to wait at the end for a batch that is being drawn and will not be used."""


@dataclass(frozen=True, slots=True)
class Drawn(Generic[T]):
    """A batch, and when it was drawn, in seconds of ``time.perf_counter``."""

    batch: T
    began: float
    ended: float

    def overlap(self, asked: float) -> float:
        """The share of the time of drawing that had passed when the trainer asked for the batch."""
        missing = max(0.0, self.ended - max(self.began, asked))
        return 1 - missing / (self.ended - self.began) if missing else 1.0


@dataclass(frozen=True, slots=True)
class Order(Generic[T]):
    """A batch to be drawn with the weights that a vLLM server has now."""

    step: int
    """The step that will learn from it."""
    weights: int
    """Optimizer steps that have made the weights."""
    drawn: Future[Drawn[T]]


class RolloutQueue(Generic[T]):
    """Draws the batches of the coming steps in a thread of its own, while its ``with`` block runs.

    ``draw`` draws the batch of a step, in the thread; ``send_weights`` is called in the trainer's thread.
    ``steps`` is the number of steps of the run.
    """

    def __init__(
        self, draw: Callable[[int], T], send_weights: Callable[[], None], max_lag: int, steps: int
    ) -> None:
        self._draw, self._send_weights = draw, send_weights
        self._max_lag, self._steps = max_lag, steps
        self._orders: dict[int, Order[T]] = {}
        """The batches that were not taken yet, by their step."""
        self._waiting: SimpleQueue[Order[T] | None] = SimpleQueue()
        self._closed = False
        self._thread = Thread(target=self._work, daemon=True, name="rollouts")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed = True
        self._waiting.put(None)
        self._thread.join(CLOSING)

    def take(self, step: int) -> tuple[T, dict[str, float]]:
        """The batch of a step, and figures for the curve; orders later batches with the current weights.

        ``lag``: optimizer steps between the weights that drew the batch and the current ones.
        ``overlap``: the share of the time of drawing in which the model was learning.
        ``waiting_seconds``: how long this call waited for answers and sent weights.
        Raises the error that ended the drawing.
        """
        asked = time.perf_counter()
        if step not in self._orders:  # the first step of this process
            self._order(step, step)
        order = self._orders.pop(step)
        drawn = order.drawn.result()
        later = [order.drawn for order in self._orders.values()]
        if all(future.done() and not future.exception() for future in later):
            self._order(max(self._orders, default=step) + 1, step)
        waited = time.perf_counter() - asked
        figures = {"lag": step - order.weights, "overlap": drawn.overlap(asked), "waiting_seconds": waited}
        return drawn.batch, figures

    def _order(self, first: int, step: int) -> None:
        """Send the weights of a step, and have the batches from ``first`` on drawn with them."""
        coming = range(first, min(step + self._max_lag + 1, self._steps))
        if coming:
            self._send_weights()
        for number in coming:
            self._orders[number] = Order(number, step, Future())
            self._waiting.put(self._orders[number])

    def _work(self) -> None:
        while (order := self._waiting.get()) and not self._closed:
            began = time.perf_counter()
            try:
                batch = self._draw(order.step)
            except BaseException as error:  # any error is passed to the trainer, and ends the run
                order.drawn.set_exception(error)
                return
            order.drawn.set_result(Drawn(batch, began, time.perf_counter()))
