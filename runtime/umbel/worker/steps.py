"""What other threads have the supervisor's main loop do: one step after the other, each with its answer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from umbel.errors import OperationalError

T = TypeVar("T")

#: Seconds that another thread waits for the main loop.
PATIENCE = 3.0


class Steps:
    """See the module.

    Args:
        wake: wakes the main loop.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._waiting: SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = SimpleQueue()

    def do(self, step: Callable[[], T]) -> T:
        """Run a step in the main loop, and return what it returns; called by other threads.

        Raises:
            OperationalError: the main loop is busy with something else.
        """
        done: Future[T] = Future()
        self._waiting.put((step, done))
        self._wake()
        try:
            return done.result(PATIENCE)
        except TimeoutError:
            if done.cancel():
                raise OperationalError("the worker is busy with its processes: try again in a moment") from None
            return done.result(PATIENCE)

    def take(self, then: Callable[[], None]) -> None:
        """Run what waits; called by the main loop.

        Args:
            then: called after each step, before who asked hears that it is done.
        """
        while not self._waiting.empty():
            step, done = self._waiting.get()
            if done.set_running_or_notify_cancel():
                try:
                    found = step()
                    then()
                    done.set_result(found)
                except Exception as error:
                    done.set_exception(error)
