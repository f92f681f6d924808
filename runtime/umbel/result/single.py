"""What a caller holds of a task: its id, its state, and what it returned."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from umbel import states
from umbel.context import assert_will_not_block, current_app
from umbel.errors import TimeoutError
from umbel.result import walking
from umbel.result.arrivals import Arrivals
from umbel.result.base import ResultBase, lineage_of
from umbel.result.updates import Updates
from umbel.result.values import done_at, exception_of, value_of

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.record import Record
    from umbel.result.graph import ResultGraph
    from umbel.result.group import GroupResult
    from umbel.results.base import Results

R = TypeVar("R")


class AsyncResult(ResultBase, Generic[R]):
    """The result of one task, there or still to come.

    Args:
        id: of the task.
        backend: that is asked; the app's unless given.
        task_name: for messages only.
        app: that sent it; the current one unless given.
        parent: the result of what had to end before this task began, as in a chain.
        ignored: the task stores no result, so that there is nothing to wait for.
        inbox: to which the worker replies, if the message names one.
    """

    __slots__ = ("_app", "_backend", "_final", "_inbox", "id", "ignored", "parent", "task_name")

    #: Whether several results are awaited together, on one connection.
    supports_native_join = True

    id: str
    parent: AsyncResult[Any] | GroupResult[Any] | None

    def __init__(
        self,
        id: str,
        backend: Results | None = None,
        task_name: str | None = None,
        app: Umbel | None = None,
        parent: AsyncResult[Any] | GroupResult[Any] | None = None,
        *,
        ignored: bool = False,
        inbox: str | None = None,
    ) -> None:
        self.id = id
        self._inbox = inbox
        self._app = app
        self._backend = backend
        self.task_name = task_name
        self.ignored = ignored
        self.parent = parent
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
    def backend(self) -> Results:
        """The result backend that is asked."""
        return self._backend if self._backend is not None else self.app.results

    @property
    def task_id(self) -> str:
        """The id, by its other name."""
        return self.id

    @task_id.setter
    def task_id(self, task_id: str) -> None:
        self.stand_for(task_id)

    def _record(self) -> Record | None:
        if self._final is not None:
            return self._final
        record = self.backend.get(self.id)
        self.note(record)
        return record

    @property
    def inbox(self) -> str | None:
        """The inbox to which the worker replies, if the message names one."""
        return self._inbox

    @property
    def final(self) -> Record | None:
        """The record of the end, as far as it was seen."""
        return self._final

    @property
    def settled(self) -> bool:
        """Whether there is nothing to wait for: the end was seen, or none will be stored."""
        return self._final is not None or self.ignored

    def note(self, record: Record | None) -> None:
        """Keep a record that was read, if it is that of the end."""
        if record is not None and record.state in states.READY_STATES:
            self._final = record

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
        return None if record is None else value_of(record, self)

    info = result

    @property
    def traceback(self) -> str | None:
        """The traceback of a failure, as text."""
        return cast("str | None", self._meta("traceback"))

    @property
    def date_done(self) -> datetime | None:
        """When the task ended."""
        record = self._record()
        return None if record is None else done_at(record)

    def exists(self) -> bool:
        """Tell whether a record of the task is stored; PENDING alone does not say whether an id is known."""
        return self._record() is not None

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

    # -- what belongs to it

    @property
    def children(self) -> list[AsyncResult[Any] | GroupResult[Any]]:
        """The results of what the task sent, and of what followed upon it; known once it has ended."""
        return [self.app.result_from_tuple(form) for form in self._meta("children") or ()]

    def iterdeps(self, intermediate: bool = False) -> Iterator[tuple[Any, Any]]:
        """Yield this result and all that descends from it, each as (parent, result).

        Args:
            intermediate: pass over what has not ended, in place of raising.

        Raises:
            IncompleteStream: a task has not ended, so that its children are not known.
        """
        return walking.iterdeps(self, intermediate)

    def collect(self, intermediate: bool = False, **get: Any) -> Iterator[tuple[Any, Any]]:
        """Yield this result and all that descends from it, each with its value: (result, value).

        Args:
            intermediate: as for `iterdeps`.
            get: options of `get`.
        """
        for _, result in self.iterdeps(intermediate):
            yield result, result.get(**get)

    def get_leaf(self) -> Any:
        """Return the value of what descends from this task and ended last in line."""
        leaf: Any = self
        for _, leaf in self.iterdeps():
            leaf.get()
        return leaf.get()

    @property
    def graph(self) -> ResultGraph:
        """The workflow that the task belongs to, else the task and all that descends from it as far as it is known."""
        return self.build_graph(intermediate=True)

    def build_graph(self, intermediate: bool = False, formatter: Any = None) -> ResultGraph:
        """Return what `graph` is.

        Args:
            intermediate: pass over tasks that have not ended, in place of raising, where this is no workflow.
            formatter: kept for Celery's users, without effect: see `umbel.result.drawing`.

        Raises:
            IncompleteStream: as `iterdeps`.
        """
        from umbel.result import graph

        return graph.of_workflow(self.app, self.id) or graph.of_result(self, intermediate)

    # -- waiting

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

            future = await asyncio.to_thread(self.backend.wait, self.id, self._inbox)
            self._final = await asyncio.wrap_future(future)
        if self.parent is not None and self._final.state in states.PROPAGATE_STATES:
            import asyncio

            await asyncio.to_thread(self._raise_of_parents)
        return self._outcome(self._final, True)

    # -- acting

    def then(
        self,
        callback: Callable[[Any], object],
        on_error: Callable[[BaseException], object] | None = None,
        weak: bool = False,
    ) -> AsyncResult[R]:
        """Have a function called with this result once the task has ended, however it did.

        Args:
            callback: called in the thread that reads replies, so it must be quick; at once if the task has ended.
            on_error: called with an exception that ``callback`` raised; it is logged otherwise.
            weak: kept for Celery's users, without effect.
        """
        Arrivals.tell(self, [self], callback, on_error)
        return self

    def throw(self, *error: Any) -> Any:
        """Raise what the task raised, or the exception that is given."""
        if error:
            raise error[0]
        return self.maybe_throw()

    def forget(self) -> None:
        """Delete the stored result, and those of the tasks before this one."""
        for result in lineage_of(self):
            result._forget()

    def _forget(self) -> None:
        self._final = None
        self.backend.forget(self.id)

    def revoke(
        self,
        connection: Any = None,
        terminate: bool = False,
        signal: str | int | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Keep the task from running, and what is left of the workflow that it belongs to.

        Args:
            connection: kept for Celery's users, without effect.
            terminate: also end it if it runs already, by killing its process.
            signal: with ``terminate``, what the process gets a second before it is killed, as ``"SIGTERM"``.
            wait: return what the workers answer, in place of returning at once.
            timeout: seconds to wait for their answers.
        """
        if wait or signal is not None:
            how = {"reply": wait} | ({} if timeout is None else {"timeout": timeout})
            return self.app.control.revoke(self.id, terminate=terminate, signal=signal, **how)
        from umbel.workflow import revoking

        revoking.revoke(self.app, [self.id], terminate=terminate)
        return None

    def revoke_by_stamped_headers(
        self,
        headers: Mapping[str, Any],
        connection: Any = None,
        terminate: bool = False,
        signal: str | int | None = None,
        wait: bool = False,
        timeout: float | None = None,
    ) -> Any:
        """Keep all tasks from running that bear one of these stamps, not only this one.

        Args:
            headers: each name of a stamp with a value, or a list of them.
            connection, terminate, signal, wait, timeout: see `revoke`.
        """
        how = {"reply": wait} | ({} if timeout is None else {"timeout": timeout})
        return self.app.control.revoke_by_stamped_headers(headers, terminate=terminate, signal=signal, **how)

    def as_list(self) -> list[str]:
        """Return the id of the task, and of those before it, the nearest first."""
        return [result.id or "" for result in lineage_of(self)]

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

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.id, self.task_name, self.parent, self.ignored)


def _restored(task_id: str, task_name: str | None, parent: Any, ignored: bool) -> AsyncResult[Any]:
    return AsyncResult(task_id, task_name=task_name, parent=parent, ignored=ignored)
