"""Many slow calls at once, from code that knows nothing of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[int, Result]]:
    """Yield ``(index, function(item))`` in the order in which they are done, ``workers`` at a time.

    The first exception of a call is raised here. Threads are daemons: Ctrl-C need not wait for a reply.
    """
    todo: SimpleQueue[int] = SimpleQueue()
    done: SimpleQueue[tuple[int, Result | None, BaseException | None]] = SimpleQueue()
    for index in range(len(items)):
        todo.put(index)

    def work() -> None:
        while True:
            try:
                index = todo.get_nowait()
            except Empty:
                return
            try:
                done.put((index, function(items[index]), None))
            except BaseException as error:  # handed to the caller, whatever it is
                done.put((index, None, error))

    for _ in range(min(workers, len(items))):
        Thread(target=work, daemon=True).start()
    try:
        for _ in items:
            index, result, error = done.get()
            if error is not None:
                raise error
            yield index, result  # type: ignore[misc]  # None only beside an error
    finally:
        while not todo.empty():
            todo.get()
