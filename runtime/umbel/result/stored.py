"""The result of one task as it is stored: its state, its value, and what else its record says."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from umbel import states
from umbel.context import current_app
from umbel.result.acting import Acting
from umbel.result.values import done_at, value_of

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.record import Record
    from umbel.result.group import GroupResult
    from umbel.result.single import AsyncResult
    from umbel.results.base import Results

R = TypeVar("R")


class StoredResult(Acting, Generic[R]):
    """Reads the record of one task; see `umbel.result.AsyncResult`, which everybody holds."""

    __slots__ = ("_app", "_backend", "_final", "_inbox", "id", "ignored", "parent", "task_name")

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
