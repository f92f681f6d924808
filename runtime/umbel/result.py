"""What a caller holds of a task: its id, its state, and what it returned."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from umbel import failure, serialization, states
from umbel.context import allow_join_result, assert_will_not_block, current_app, denied_join_result
from umbel.errors import ImproperlyConfigured, RemoteError, TimeoutError

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.record import Record

__all__ = ["AsyncResult", "EagerResult", "allow_join_result", "denied_join_result"]

R = TypeVar("R")


class AsyncResult(Generic[R]):
    """The result of one task, there or still to come.

    Args:
        id: of the task.
        app: that sent it; the current one unless given.
        task_name: for messages only.
        ignored: the task stores no result, so that there is nothing to wait for.
        inbox: to which the worker replies, if the message names one.
    """

    __slots__ = ("_app", "_final", "_inbox", "id", "ignored", "task_name")

    def __init__(
        self,
        id: str,
        app: Umbel | None = None,
        task_name: str | None = None,
        ignored: bool = False,
        inbox: str | None = None,
    ) -> None:
        self.id = id
        self._inbox = inbox
        self._app = app
        self.task_name = task_name
        self.ignored = ignored
        self._final: Record | None = None

    def stand_for(self, task_id: str) -> None:
        """Be the result of another task: one that was sent before, in the place of this one."""
        self.id, self._inbox, self._final = task_id, None, None

    # -- looking

    @property
    def app(self) -> Umbel:
        """The app whose result backend is asked."""
        if self._app is None:
            self._app = current_app()
        return self._app

    @property
    def task_id(self) -> str:
        """The id, by its other name."""
        return self.id

    def _record(self) -> Record | None:
        if self._final is not None:
            return self._final
        record = self.app.results.get(self.id)
        if record is not None and record.state in states.READY_STATES:
            self._final = record
        return record

    @property
    def state(self) -> str:
        """The state: PENDING while nothing is stored, which is so for unknown ids too."""
        record = self._record()
        return states.PENDING if record is None else record.state

    status = state

    def ready(self) -> bool:
        """Tell whether the task has ended."""
        return self.state in states.READY_STATES

    def successful(self) -> bool:
        """Tell whether the task has ended and returned."""
        return self.state == states.SUCCESS

    def failed(self) -> bool:
        """Tell whether the task has ended with an exception."""
        return self.state == states.FAILURE

    @property
    def result(self) -> R | BaseException | Any:
        """What the task returned, the exception it raised, the data of a custom state; None while nothing is there."""
        record = self._record()
        return None if record is None else value_of(record)

    info = result

    @property
    def traceback(self) -> str | None:
        """The traceback of a failure, as text."""
        return cast("str | None", self._meta("traceback"))

    @property
    def date_done(self) -> datetime | None:
        """When the task ended."""
        record = self._record()
        if record is None or record.state not in states.READY_STATES:
            return None
        return datetime.fromtimestamp(record.done_ms / 1000, timezone.utc)  # noqa: UP017 - as elsewhere

    def _meta(self, name: str) -> Any:
        record = self._record()
        return None if record is None else record.meta.get(name)

    @property
    def name(self) -> str | None:
        """The task's name, with ``result_extended``."""
        return self._meta("name") or self.task_name

    @property
    def args(self) -> list[Any] | None:
        """The positional arguments, with ``result_extended``."""
        return cast("list[Any] | None", self._meta("args"))

    @property
    def kwargs(self) -> dict[str, Any] | None:
        """The keyword arguments, with ``result_extended``."""
        return cast("dict[str, Any] | None", self._meta("kwargs"))

    @property
    def worker(self) -> str | None:
        """The worker that ran it, with ``result_extended``, or where the task failed."""
        return cast("str | None", self._meta("worker"))

    @property
    def queue(self) -> str | None:
        """The queue, with ``result_extended``."""
        return cast("str | None", self._meta("queue"))

    @property
    def retries(self) -> int | None:
        """How often it was retried, with ``result_extended``."""
        return cast("int | None", self._meta("retries"))

    # -- waiting

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float | None = None,
        *,
        callback: Callable[[str, Any], object] | None = None,
        disable_sync_subtasks: bool = True,
    ) -> R:
        """Wait for the task and return what it returned.

        Args:
            timeout: seconds; None waits for ever.
            propagate: raise what the task raised; otherwise return the exception.
            interval: kept for Celery's users: nothing is polled.
            callback: called with (id, value) once the value is there.
            disable_sync_subtasks: refuse to wait inside of a task.

        Raises:
            umbel.errors.TimeoutError: the result did not come in time; the task goes on.
            RuntimeError: called inside of a task.
        """
        if self.ignored:
            return cast(R, None)
        if disable_sync_subtasks:
            assert_will_not_block()
        record = self._final or self._wait(timeout)
        value = self._outcome(record, propagate)
        if callback is not None:
            callback(self.id, value)
        return value

    wait = get

    def _wait(self, timeout: float | None) -> Record:
        try:
            self._final = self.app.results.wait_for(self.id, timeout, self._inbox)
        except FutureTimeout:
            raise self._timed_out(timeout) from None
        return self._final

    def _timed_out(self, timeout: float | None) -> TimeoutError:
        shown = f" ({self.task_name})" if self.task_name else ""
        return TimeoutError(
            f"the result of task {self.id}{shown} did not arrive within {timeout:g} seconds; the task goes on. Wait longer, or "
            "see with `umbel status` and `umbel queues` whether a worker consumes its queue"
        )

    def _outcome(self, record: Record, propagate: bool) -> R:
        if record.state not in states.PROPAGATE_STATES:
            return cast(R, value_of(record))
        error = exception_of(record)
        if propagate:
            raise error
        return cast(R, error)

    def maybe_throw(self, propagate: bool = True) -> Any:
        """Raise what the task raised, if it has failed; otherwise return what `result` does."""
        record = self._record()
        return None if record is None else self._outcome(record, propagate)

    def __await__(self) -> Generator[Any, None, R]:
        return self._get_async().__await__()

    async def _get_async(self) -> R:
        if self.ignored:
            return cast(R, None)
        assert_will_not_block()
        if self._final is None:
            import asyncio

            future = await asyncio.to_thread(self.app.results.wait, self.id, self._inbox)
            self._final = await asyncio.wrap_future(future)
        return self._outcome(self._final, True)

    # -- acting

    def forget(self) -> None:
        """Delete the stored result."""
        self._final = None
        self.app.results.forget(self.id)

    def revoke(self, terminate: bool = False, signal: str | int | None = None) -> None:
        """Keep the task from running.

        Args:
            terminate: also end it if it runs already, by killing its process.
            signal: with ``terminate``, what the process gets a second before it is killed, as ``"SIGTERM"``.
        """
        if signal is None:
            self.app.broker.revoke([self.id], terminate=terminate)
        else:
            self.app.control.revoke(self.id, terminate=terminate, signal=signal)

    def as_tuple(self) -> tuple[tuple[str, None], None]:
        """Return Celery's form of a result: ``((id, parent), children)``."""
        return (self.id, None), None

    def __str__(self) -> str:
        return self.id

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.id}>"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, AsyncResult):
            return bool(self.id == other.id)
        return self.id == other if isinstance(other, str) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)


