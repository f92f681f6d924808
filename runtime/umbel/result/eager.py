"""The result of a task that ran in the calling process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from umbel import failure, states
from umbel.clock import wall_ms
from umbel.record import Record
from umbel.result.single import AsyncResult
from umbel.result.values import value_of

if TYPE_CHECKING:
    from umbel.app import Umbel

R = TypeVar("R")


class EagerResult(AsyncResult[R]):
    """The result of a task that ran in the calling process; or did not, in a test that needs a result.

    Args:
        id: of the task.
        ret_value: what it returned, or the exception that it raised.
        state: in which it ended.
        traceback: of the exception, as text.
        name: of the task.
    """

    __slots__ = ("_eager", "_error", "_given")

    def __init__(
        self, id: str, ret_value: Any, state: str, traceback: str | None = None, name: str | None = None
    ) -> None:
        super().__init__(id, None, name)
        meta = {} if traceback is None else {"traceback": str(traceback)}
        self._error: BaseException | None = None
        self._given: tuple[Any, ...] = ()
        raw = b""
        if state in states.EXCEPTION_STATES:
            self._error = ret_value if isinstance(ret_value, BaseException) else Exception(ret_value)
            raw = failure.encode(self._error)
        else:
            self._given = (ret_value,)
        self._eager = Record(state, raw, 0, wall_ms(), meta)

    @classmethod
    def of(
        cls,
        id: str,
        record: Record,
        error: BaseException | None = None,
        app: Umbel | None = None,
        task_name: str | None = None,
        parent: Any = None,
    ) -> EagerResult[Any]:
        """Return the result that a record holds.

        Args:
            id: of the task.
            record: how it ended.
            error: the exception itself, for failures.
            app: that it belongs to.
            task_name: for messages only.
            parent: the result of what ran before it, as in a chain.
        """
        made = cls(id, None, states.SUCCESS, None, task_name)
        made.parent, made._app = parent, app
        made._eager, made._error, made._given = record, error, ()
        return made

    def _record(self) -> Record:
        return self._eager

    @property
    def final(self) -> Record:
        """The record of the end."""
        return self._eager

    @property
    def settled(self) -> bool:
        """Whether there is nothing to wait for: so it is."""
        return True

    def _wait(self, timeout: float | None) -> Record:
        return self._eager

    def _wait_by(self, timeout: float | None, interval: float, on_interval: Callable[[], object]) -> Record:
        return self._eager

    async def _get_async(self) -> R:
        return self._outcome(self._eager, True)

    @property
    def result(self) -> R | BaseException | Any:
        """What the task returned or raised."""
        if self._given:
            return self._given[0]
        return self._error if self._error is not None else value_of(self._eager)

    info = result

    def _outcome(self, record: Record, propagate: bool) -> R:
        if self._error is None:
            return cast(R, self._given[0]) if self._given else super()._outcome(record, propagate)
        if propagate and record.state in states.PROPAGATE_STATES:
            raise self._error
        return cast(R, self._error)

    def _forget(self) -> None:
        """Do nothing: no result is stored."""

    def revoke(self, *how: Any, **more: Any) -> None:
        """Do nothing: the task has run."""

    def __copy__(self) -> EagerResult[R]:
        return self._moved(self._error, self._app, self._given)

    def _moved(self, error: BaseException | None, app: Umbel | None, given: tuple[Any, ...]) -> EagerResult[R]:
        made = type(self).of(self.id, self._eager, error, app, self.task_name, self.parent)
        made._given = given
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.id, self._eager, self.task_name, self.parent, self._given)


def _restored(id: str, record: Record, task_name: str | None, parent: Any, given: tuple[Any, ...]) -> EagerResult[Any]:
    return EagerResult.of(id, record, None, None, task_name, parent)._moved(None, None, given)
