"""The states of a task as they come: pushed by the backend, to a loop in a thread or in an event loop."""

from __future__ import annotations

import queue
import time
from builtins import TimeoutError as TimedOut
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from umbel import states
from umbel.context import assert_will_not_block
from umbel.errors import OperationalError, TimeoutError
from umbel.result.beginning import begin
from umbel.result.values import meta_of, value_of

if TYPE_CHECKING:
    from umbel.record import Record
    from umbel.result.stored import StoredResult

#: States that may wait for a loop which is slow; then the oldest are left out. The last one never is.
MOST_WAITING = 1000


class Update(NamedTuple):
    """A state of a task."""

    state: str
    info: Any  #: the data of a custom state, what the task returned, or the exception that it raised
    meta: dict[str, Any]  #: the same in Celery's form, with ``task_id``, ``status``, ``result``, ``traceback``

    def ready(self) -> bool:
        """Tell whether it is the last one."""
        return self.state in states.READY_STATES


class Updates:
    """Yields the states of a task, the one that stands there first, up to the end: ``for`` and ``async for``.

    Args:
        result: of the task.
        timeout: seconds in all; None waits for ever.
    """

    def __init__(self, result: StoredResult[Any], timeout: float | None) -> None:
        self._result = result
        self._timeout = timeout

    def __iter__(self) -> Iterator[Update]:
        assert_will_not_block()
        return self.each()

    def each(self, interval: float | None = None, on_interval: Callable[[], object] | None = None) -> Iterator[Update]:
        """Yield the states.

        Args:
            interval: seconds between two calls of ``on_interval``.
            on_interval: called now and then while waiting.
        """
        came: queue.SimpleQueue[Record | None] = queue.SimpleQueue()
        until = None if self._timeout is None else time.monotonic() + self._timeout

        def tell(record: Record | None) -> None:
            if came.qsize() >= MOST_WAITING:
                _drop(came)
            came.put(record)

        stop = self._listen(tell)
        try:
            update = None
            while update is None or not update.ready():
                update = self._made(self._next(came, until, interval, on_interval))
                yield update
        finally:
            stop()

    def _next(
        self,
        came: queue.SimpleQueue[Record | None],
        until: float | None,
        interval: float | None,
        on_interval: Callable[[], object] | None,
    ) -> Record | None:
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            if on_interval is not None and interval is not None:
                left = interval if left is None else min(interval, left)
            try:
                return came.get(timeout=left)
            except queue.Empty:
                if until is not None and time.monotonic() >= until:
                    raise self._timed_out() from None
                if on_interval is not None:
                    on_interval()

    def __aiter__(self) -> AsyncIterator[Update]:
        assert_will_not_block()
        return self._each_async()

    async def _each_async(self) -> AsyncIterator[Update]:
        import asyncio

        loop = asyncio.get_running_loop()
        came: asyncio.Queue[Record | None] = asyncio.Queue()
        until = None if self._timeout is None else time.monotonic() + self._timeout

        def keep(record: Record | None) -> None:
            if came.qsize() >= MOST_WAITING:
                came.get_nowait()
            came.put_nowait(record)

        def tell(record: Record | None) -> None:
            try:
                loop.call_soon_threadsafe(keep, record)
            except RuntimeError:
                return  # the loop is closed: nobody listens any more

        stop = await begin(lambda: self._listen(tell), lambda made: made())
        try:
            update = None
            while update is None or not update.ready():
                left = None if until is None else max(0.0, until - time.monotonic())
                try:
                    async with asyncio.timeout(left):
                        record = await came.get()
                except TimedOut:
                    raise self._timed_out() from None
                update = self._made(record)
                yield update
        finally:
            stop()

    def _listen(self, tell: Callable[[Record | None], object]) -> Callable[[], None]:
        final = self._result.final
        if final is not None:
            tell(final)
            return lambda: None
        return self._result.backend.listen(self._result.id, tell)

    def _made(self, record: Record | None) -> Update:
        if record is None:
            raise OperationalError(f"nobody tells of task {self._result.id} any more: its app was closed")
        self._result.note(record)
        return Update(record.state, value_of(record, self._result), meta_of(self._result.id, record, self._result))

    def _timed_out(self) -> TimeoutError:
        return TimeoutError(f"task {self._result.id} did not end within {self._timeout:g} seconds; it goes on")


def _drop(came: queue.SimpleQueue[Record | None]) -> None:
    try:
        came.get_nowait()
    except queue.Empty:
        return