def value_of(record: Record) -> Any:
    """Return what a record holds: a value, or an exception for a state that has one."""
    if record.state in states.EXCEPTION_STATES:
        return exception_of(record)
    if not record.value:
        return None
    return serialization.by_content_type(record.meta.get("content_type")).decode(record.value)


def exception_of(record: Record) -> BaseException:
    """Return the exception that a record holds, with the worker's traceback as a note."""
    if not record.value:
        return RemoteError(record.state, "nothing was stored with it")
    error = failure.decode(record.value, serialization.by_content_type(record.meta.get("content_type")))
    trace = record.meta.get("traceback")
    if trace:
        error.add_note(f"\nIn the worker{' ' + record.meta['worker'] if record.meta.get('worker') else ''}:\n{trace}")
    return error


class EagerResult(AsyncResult[R]):
    """The result of a task that ran in the calling process.

    Args:
        id: of the task.
        record: how it ended.
        error: the exception itself, for failures.
    """

    __slots__ = ("_eager", "_error")

    def __init__(
        self,
        id: str,
        record: Record,
        error: BaseException | None = None,
        app: Umbel | None = None,
        task_name: str | None = None,
    ) -> None:
        super().__init__(id, app, task_name)
        self._eager = record
        self._error = error

    def _record(self) -> Record:
        return self._eager

    def _wait(self, timeout: float | None) -> Record:
        return self._eager

    async def _get_async(self) -> R:
        return self._outcome(self._eager, True)

    @property
    def result(self) -> R | BaseException | Any:
        """What the task returned or raised."""
        return self._error if self._error is not None else value_of(self._eager)

    info = result

    def _outcome(self, record: Record, propagate: bool) -> R:
        if self._error is None:
            return super()._outcome(record, propagate)
        if propagate:
            raise self._error
        return cast(R, self._error)

    def forget(self) -> None:
        """Do nothing: no result is stored."""

    def revoke(self, terminate: bool = False, signal: str | int | None = None) -> None:
        """Refuse: the task has run.

        Raises:
            ImproperlyConfigured: always.
        """
        raise ImproperlyConfigured(
            f"task {self.id} ran eagerly (task_always_eager or apply()): it cannot be revoked any more"
        )
