"""Waiting for the result of one task: in a thread, in an event loop, and for each of its states."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TYPE_CHECKING, Any, TypeVar, cast

from umbel import states
from umbel.context import assert_will_not_block
from umbel.errors import TimeoutError
from umbel.result.base import lineage_of
from umbel.result.beginning import begin
from umbel.result.stored import StoredResult
from umbel.result.updates import Updates
from umbel.result.values import exception_of, value_of

if TYPE_CHECKING:
    from umbel.record import Record

R = TypeVar("R")


class AwaitedResult(StoredResult[R]):
    """Waits for the record of one task; see `umbel.result.AsyncResult`, which everybody holds."""

    __slots__ = ()

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        no_ack: bool = True,
        follow_parents: bool = True,
        callback: Callable[[str, Any], object] | None = None,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """Wait for the task and return what it returned.

        Args:
            timeout: seconds; None waits for ever.
            propagate: raise what the task raised; otherwise return the exception.
            interval: seconds between two calls of ``on_interval``; nothing is polled.
            no_ack: kept for Celery's users, without effect.
            follow_parents: where a task before this one has failed, as in a chain, raise what that one raised.
            callback: called with (id, value) once the value is there.
            on_message: called with each state that is stored meanwhile, as a dict with ``status``, ``result`` and so on.
            on_interval: called now and then while waiting.
            disable_sync_subtasks: refuse to wait inside of a task.

        Raises:
            umbel.errors.TimeoutError: the result did not come in time; the task goes on.
            RuntimeError: called inside of a task.
        """
        if self.ignored:
            return cast(R, None)
        if disable_sync_subtasks:
            assert_will_not_block()
        follow = follow_parents and propagate and self.parent is not None
        if follow:
            self._raise_of_parents()
        record = self._final
        if on_message is not None:
            record = self._watch(timeout, interval, on_message, on_interval)
        elif record is None:
            record = self._wait(timeout) if on_interval is None else self._wait_by(timeout, interval, on_interval)
        if follow and record.state in states.PROPAGATE_STATES:
            self._raise_of_parents()
        value = self._outcome(record, propagate)
        if callback is not None:
            callback(self.id, value)
        return value

    wait = get

    def _raise_of_parents(self) -> None:
        """Raise what the first of those that came before has raised, if one has failed."""
        for result in reversed(lineage_of(self)[1:]):
            result.maybe_throw()

    def _wait(self, timeout: float | None) -> Record:
        try:
            self._final = self.backend.wait_for(self.id, timeout, self._inbox)
        except FutureTimeout:
            raise self._timed_out(timeout) from None
        return self._final

    def updates(self, timeout: float | None = None) -> Updates:
        """Yield each state of the task as it is stored, the one that stands there first and the end last.

        ``for update in result.updates():`` or ``async for``; each has ``state`` and ``info``. States are pushed, not polled, but by
        databases. A slow reader may miss states in between, never the last one.

        Args:
            timeout: seconds in all; None waits for ever.

        Raises:
            umbel.errors.TimeoutError: the task did not end in time; it goes on.
        """
        return Updates(self, timeout)

    def _watch(
        self,
        timeout: float | None,
        interval: float,
        on_message: Callable[[dict[str, Any]], object],
        on_interval: Callable[[], object] | None,
    ) -> Record:
        """Wait, and call ``on_message`` with each state."""
        for update in Updates(self, timeout).each(interval, on_interval):
            on_message(update.meta)
        assert self.final is not None
        return self.final

    def _wait_by(self, timeout: float | None, interval: float, on_interval: Callable[[], object]) -> Record:
        """Wait, and call ``on_interval`` now and then."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            left = interval if until is None else min(interval, max(0.0, until - time.monotonic()))
            try:
                self._final = self.backend.wait_for(self.id, left, self._inbox)
            except FutureTimeout:
                if until is not None and time.monotonic() >= until:
                    raise self._timed_out(timeout) from None
                on_interval()
            else:
                return self._final

    def _timed_out(self, timeout: float | None) -> TimeoutError:
        shown = f" ({self.task_name})" if self.task_name else ""
        return TimeoutError(
            f"the result of task {self.id}{shown} did not arrive within {timeout:g} seconds; the task goes on. Wait longer, or "
            "see with `umbel status` and `umbel queues` whether a worker consumes its queue"
        )

    def _outcome(self, record: Record, propagate: bool) -> R:
        if record.state not in states.PROPAGATE_STATES:
            return cast(R, value_of(record, self))
        error = exception_of(record)
        if propagate:
            raise error
        return cast(R, error)

    def maybe_throw(self, propagate: bool = True, callback: Callable[[str, Any], object] | None = None) -> Any:
        """Raise what the task raised, if it has failed; otherwise return what `result` does.

        Args:
            propagate: raise it; otherwise return the exception.
            callback: called with (id, value) before this returns.
        """
        record = self._record()
        value = None if record is None else self._outcome(record, propagate)
        if callback is not None:
            callback(self.id, value)
        return value

    maybe_reraise = maybe_throw

    def __await__(self) -> Generator[Any, None, R]:
        return self._get_async().__await__()

    async def _get_async(self) -> R:
        if self.ignored:
            return cast(R, None)
        assert_will_not_block()
        if self._final is None:
            import asyncio

            backend = self.backend
            future = await begin(lambda: backend.wait(self.id, self._inbox), lambda made: made.cancel())
            self._final = await asyncio.wrap_future(future)
        if self.parent is not None and self._final.state in states.PROPAGATE_STATES:
            import asyncio

            await asyncio.to_thread(self._raise_of_parents)
        return self._outcome(self._final, True)
