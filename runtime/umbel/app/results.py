"""Results that an app makes, and states that its tasks store."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from umbel import serialization, states
from umbel.app.connections import AppConnections
from umbel.errors import ImproperlyConfigured
from umbel.record import Record
from umbel.result import AsyncResult, GroupResult, ResultSet, result_from_tuple
from umbel.result.group import bound_to

if TYPE_CHECKING:
    from umbel.app import Umbel


class AppResults(AppConnections):
    """See the module. Mixed into `umbel.Umbel`."""

    def AsyncResult(self, task_id: str, **more: Any) -> AsyncResult[Any]:  # noqa: N802 - Celery's name
        """Return the result of an earlier call by its id; see `umbel.AsyncResult` for what else it takes."""
        return AsyncResult(task_id, app=cast("Umbel", self), **more)

    def ResultSet(self, results: Iterable[Any] = ()) -> ResultSet[Any]:  # noqa: N802 - Celery's name
        """Return results of this app as a set."""
        return ResultSet(results, app=cast("Umbel", self))

    @property
    def GroupResult(self) -> type[GroupResult[Any]]:  # noqa: N802 - Celery's name
        """The class of results of groups, bound to this app: ``app.GroupResult.restore(id)``."""
        return bound_to(cast("Umbel", self))

    def result_from_tuple(self, form: Any) -> Any:
        """Return the result that ``as_tuple()`` describes."""
        return result_from_tuple(form, cast("Umbel", self))

    def store_state(self, task_id: str, state: str, meta: Any, *, attempt: int = 0) -> bool:
        """Store a state that is not final, with data; False if the task has ended meanwhile, or a later attempt runs."""
        codec = serialization.by_name(self.conf.result_serializer)
        extra = {} if codec.content_type == serialization.JSON else {"content_type": codec.content_type}
        if state in states.READY_STATES:
            raise ImproperlyConfigured(
                f"the state {state} says that a task has ended: return or raise in the task instead"
            )
        if state in states.EXCEPTION_STATES:
            raise ImproperlyConfigured(f"the state {state} is written by self.retry() only: choose another name")
        raw = codec.encode_result(task_id, meta) if serialization.signs(codec) else codec.encode(meta)
        record = Record(state, raw, attempt, int(time.time() * 1000), extra)
        return self.results.store(task_id, record, self.conf.result_ttl)
