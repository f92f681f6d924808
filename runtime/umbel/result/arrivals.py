"""The ends of many tasks, one after the other as they come: for who waits in a thread, in an event loop, or not at all."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from umbel.result.beginning import begin

if TYPE_CHECKING:
    from umbel.record import Record
    from umbel.result.single import AsyncResult

log = logging.getLogger("umbel.results")


class Arrivals:
    """Waits for results. To be used in a ``with`` block, which ends all that still waits.

    Args:
        awaited: the results, each with the number of the group that it is of.
        until: when to stop, by the monotonic clock; None for never.
        timed_out: makes the error for so many results that did not come.
    """

    def __init__(
        self,
        awaited: Sequence[tuple[int, AsyncResult[Any]]],
        until: float | None,
        timed_out: Callable[[int], Exception],
    ) -> None:
        self._awaited = awaited
        self._until = until
        self._timed_out = timed_out
        self._left = Counter(index for index, _ in awaited)
        self._futures: list[Future[Record]] = []

    def __enter__(self) -> Arrivals:
        return self

    def __exit__(self, *error: object) -> None:
        for future in self._futures:
            future.cancel()

    def is_complete(self, index: int) -> bool:
        """Tell whether all results of a group have come."""
        return self._left[index] == 0

    def each(
        self, interval: float = 0.5, on_interval: Callable[[], object] | None = None
    ) -> Iterator[tuple[int, AsyncResult[Any]]]:
        """Yield the results as they come, each with the number of its group.

        Args:
            interval: seconds between two calls of ``on_interval``.
            on_interval: called now and then while waiting.
        """
        came: queue.SimpleQueue[tuple[int, AsyncResult[Any], Future[Record] | None]] = queue.SimpleQueue()
        self._begin(came.put)
        for done in range(len(self._awaited)):
            index, result, future = self._next(came, len(self._awaited) - done, interval, on_interval)
            yield self._note(index, result, future)

    def _next(
        self, came: queue.SimpleQueue[Any], left: int, interval: float, on_interval: Callable[[], object] | None
    ) -> Any:
        while True:
            seconds = None if self._until is None else max(0.0, self._until - time.monotonic())
            if on_interval is not None:
                seconds = interval if seconds is None else min(interval, seconds)
            try:
                return came.get(timeout=seconds)
            except queue.Empty:
                if self._until is not None and time.monotonic() >= self._until:
                    raise self._timed_out(left) from None
                if on_interval is not None:
                    on_interval()

    async def each_async(self) -> AsyncIterator[tuple[int, AsyncResult[Any]]]:
        """As `each`, in an event loop."""
        import asyncio

        loop = asyncio.get_running_loop()
        came: asyncio.Queue[Any] = asyncio.Queue()

        def tell(arrival: Any) -> None:
            try:
                loop.call_soon_threadsafe(came.put_nowait, arrival)
            except RuntimeError:
                return  # the loop is closed: nobody listens any more

        await begin(lambda: self._begin(tell), lambda _: self.__exit__())
        for _ in self._awaited:
            index, result, future = await came.get()
            yield self._note(index, result, future)

    def _begin(self, tell: Callable[[tuple[int, AsyncResult[Any], Future[Record] | None]], object]) -> None:
        """Begin to wait for all of them, in one call for each backend."""
        waiting = []
        for index, result in self._awaited:
            if result.settled:
                tell((index, result, None))
            else:
                waiting.append((index, result))
        self._futures = futures_of([result for _, result in waiting])
        for (index, result), future in zip(waiting, self._futures, strict=True):
            future.add_done_callback(lambda done, index=index, result=result: _told(tell, index, result, done))  # type: ignore[misc]

    def _note(
        self, index: int, result: AsyncResult[Any], future: Future[Record] | None
    ) -> tuple[int, AsyncResult[Any]]:
        if future is not None:
            result.note(future.result())
        self._left[index] -= 1
        return index, result

    @staticmethod
    def tell(
        subject: Any,
        results: Sequence[AsyncResult[Any]],
        callback: Callable[[Any], object],
        on_error: Callable[[BaseException], object] | None,
    ) -> None:
        """Have ``callback`` called with ``subject`` once all results are there; nobody has to wait for that."""
        waiting = [result for result in results if not result.settled]
        if not waiting:
            _call(subject, callback, on_error)
            return
        lock, left = threading.Lock(), [len(waiting)]

        def ended(result: AsyncResult[Any], future: Future[Record]) -> None:
            if future.cancelled():
                return  # the app was closed
            error = future.exception()
            if error is None:
                result.note(future.result())
            elif on_error is not None:
                on_error(error)
            with lock:
                left[0] -= 1
                last = not left[0]
            if last:
                _call(subject, callback, on_error)

        for result, future in zip(waiting, futures_of(waiting), strict=True):
            future.add_done_callback(lambda done, result=result: ended(result, done))  # type: ignore[misc]


def futures_of(results: Sequence[AsyncResult[Any]]) -> list[Future[Record]]:
    """Begin to wait for results, in one call for each backend; return the futures of their records."""
    by_backend: dict[int, list[int]] = {}
    for number, result in enumerate(results):
        by_backend.setdefault(id(result.backend), []).append(number)
    futures: dict[int, Future[Record]] = {}
    for numbers in by_backend.values():
        made = results[numbers[0]].backend.wait_many([(results[n].id, results[n].inbox) for n in numbers])
        futures.update(zip(numbers, made, strict=True))
    return [futures[number] for number in range(len(results))]


def _told(tell: Callable[[Any], object], index: int, result: AsyncResult[Any], done: Future[Record]) -> None:
    if not done.cancelled():
        tell((index, result, done))


def _call(subject: Any, callback: Callable[[Any], object], on_error: Callable[[BaseException], object] | None) -> None:
    try:
        callback(subject)
    except Exception as error:
        if on_error is None:
            log.exception("results.callback_failed", extra={"result": str(subject)})
        else:
            on_error(error)
