"""The result of a task that ran in the calling process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from umbel.errors import ImproperlyConfigured
from umbel.result.single import AsyncResult
from umbel.result.values import value_of

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.record import Record

R = TypeVar("R")


class EagerResult(AsyncResult[R]):
    """The result of a task that ran in the calling process.

    Args:
        id: of the task.
        record: how it ended.
        error: the exception itself, for failures.
        app: that it belongs to.
        task_name: for messages only.
        parent: the result of what ran before it, as in a chain.
    """

    __slots__ = ("_eager", "_error")

    def __init__(
        self,
        id: str,
        record: Record,
        error: BaseException | None = None,
        app: Umbel | None = None,
        task_name: str | None = None,
        parent: Any = None,
    ) -> None:
        super().__init__(id, None, task_name, app, parent)
        self._eager = record
        self._error = error

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
        return self._error if self._error is not None else value_of(self._eager)

    info = result

    def _outcome(self, record: Record, propagate: bool) -> R:
        if self._error is None:
            return super()._outcome(record, propagate)
        if propagate:
            raise self._error
        return cast(R, self._error)

    def _forget(self) -> None:
        """Do nothing: no result is stored."""

    def revoke(self, *how: Any, **more: Any) -> None:
        """Refuse: the task has run.

        Raises:
            ImproperlyConfigured: always.
        """
        raise ImproperlyConfigured(
            f"task {self.id} ran eagerly (task_always_eager or apply()): it cannot be revoked any more"
        )
