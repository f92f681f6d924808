"""The results of several tasks, looked at and awaited together: on one connection, however many they are."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from umbel import states
from umbel.context import assert_will_not_block, current_app
from umbel.errors import TimeoutError
from umbel.result.acting import Acting
from umbel.result.arrivals import Arrivals
from umbel.result.single import AsyncResult
from umbel.result.values import meta_of

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.record import Record
    from umbel.results.base import Results

R = TypeVar("R")
Member = Any  # an AsyncResult, or a set of them


class ResultSet(Acting, Generic[R]):
    """Results that are looked at and awaited together. Members keep their order; a member may be a set itself.

    Args:
        results: the members.
        app: whose results they are; that of the first member, else the current one, unless given.
    """

    #: The members, in order.
    results: list[Any]

    def __init__(self, results: Iterable[Member] = (), app: Umbel | None = None) -> None:
        self.id = None
        self.parent = None
        self.results = list(results)
        self._app = app

    @property
    def app(self) -> Umbel:
        """The app whose result backend is asked."""
        if self._app is None:
            self._app = self.results[0].app if self.results else current_app()
        return self._app

    @property
    def backend(self) -> Results:
        """The result backend that is asked."""
        return self.results[0].backend if self.results else self.app.results

    # -- members

    def add(self, result: Member) -> None:
        """Add a result, unless it is a member."""
        if result not in self.results:
            self.results.append(result)

    def remove(self, result: Member | str) -> None:
        """Take out a result, given itself or its id.

        Raises:
            KeyError: it is no member.
        """
        try:
            self.results.remove(result)
        except ValueError:
            raise KeyError(f"{result} is none of the {len(self.results)} results of this set") from None

    def discard(self, result: Member | str) -> None:
        """Take out a result if it is a member."""
        if result in self.results:
            self.results.remove(result)

    def update(self, results: Iterable[Member]) -> None:
        """Add those results that are no members yet."""
        known = set(self.results)
        for result in results:
            if result not in known:
                known.add(result)
                self.results.append(result)

    def clear(self) -> None:
        """Take out all members; their stored results stay."""
        self.results.clear()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __getitem__(self, index: Any) -> Any:
        return self.results[index]

    def __eq__(self, other: object) -> bool:
        return other.results == self.results if isinstance(other, ResultSet) else NotImplemented

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: [{', '.join(map(str, self.results))}]>"

    # -- looking

    def _leaves(self) -> list[AsyncResult[Any]]:
        return [leaf for _, leaf in self._indexed()]

    def _states(self) -> list[str]:
        """Return the states of all tasks, read in one call as far as they are not known to have ended."""
        leaves = self._leaves()
        unknown = [leaf for leaf in leaves if not leaf.settled]
        records = self.backend.get_many([leaf.id for leaf in unknown]) if unknown else []
        found: dict[int, Record | None] = {}
        for leaf, record in zip(unknown, records, strict=True):
            leaf.note(record)
            found[id(leaf)] = record
        return [_state(found[id(leaf)]) if id(leaf) in found else leaf.state for leaf in leaves]

    def ready(self) -> bool:
        """Tell whether all tasks have ended."""
        return all(state in states.READY_STATES for state in self._states())

    def waiting(self) -> bool:
        """Tell whether a task has not ended."""
        return not self.ready()

    def successful(self) -> bool:
        """Tell whether all tasks have returned."""
        return all(state == states.SUCCESS for state in self._states())

    def failed(self) -> bool:
        """Tell whether a task has failed."""
        return states.FAILURE in self._states()

    def completed_count(self) -> int:
        """Return how many tasks have returned."""
        return self._states().count(states.SUCCESS)

    def maybe_throw(self, callback: Callable[[str, Any], object] | None = None, propagate: bool = True) -> None:
        """Raise what the first member that failed has raised.

        Args:
            callback: called with (id, value) of each member that has not failed.
            propagate: raise; otherwise ``callback`` gets the exception.
        """
        for leaf in self._leaves():
            leaf.maybe_throw(propagate, callback)

    maybe_reraise = maybe_throw

    # -- waiting

    def get(
        self,
        timeout: float | None = None,
        propagate: bool = True,
        interval: float = 0.5,
        callback: Callable[[str, Any], object] | None = None,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        disable_sync_subtasks: bool = True,
        on_interval: Callable[[], object] | None = None,
    ) -> list[R]:
        """Wait for all tasks and return their values, in the order of the members.

        Args:
            timeout: seconds in all; None waits for ever.
            propagate: raise what a task has raised, as soon as the first one fails; otherwise its exception is its value.
            interval: seconds between two calls of ``on_interval``.
            callback: called with (id, value) of each member as it comes; then the returned list is empty, as in Celery.
            no_ack: kept for Celery's users, without effect.
            on_message: called with each end that is heard of, as a dict with ``status``, ``result`` and so on.
            disable_sync_subtasks: refuse to wait inside of a task.
            on_interval: called now and then while waiting.

        Raises:
            umbel.errors.TimeoutError: not all came in time; the tasks go on.
            RuntimeError: called inside of a task.
        """
        if disable_sync_subtasks:
            assert_will_not_block()
        values: list[Any] = [None] * len(self.results)
        with self._arrivals(timeout) as arrivals:
            for index, leaf in arrivals.each(interval, on_interval):
                if on_message is not None:
                    on_message(meta_of(leaf.id, leaf.final, leaf))
                if propagate:
                    leaf.get(timeout=0, disable_sync_subtasks=False)
                if arrivals.is_complete(index):
                    result = self.results[index]
                    values[index] = result.get(timeout=0, propagate=propagate, disable_sync_subtasks=False)
                    if callback is not None:
                        callback(result.id, values[index])
        return [] if callback is not None else cast("list[R]", values)

    join = get
    join_native = get

    def iter_native(
        self,
        timeout: float | None = None,
        interval: float = 0.5,
        no_ack: bool = True,
        on_message: Callable[[dict[str, Any]], object] | None = None,
        on_interval: Callable[[], object] | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Yield the members as they end, each as (id, dict with ``status``, ``result`` and so on); of a set, a list of values.

        Args: as for `get`.
        """
        with self._arrivals(timeout) as arrivals:
            for index, leaf in arrivals.each(interval, on_interval):
                if on_message is not None:
                    on_message(meta_of(leaf.id, leaf.final, leaf))
                result = self.results[index]
                if result is leaf:
                    yield leaf.id, meta_of(leaf.id, leaf.final, leaf)
                elif arrivals.is_complete(index):
                    yield result.id, result.get(timeout=0, propagate=False, disable_sync_subtasks=False)

    def as_completed(self, timeout: float | None = None) -> Iterator[Any]:
        """Yield the members as they end.

        Args:
            timeout: seconds in all; None waits for ever.

        Raises:
            umbel.errors.TimeoutError: not all came in time; the tasks go on.
        """
        with self._arrivals(timeout) as arrivals:
            for index, _ in arrivals.each():
                if arrivals.is_complete(index):
                    yield self.results[index]

    def iterate(self, timeout: float | None = None, propagate: bool = True, interval: float = 0.5) -> Iterator[R]:
        """Yield the values as they come; see `get` for the arguments."""
        for result in self.as_completed(timeout):
            yield result.get(timeout=0, propagate=propagate, disable_sync_subtasks=False)

    def _arrivals(self, timeout: float | None) -> Arrivals:
        return Arrivals(self._indexed(), None if timeout is None else time.monotonic() + timeout, self._timed_out)

    def _indexed(self) -> list[tuple[int, AsyncResult[Any]]]:
        """Return the results of single tasks, each with the number of the member that it is, or is part of."""
        return [(index, leaf) for index, result in enumerate(self.results) for leaf in result._leaves()]

    def _timed_out(self, left: int) -> TimeoutError:
        return TimeoutError(
            f"{left} of {len(self._leaves())} results did not arrive in time; the tasks go on. Wait longer, or see with "
            "`umbel status` and `umbel queues` whether workers consume their queues"
        )

    # -- waiting in an event loop

    def __await__(self) -> Generator[Any, None, list[R]]:
        return self._get_async().__await__()

    async def _get_async(self) -> list[R]:
        assert_will_not_block()
        with self._arrivals(None) as arrivals:
            async for _, leaf in arrivals.each_async():
                if leaf.state in states.PROPAGATE_STATES:
                    await leaf
        return [result.get(timeout=0) for result in self.results]

    def __aiter__(self) -> AsyncIterator[Any]:
        """Yield the members as they end: ``async for result in results``."""
        return self._iterate_async()

    async def _iterate_async(self) -> AsyncIterator[Any]:
        with self._arrivals(None) as arrivals:
            async for index, _ in arrivals.each_async():
                if arrivals.is_complete(index):
                    yield self.results[index]

    def forget(self) -> None:
        """Delete the stored results."""
        for result in self.results:
            result.forget()


def _state(record: Record | None) -> str:
    return states.PENDING if record is None else record.state
